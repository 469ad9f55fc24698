//! MQTT.

use super::{Content, Frame, Protocol, Refusal, SUBJECT};

/// MQTT 3.1.1 with QoS 0: all clients subscribe to one topic, and get their own messages too.
///
/// Source: "MQTT Version 3.1.1", OASIS Standard, 2014.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mqtt;

impl Protocol for Mqtt {
    const ARRIVES_AS_SENT: bool = true;

    const OUTLASTS_HALF_CLOSE: bool = false;

    fn open(&self, wire: &mut Vec<u8>) {
        // A clean session that is never asked whether it is alive, of a client that the server names.
        let connect = b"\0\x04MQTT\x04\x02\0\0\0\0";
        push_packet(CONNECT, &[connect], wire);
        push_packet(SUBSCRIBE, &[b"\0\x01", &SUBJECT_LEN, SUBJECT, b"\0"], wire);
    }

    fn encode(&self, body: &[u8], wire: &mut Vec<u8>) {
        push_packet(PUBLISH, &[&SUBJECT_LEN, SUBJECT, body], wire);
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, Refusal> {
        let Some((&kind, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        // Before the length, so that something else is found out at once.
        if ![PUBLISH, CONNACK, SUBACK, PINGRESP].contains(&kind) {
            return Err(garbage("PUBLISH with QoS 0, CONNACK, SUBACK or PINGRESP"));
        }
        let Some((len, length_len)) = remaining_length(rest)? else {
            return Ok(None);
        };
        let Some(packet) = rest[length_len..].get(..len) else {
            return Ok(None);
        };
        let content = match (kind, packet) {
            (PUBLISH, [high, low, rest @ ..]) => {
                let topic_len = usize::from(u16::from_be_bytes([*high, *low]));
                let body = rest.get(topic_len..);
                Content::Body(body.ok_or_else(|| garbage("a topic"))?)
            }
            (CONNACK, [_, 0]) | (SUBACK, [_, _, 0]) | (PINGRESP, []) => Content::Notice,
            (CONNACK, [_, code]) => {
                return Err(Refusal::Told(format!(
                    "it accepts no client, with return code {code}"
                )));
            }
            (SUBACK, [_, _, _]) => {
                return Err(Refusal::Told("it accepts no subscription".to_owned()));
            }
            _ => return Err(garbage("a packet of the right length")),
        };
        Ok(Some(Frame {
            len: 1 + length_len + len,
            content,
        }))
    }
}

/// Reads how many bytes follow, and how many bytes said so.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Refusal> {
    let mut length = 0;
    for (place, &byte) in bytes.iter().take(LENGTH_LEN_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return if length <= LENGTH_MAX {
                Ok(Some((length, place + 1)))
            } else {
                Err(garbage("a shorter packet"))
            };
        }
    }
    if bytes.len() < LENGTH_LEN_MAX {
        Ok(None)
    } else {
        Err(garbage("a length of up to four bytes"))
    }
}

fn push_packet(kind: u8, parts: &[&[u8]], wire: &mut Vec<u8>) {
    wire.push(kind);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let [low, ..] = (length & 0x7f).to_le_bytes();
        length >>= 7;
        wire.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    parts.iter().for_each(|part| wire.extend_from_slice(part));
}

fn garbage(expected: &'static str) -> Refusal {
    Refusal::Garbage {
        protocol: "MQTT 3.1.1",
        expected,
    }
}

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
/// With QoS 0, not sent again, not retained.
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGRESP: u8 = 0xd0;

const SUBJECT_LEN: [u8; 2] = [0, 4];

/// How many bytes a length has at most.
const LENGTH_LEN_MAX: usize = 4;

/// How long a packet may be. A judgement: bodies have up to 255 bytes, and all must fit into what is
/// read at once.
const LENGTH_MAX: usize = 64 << 10;
