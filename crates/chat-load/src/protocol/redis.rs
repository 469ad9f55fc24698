//! Redis.

use super::text::{LINE_END, block, decimal, line, printable, push_decimal};
use super::{Content, Frame, Protocol, Refusal, SUBJECT};

/// The third version of the protocol of Redis, in which a connection that has subscribed may publish
/// too: all clients subscribe to one channel, and get their own messages too.
///
/// Source: "RESP3" in the documentation of Redis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redis;

impl Protocol for Redis {
    const ARRIVES_AS_SENT: bool = false;

    const OUTLASTS_HALF_CLOSE: bool = false;

    fn open(&self, wire: &mut Vec<u8>) {
        // What is published is not answered, as elsewhere. What is pushed arrives all the same.
        command(&[b"HELLO", b"3"], wire);
        command(&[b"SUBSCRIBE", SUBJECT], wire);
        command(&[b"CLIENT", b"REPLY", b"OFF"], wire);
    }

    fn encode(&self, body: &[u8], wire: &mut Vec<u8>) {
        command(&[b"PUBLISH", SUBJECT, body], wire);
    }

    fn encode_arrival(&self, body: &[u8], wire: &mut Vec<u8>) {
        wire.extend_from_slice(MESSAGE);
        push_block(body, wire);
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, Refusal> {
        let Some(rest) = bytes.strip_prefix(MESSAGE) else {
            if MESSAGE.starts_with(bytes) {
                return Ok(None);
            }
            let len = reply_len(bytes)?;
            return Ok(len.map(|len| Frame {
                len,
                content: Content::Notice,
            }));
        };
        let not_a_length = || garbage("the length of a message");
        let Some((length, line_len)) = line(rest, not_a_length)? else {
            return Ok(None);
        };
        let len = length.strip_prefix(b"$").and_then(decimal);
        let len = len.ok_or_else(not_a_length)?;
        let message = block(&rest[line_len..], len, || garbage("the end of a message"))?;
        Ok(message.map(|(body, len)| Frame {
            len: MESSAGE.len() + line_len + len,
            content: Content::Body(body),
        }))
    }
}

/// Returns the length of the reply at the start of `bytes`, with all that is inside it.
fn reply_len(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let (mut len, mut open) = (0, 1_usize);
    while open > 0 {
        open -= 1;
        let Some((line, line_len)) = line(&bytes[len..], || garbage("a line"))? else {
            return Ok(None);
        };
        len += line_len;
        let (kind, value) = line.split_first().ok_or_else(|| garbage("a type"))?;
        let size = || match value {
            // Nothing, as the second version of the protocol has it.
            b"-1" => Ok(None),
            value => decimal(value).map(Some).ok_or_else(|| garbage("a length")),
        };
        match kind {
            b'+' | b':' | b'_' | b',' | b'#' | b'(' => {}
            b'-' => return Err(Refusal::Told(printable(value))),
            b'$' | b'=' | b'!' => {
                let Some(size) = size()? else { continue };
                let Some((text, text_len)) = block(&bytes[len..], size, || garbage("a text"))?
                else {
                    return Ok(None);
                };
                if *kind == b'!' {
                    return Err(Refusal::Told(printable(text)));
                }
                len += text_len;
            }
            b'*' | b'>' | b'~' => open = open.saturating_add(size()?.unwrap_or(0)),
            b'%' => open = open.saturating_add(2 * size()?.unwrap_or(0)),
            _ => return Err(garbage("the type of a reply")),
        }
    }
    Ok(Some(len))
}

fn command(words: &[&[u8]], wire: &mut Vec<u8>) {
    wire.push(b'*');
    push_decimal(words.len(), wire);
    wire.extend_from_slice(LINE_END);
    words.iter().for_each(|word| push_block(word, wire));
}

fn push_block(block: &[u8], wire: &mut Vec<u8>) {
    wire.push(b'$');
    push_decimal(block.len(), wire);
    for part in [LINE_END, block, LINE_END] {
        wire.extend_from_slice(part);
    }
}

fn garbage(expected: &'static str) -> Refusal {
    Refusal::Garbage {
        protocol: "Redis (RESP3)",
        expected,
    }
}

/// How a message arrives, but for its body.
const MESSAGE: &[u8] = b">3\r\n$7\r\nmessage\r\n$4\r\nchat\r\n";
