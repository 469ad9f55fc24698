//! NATS.

use super::text::{LINE_END, block, decimal, line, printable, push_decimal};
use super::{Content, Frame, Protocol, Refusal, SUBJECT};

/// The protocol of NATS: all clients subscribe to one subject, and get their own messages too.
///
/// Source: "Client Protocol" in the documentation of NATS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nats;

impl Protocol for Nats {
    const ARRIVES_AS_SENT: bool = false;

    const OUTLASTS_HALF_CLOSE: bool = false;

    fn open(&self, wire: &mut Vec<u8>) {
        // The server may as well be told before it has introduced itself. Nothing is acknowledged,
        // and without headers all messages come in one form.
        let options = br#"CONNECT {"verbose":false,"pedantic":false,"echo":true,"headers":false,"lang":"rust","version":"0","name":"stresstest"}"#;
        for part in [options, LINE_END, b"SUB ", SUBJECT, b" 1", LINE_END] {
            wire.extend_from_slice(part);
        }
    }

    fn encode(&self, body: &[u8], wire: &mut Vec<u8>) {
        encode(&[b"PUB ", SUBJECT, b" "], body, wire);
    }

    fn encode_arrival(&self, body: &[u8], wire: &mut Vec<u8>) {
        encode(&[b"MSG ", SUBJECT, b" 1 "], body, wire);
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, Refusal> {
        let Some((line, line_len)) = line(bytes, || garbage("a line"))? else {
            return Ok(None);
        };
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let content = match words.next().unwrap_or_default() {
            b"MSG" => {
                // The subject, the number of the subscription, where to reply if that is said, and
                // the length.
                let (count, last) =
                    words.fold((0, None), |(count, _), word| (count + 1, Some(word)));
                let len = last.filter(|_| matches!(count, 3 | 4)).and_then(decimal);
                let len = len.ok_or_else(|| garbage("the length of a message"))?;
                let end_of_line = || garbage("the end of a message");
                let message = block(&bytes[line_len..], len, end_of_line)?;
                return Ok(message.map(|(body, len)| Frame {
                    len: line_len + len,
                    content: Content::Body(body),
                }));
            }
            b"PING" => Content::Question(b"PONG\r\n"),
            b"PONG" | b"INFO" | b"+OK" => Content::Notice,
            b"-ERR" => {
                return Err(Refusal::Told(
                    printable(&line[b"-ERR".len()..]).trim().to_owned(),
                ));
            }
            _ => return Err(garbage("MSG, PING, PONG, INFO, +OK or -ERR")),
        };
        Ok(Some(Frame {
            len: line_len,
            content,
        }))
    }
}

fn encode(beginning: &[&[u8]], body: &[u8], wire: &mut Vec<u8>) {
    beginning
        .iter()
        .for_each(|part| wire.extend_from_slice(part));
    push_decimal(body.len(), wire);
    for part in [LINE_END, body, LINE_END] {
        wire.extend_from_slice(part);
    }
}

fn garbage(expected: &'static str) -> Refusal {
    Refusal::Garbage {
        protocol: "NATS",
        expected,
    }
}
