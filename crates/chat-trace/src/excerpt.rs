//! Bytes that arrived, for people.

use std::fmt;

use crate::payload::UNFINISHED_BYTE;

/// The beginning of some bytes, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    len: usize,
    bytes: [u8; SHOWN_LEN],
}

impl Excerpt {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut shown = [0; SHOWN_LEN];
        let len = bytes.len().min(SHOWN_LEN);
        shown[..len].copy_from_slice(&bytes[..len]);
        Self {
            len: bytes.len(),
            bytes: shown,
        }
    }

    /// Tells whether these are bytes of a message that a client left inside.
    pub(crate) fn is_unfinished(&self) -> bool {
        let shown = &self.bytes[..self.len.min(SHOWN_LEN)];
        !shown.is_empty() && shown.iter().all(|&byte| byte == UNFINISHED_BYTE)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the shown bytes in hexadecimal.
    fn hex(&self) -> String {
        let shown = &self.bytes[..self.len.min(SHOWN_LEN)];
        let hex: Vec<_> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = if self.len > SHOWN_LEN { " …" } else { "" };
        hex.join(" ") + more
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = if self.len == 1 { "byte" } else { "bytes" };
        write!(f, "{} {bytes} ({})", self.len, self.hex())
    }
}

/// Where a body that arrived differs from the one that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    sent_len: usize,
    received_len: usize,
    /// The first byte that differs, from 0 on.
    offset: usize,
    sent: Excerpt,
    received: Excerpt,
}

impl Difference {
    pub(crate) fn between(sent: &[u8], received: &[u8]) -> Self {
        let equal = sent
            .iter()
            .zip(received)
            .take_while(|(one, other)| one == other);
        let offset = equal.count();
        Self {
            sent_len: sent.len(),
            received_len: received.len(),
            offset,
            sent: Excerpt::of(&sent[offset..]),
            received: Excerpt::of(&received[offset..]),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sent_len == self.received_len {
            write!(f, "of its {} bytes", self.sent_len)?;
        } else {
            write!(
                f,
                "with {} bytes instead of {}",
                self.received_len, self.sent_len
            )?;
        }
        let part = |part: &Excerpt| match part.len() {
            0 => "its end".to_owned(),
            _ => part.hex(),
        };
        write!(
            f,
            ", those from number {} on are {} instead of {}",
            self.offset,
            part(&self.received),
            part(&self.sent)
        )
    }
}

/// How many bytes are shown. A judgement: a tag, and as many again.
const SHOWN_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_are_shown() {
        assert_eq!(Excerpt::of(b"").to_string(), "0 bytes ()");
        assert_eq!(Excerpt::of(b"a").to_string(), "1 byte (61)");
        let long = Excerpt::of(&[0xff; 200]).to_string();
        assert!(
            long.starts_with("200 bytes (ff ff ") && long.ends_with("ff …)"),
            "{long}"
        );
    }

    #[test]
    fn a_difference_is_shown_from_its_first_byte_on() {
        let told = Difference::between(b"hello", b"heLlo").to_string();
        assert_eq!(
            told,
            "of its 5 bytes, those from number 2 on are 4c 6c 6f instead of 6c 6c 6f"
        );
        let told = Difference::between(b"hello", b"hel").to_string();
        assert_eq!(
            told,
            "with 3 bytes instead of 5, those from number 3 on are its end instead of 6c 6f"
        );
    }
}
