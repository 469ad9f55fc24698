//! What went over the wires of a case, kept so that a failure can be told.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The transcripts of all clients of a case, in the order in which they connected.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// Guards the list, not what is in it.
    transcripts: Mutex<Vec<Arc<Transcript>>>,
}

impl Story {
    /// Begins the transcript of another client.
    pub(crate) fn begin(&self) -> Arc<Transcript> {
        let mut transcripts = self.transcripts();
        let transcript = Arc::new(Transcript::new(transcripts.len()));
        transcripts.push(Arc::clone(&transcript));
        transcript
    }

    /// Returns what clients sent last: `client` first, if there is one, then others, up to
    /// [`TOLD_CLIENTS_MAX`].
    pub(crate) fn sent(&self, client: Option<usize>) -> Vec<Sent> {
        let transcripts = self.transcripts();
        let first = client.and_then(|client| transcripts.get(client));
        let others = transcripts.iter().filter(|transcript| {
            Some(transcript.client) != client && !transcript.sent().bytes.is_empty()
        });
        let told = first.into_iter().chain(others).take(TOLD_CLIENTS_MAX);
        told.map(|transcript| transcript.told()).collect()
    }

    fn transcripts(&self) -> MutexGuard<'_, Vec<Arc<Transcript>>> {
        self.transcripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one client sent and received.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) client: usize,
    /// Guards what the sending side appends and the telling of a failure reads.
    sent: Mutex<Kept>,
    /// Guards what the receiving side appends, in the same way.
    received: Mutex<Kept>,
}

impl Transcript {
    fn new(client: usize) -> Self {
        Self {
            client,
            sent: Mutex::default(),
            received: Mutex::default(),
        }
    }

    /// Returns the place for what is sent.
    pub(crate) fn sent(&self) -> MutexGuard<'_, Kept> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the place for what is received.
    pub(crate) fn received(&self) -> MutexGuard<'_, Kept> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> Sent {
        let sent = self.sent();
        let bytes = &sent.bytes[sent.bytes.len().saturating_sub(TOLD_LEN_MAX)..];
        Sent {
            client: self.client,
            total_len: sent.end(),
            last_bytes: bytes.to_vec(),
        }
    }
}

/// The end of a stream of bytes.
// Invariant: bytes.len() <= 2 * KEPT_LEN.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The position of the first byte that is kept.
    pos: u64,
    bytes: Vec<u8>,
}

impl Kept {
    /// Appends bytes. The oldest make room.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT_LEN {
            let surplus = self.bytes.len() - KEPT_LEN;
            self.bytes.drain(..surplus);
            self.pos += surplus as u64;
        }
    }

    /// Returns the position of the end.
    pub(crate) fn end(&self) -> u64 {
        self.pos + self.bytes.len() as u64
    }

    /// Returns what is kept of the bytes from `pos` on, up to [`TOLD_LEN_MAX`].
    pub(crate) fn since(&self, pos: u64) -> Vec<u8> {
        let start = usize::try_from(pos.saturating_sub(self.pos)).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default();
        rest[..rest.len().min(TOLD_LEN_MAX)].to_vec()
    }
}

/// What one client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The client's number in the case, from 0.
    pub client: usize,
    /// How many bytes it sent.
    pub total_len: u64,
    /// The last of them.
    pub last_bytes: Vec<u8>,
}

/// Returns where two strings of bytes differ first, if they do. A string differs from a longer one
/// where it ends.
pub(crate) fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let common = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    (common < one.len().max(other.len())).then_some(common)
}

/// Writes bytes for people: sixteen a line, in hexadecimal and as text. Of many, only the lines
/// around `pos` are shown.
pub(crate) struct HexDump<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) pos: usize,
    pub(crate) indent: &'static str,
}

impl fmt::Display for HexDump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, pos, indent } = *self;
        if bytes.is_empty() {
            return writeln!(f, "{indent}(nothing)");
        }
        let lines = bytes.chunks(DUMP_WIDTH).enumerate();
        let first = (pos / DUMP_WIDTH).saturating_sub(DUMP_LINES_BEFORE);
        for (number, line) in lines.skip(first).take(DUMP_LINES_MAX) {
            let start = number * DUMP_WIDTH;
            let mut hex = String::new();
            for (column, byte) in line.iter().enumerate() {
                // The byte that is looked for stands in brackets.
                let (before, after) = match (start + column).cmp(&pos) {
                    _ if pos >= bytes.len() => (" ", ""),
                    std::cmp::Ordering::Equal => ("[", "]"),
                    _ if start + column == pos + 1 && column > 0 => ("", ""),
                    _ => (" ", ""),
                };
                write!(hex, "{before}{byte:02x}{after}")?;
            }
            let text: String = line.iter().map(|&byte| printable(byte)).collect();
            writeln!(f, "{indent}{start:04x} {hex:<50} |{text}|")?;
        }
        let shown = bytes.len().min((first + DUMP_LINES_MAX) * DUMP_WIDTH);
        if shown < bytes.len() {
            writeln!(f, "{indent}… and {} bytes more", bytes.len() - shown)?;
        }
        Ok(())
    }
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        byte.into()
    } else {
        '.'
    }
}

/// How many bytes of each direction of a connection are kept at least. A judgement: more than one
/// read brings.
const KEPT_LEN: usize = 16 << 10;

/// How many bytes a failure tells of. A judgement: two of the longest messages.
const TOLD_LEN_MAX: usize = 512;

/// How many clients a failure tells of. A judgement: more are not read.
const TOLD_CLIENTS_MAX: usize = 4;

/// How many bytes a line of a dump has, how many lines there are at most, and how many of them
/// before the byte that is looked for.
const DUMP_WIDTH: usize = 16;
const DUMP_LINES_MAX: usize = 8;
const DUMP_LINES_BEFORE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_marks_the_byte_that_is_looked_for() {
        let dump = HexDump {
            bytes: b"\x05hello\x00",
            pos: 2,
            indent: "  ",
        };
        assert_eq!(
            dump.to_string(),
            "  0000  05 68[65]6c 6c 6f 00                              |.hello.|\n"
        );
    }

    #[test]
    fn a_dump_of_many_bytes_shows_those_around_the_mark() {
        let bytes: Vec<u8> = (0..=255).collect();
        let dump = |pos| {
            let dump = HexDump {
                bytes: &bytes,
                pos,
                indent: "",
            };
            dump.to_string()
        };
        assert!(dump(0).starts_with("0000 [00]01 02"), "{}", dump(0));
        assert!(dump(0).ends_with("… and 128 bytes more\n"), "{}", dump(0));
        assert!(dump(200).starts_with("0090  90 91"), "{}", dump(200));
        assert!(dump(200).contains("c7[c8]c9"), "{}", dump(200));
        assert!(dump(999).lines().count() <= 1 + DUMP_LINES_MAX);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let dump = HexDump {
            bytes: b"",
            pos: 0,
            indent: "",
        };
        assert_eq!(dump.to_string(), "(nothing)\n");
    }

    #[test]
    fn strings_differ_where_they_differ_first() {
        assert_eq!(first_difference(b"", b""), None);
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"abd"), Some(2));
        assert_eq!(first_difference(b"ab", b"abd"), Some(2));
        assert_eq!(first_difference(b"abd", b""), Some(0));
    }

    #[test]
    fn of_a_long_stream_the_end_is_kept() {
        let mut kept = Kept::default();
        for n in 0..10 * KEPT_LEN {
            kept.push(&[n as u8]);
        }
        assert_eq!(kept.end(), 10 * KEPT_LEN as u64);
        assert!(kept.bytes.len() <= 2 * KEPT_LEN);
        assert_eq!(kept.since(kept.end() - 2), [254, 255]);
        assert!(kept.since(kept.end()).is_empty());
    }
}
