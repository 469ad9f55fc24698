//! Turns input, chunk by chunk, into messages in their wire form.

use chat_proto::{BODY_LEN_MAX, BodyTooLong};
use memchr::memchr;

/// How input is divided into bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// A line is a body, without its newline.
    #[default]
    Newline,
    /// A body ends with a byte of value 0, which does not belong to it.
    Null,
    /// A line has the bytes of a body as hexadecimal digits, two for each, with or without spaces
    /// between the bytes.
    Hex,
}

/// Divides input into lines and encodes each as a message, whatever chunks the input comes in.
///
/// A line ends with the framing's last byte; the bytes after the last of them are a line too,
/// unless it is empty. Memory is bounded: of a line that is too long only the beginning is kept.
#[derive(Debug)]
pub struct Lines {
    framing: Framing,
    is_splitting: bool,
    /// The beginning of the unfinished line, up to [`Self::kept_max`] bytes. In hexadecimal, there
    /// is one space for several.
    kept: Vec<u8>,
    /// Length in bytes of the unfinished line; in hexadecimal, without spaces.
    len: usize,
    /// How many lines have ended.
    count: u64,
}

/// Messages to send, and lines that are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The messages in their wire form, in order.
    pub wire: Vec<u8>,
    /// How many messages there are.
    pub count: u64,
    /// The lines that cannot be sent, in order.
    pub refused: Vec<RefusedLine>,
}

/// Says that a line cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {cause}")]
pub struct RefusedLine {
    /// Which line of the input it is, from 1 on.
    pub number: u64,
    /// The fault in it.
    pub cause: LineError,
}

/// The fault in a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The body would be too long.
    #[error(transparent)]
    TooLong(#[from] BodyTooLong),
    /// The line is not in hexadecimal.
    #[error("not pairs of hexadecimal digits")]
    Hex,
}

impl Lines {
    /// Starts at the beginning of the input. Lines that are too long are refused.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            is_splitting: false,
            kept: Vec::new(),
            len: 0,
            count: 0,
        }
    }

    /// Sends a line that is too long as several messages. Each ends after a space, if there is more
    /// than spaces before that; or else between two characters; or else wherever it is full. Lines
    /// in hexadecimal are refused all the same.
    pub fn splitting(mut self) -> Self {
        self.is_splitting = self.framing != Framing::Hex;
        self
    }

    /// Takes the next chunk of the input and adds the lines that end in it to `batch`.
    ///
    /// The messages are at most 255 bytes longer than the chunk: a header takes the place of each
    /// end of a line.
    pub fn push(&mut self, mut chunk: &[u8], batch: &mut Batch) {
        let end = match self.framing {
            Framing::Newline | Framing::Hex => b'\n',
            Framing::Null => 0,
        };
        while let Some(line_len) = memchr(end, chunk) {
            let (line, rest) = chunk.split_at(line_len);
            if self.len == 0 && line.len() <= BODY_LEN_MAX && self.framing != Framing::Hex {
                self.count += 1;
                batch.push(line);
            } else {
                self.extend(line, batch);
                self.end_line(batch);
            }
            chunk = &rest[1..];
        }
        self.extend(chunk, batch);
    }

    /// Takes the end of the input and adds the line that nothing ended, if there is one.
    pub fn finish(mut self, batch: &mut Batch) {
        if self.len > 0 {
            self.end_line(batch);
        }
    }

    fn extend(&mut self, mut bytes: &[u8], batch: &mut Batch) {
        if self.framing == Framing::Hex {
            return bytes.iter().for_each(|&byte| self.extend_hex(byte));
        }
        self.len = self.len.saturating_add(bytes.len());
        loop {
            let free = self.kept_max() - self.kept.len();
            let (kept, rest) = bytes.split_at(free.min(bytes.len()));
            self.kept.extend_from_slice(kept);
            if rest.is_empty() || !self.is_splitting {
                return;
            }
            bytes = rest;
            self.split_off(batch);
        }
    }

    fn extend_hex(&mut self, byte: u8) {
        let is_space = is_hex_space(byte);
        self.len += usize::from(!is_space);
        let is_repeated = is_space && self.kept.last().is_none_or(|&last| is_hex_space(last));
        if !is_repeated && self.kept.len() < self.kept_max() {
            self.kept.push(byte);
        }
    }

    /// Adds the first part of a line that is too long to `batch`, and keeps the rest.
    fn split_off(&mut self, batch: &mut Batch) {
        let part = part_len(&self.kept, BODY_LEN_MAX);
        batch.push(&self.kept[..part]);
        self.kept.drain(..part);
    }

    fn end_line(&mut self, batch: &mut Batch) {
        self.count += 1;
        while self.is_splitting && self.kept.len() > BODY_LEN_MAX {
            self.split_off(batch);
        }
        match self.body() {
            Ok(()) => batch.push(&self.kept),
            Err(cause) => batch.refused.push(RefusedLine {
                number: self.count,
                cause,
            }),
        }
        self.kept.clear();
        self.len = 0;
    }

    /// Makes a body of the line.
    fn body(&mut self) -> Result<(), LineError> {
        if self.framing == Framing::Hex {
            if self.len > 2 * BODY_LEN_MAX {
                let len = self.len.div_ceil(2);
                return Err(BodyTooLong { len }.into());
            }
            let len = decode_hex(&mut self.kept).ok_or(LineError::Hex)?;
            self.kept.truncate(len);
        } else if !self.is_splitting && self.len > BODY_LEN_MAX {
            return Err(BodyTooLong { len: self.len }.into());
        }
        Ok(())
    }

    /// How many bytes of a line are kept: one more than are needed to say that it is too long.
    fn kept_max(&self) -> usize {
        match self.framing {
            Framing::Hex => HEX_LEN_MAX,
            _ => BODY_LEN_MAX + 1,
        }
    }
}

impl Batch {
    /// Adds a message with a body of up to 255 bytes.
    fn push(&mut self, body: &[u8]) {
        let len = u8::try_from(body.len()).expect("the length was looked at before");
        self.wire.push(len);
        self.wire.extend_from_slice(body);
        self.count += 1;
    }
}

/// Returns how many bytes of a line that is longer than `len_max` are sent first.
pub(crate) fn part_len(line: &[u8], len_max: usize) -> usize {
    let full = &line[..len_max];
    let start = full.iter().position(|&byte| byte != b' ');
    let space = full.iter().rposition(|&byte| byte == b' ');
    if let Some(space) = space.filter(|&space| start.is_some_and(|start| start < space)) {
        return space + 1;
    }
    // A character has at most four bytes, of which all but the first begin with the bits 10.
    let is_inside = |len: &usize| line[*len] & 0b1100_0000 == 0b1000_0000;
    let between = (len_max - 3..=len_max).rev().find(|len| !is_inside(len));
    between.unwrap_or(len_max)
}

/// Decodes hexadecimal digits in place and returns how many bytes they are.
fn decode_hex(line: &mut [u8]) -> Option<usize> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut len = 0;
    let mut index = 0;
    while index < line.len() {
        if is_hex_space(line[index]) {
            index += 1;
            continue;
        }
        let (high, low) = (digit(line[index])?, digit(*line.get(index + 1)?)?);
        line[len] = high << 4 | low;
        len += 1;
        index += 2;
    }
    Some(len)
}

fn is_hex_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// How many bytes of a line in hexadecimal are kept: two digits and a space for each byte of the
/// longest body, and one more digit to say that it is too long.
const HEX_LEN_MAX: usize = 3 * BODY_LEN_MAX + 1;

#[cfg(test)]
mod tests;
