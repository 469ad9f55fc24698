//! Turns input, chunk by chunk, into encoded messages.

use chat_proto::{BODY_LEN_MAX, Body, BodyTooLong};

/// Splits input into lines and encodes each as a message, whatever chunks the input comes in.
///
/// A line is what a newline ends, without the newline; bytes of any value, none at all included.
/// What follows the last newline is a line too, unless it is empty. Of a line that is too long only
/// the length is kept, so memory is bounded by the chunk.
#[derive(Debug)]
pub(crate) struct Lines {
    // Invariant: `start` begins with the first min(len, BODY_LEN_MAX) bytes of the unfinished
    // line, whose length so far is `len`.
    start: [u8; BODY_LEN_MAX],
    len: usize,
    // How many lines have ended.
    count: u64,
}

impl Lines {
    /// Starts at the beginning of the input.
    pub(crate) fn new() -> Self {
        Self {
            start: [0; BODY_LEN_MAX],
            len: 0,
            count: 0,
        }
    }

    /// Takes the next chunk of the input and adds the lines that end in it to `batch`.
    pub(crate) fn push(&mut self, mut chunk: &[u8], batch: &mut Batch) {
        while let Some(line_len) = chunk.iter().position(|&byte| byte == b'\n') {
            self.extend(&chunk[..line_len]);
            self.end_line(batch);
            chunk = &chunk[line_len + 1..];
        }
        self.extend(chunk);
    }

    /// Takes the end of the input and adds the line that no newline ended, if there is one.
    pub(crate) fn finish(mut self, batch: &mut Batch) {
        if self.len > 0 {
            self.end_line(batch);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if let Some(free) = self.start.get_mut(self.len..) {
            let len = free.len().min(bytes.len());
            free[..len].copy_from_slice(&bytes[..len]);
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    fn end_line(&mut self, batch: &mut Batch) {
        self.count += 1;
        let len = std::mem::take(&mut self.len);
        if len > BODY_LEN_MAX {
            batch.refused.push(RefusedLine {
                number: self.count,
                cause: BodyTooLong { len },
            });
            return;
        }
        let body =
            Body::new(&self.start[..len]).expect("the length was compared with the limit above");
        batch.wire.push(body.header());
        batch.wire.extend_from_slice(body.as_bytes());
    }
}

/// What lines came to: messages to send and lines to refuse.
///
/// The messages of one chunk are at most [`BODY_LEN_MAX`] bytes longer than the chunk: a header
/// takes the place of each newline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The messages in their wire form, in order.
    pub(crate) wire: Vec<u8>,
    /// The lines that are no messages, in order.
    pub(crate) refused: Vec<RefusedLine>,
}

/// Says that a line is too long for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {cause}")]
pub(crate) struct RefusedLine {
    /// Which line it is, from 1.
    pub(crate) number: u64,
    /// How long it is, and the limit.
    pub(crate) cause: BodyTooLong,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Splits the whole input at once, with nothing but the standard library.
    fn split_naively(input: &[u8]) -> Batch {
        let mut batch = Batch::default();
        let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
        lines.pop_if(|last| last.is_empty());
        for (number, line) in (1..).zip(lines) {
            match u8::try_from(line.len()) {
                Ok(header) => batch.wire.extend([&[header], line].concat()),
                Err(_) => batch.refused.push(RefusedLine {
                    number,
                    cause: BodyTooLong { len: line.len() },
                }),
            }
        }
        batch
    }

    fn split_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Batch {
        let (mut lines, mut batch) = (Lines::new(), Batch::default());
        for chunk in chunks {
            lines.push(chunk, &mut batch);
        }
        lines.finish(&mut batch);
        batch
    }

    #[track_caller]
    fn check(input: &[u8], wire: &[u8], refused: &[(u64, usize)]) {
        let batch = split_chunks([input]);
        assert_eq!(batch.wire, wire);
        let counted: Vec<_> = batch
            .refused
            .iter()
            .map(|line| (line.number, line.cause.len))
            .collect();
        assert_eq!(counted, refused);
    }

    #[test]
    fn a_line_is_what_a_newline_ends() {
        check(b"", b"", &[]);
        check(b"\n", b"\0", &[]);
        check(b"one\n", b"\x03one", &[]);
        check(b"one\n\ntwo", b"\x03one\0\x03two", &[]);
        check(b"\r\n\xFF\0\n", b"\x01\r\x02\xFF\0", &[]);
    }

    #[test]
    fn a_line_may_have_255_bytes_and_no_more() {
        check(&[b'x'; 255], &[&[255], &[b'x'; 255][..]].concat(), &[]);
        check(&[b'x'; 256], b"", &[(1, 256)]);
        check(
            &[&[b'x'; 300], &b"\nok\n"[..], &[b'x'; 256]].concat(),
            b"\x02ok",
            &[(1, 300), (3, 256)],
        );
    }

    #[test]
    fn a_refused_line_names_its_length_and_the_limit() {
        let refused = RefusedLine {
            number: 7,
            cause: BodyTooLong { len: 300 },
        };
        assert_eq!(
            refused.to_string(),
            "line 7: a body has at most 255 bytes, not 300"
        );
    }

    #[test]
    fn a_split_at_any_byte_changes_nothing() {
        let lines = [
            &b"one"[..],
            b"",
            &[b'x'; 255],
            &[b'y'; 256],
            b"\r",
            &[b'z'; 600],
            b"last",
        ];
        let input = lines.join(&b'\n');
        let expected = split_naively(&input);
        assert_eq!(
            (expected.wire.len(), expected.refused.len()),
            (4 + 1 + 256 + 2 + 5, 2)
        );
        for cut in 0..=input.len() {
            let (first, second) = input.split_at(cut);
            assert_eq!(split_chunks([first, second]), expected, "cut at {cut}");
        }
        assert_eq!(split_chunks(input.chunks(1)), expected, "byte by byte");
    }

    proptest! {
        #[test]
        fn any_input_in_any_chunks_splits_as_the_naive_splitter_says(
            lens in prop::collection::vec(prop_oneof![0..4_usize, 253..259_usize, 0..2000_usize], 0..12),
            filler in any::<u8>(),
            chunk_lens in prop::collection::vec(prop_oneof![0..3_usize, 0..700_usize], 1..8),
        ) {
            let input = lens.iter().map(|&len| vec![filler; len]).collect::<Vec<_>>().join(&b'\n');
            let mut rest = &input[..];
            let mut chunks = Vec::new();
            for &len in chunk_lens.iter().cycle().take(100) {
                let (chunk, after) = rest.split_at(len.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            prop_assert_eq!(split_chunks(chunks), split_naively(&input));
        }
    }
}
