//! Chunks: contiguous whole messages, and how many cursors are in them.

use bytes::Bytes;
use chat_proto::Messages;

use crate::position::Place;

/// Whether publishers wait for a subscriber rather than overrun it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Awaited,
    Unawaited,
}

/// A stretch of the log that lies contiguously in memory.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) start: Place,
    /// Empty as long as the chunk is open.
    pub(super) bytes: Bytes,
    /// How many cursors are in this chunk.
    pub(super) cursor_count: u32,
    /// How many of them publishers wait for.
    pub(super) awaited_count: u32,
}

impl Chunk {
    pub(super) fn open_at(start: Place) -> Self {
        Self {
            start,
            bytes: Bytes::new(),
            cursor_count: 0,
            awaited_count: 0,
        }
    }

    pub(super) fn count_in(&mut self, pace: Pace) {
        self.cursor_count += 1;
        self.awaited_count += u32::from(pace == Pace::Awaited);
    }

    pub(super) fn count_out(&mut self, pace: Pace) {
        self.cursor_count -= 1;
        self.awaited_count -= u32::from(pace == Pace::Awaited);
    }
}

/// Checks that chunks are whole messages without a gap from `start` on; returns where they end.
pub(super) fn check_chunks<'a>(
    start: Place,
    chunks: impl Iterator<Item = (&'a Chunk, &'a [u8])>,
) -> Place {
    chunks.fold(start, |place, (chunk, bytes)| {
        assert_eq!(chunk.start, place, "chunks are contiguous");
        assert!(chunk.awaited_count <= chunk.cursor_count);
        let (messages, rest) = Messages::split(bytes);
        assert!(rest.is_empty(), "chunks hold whole messages");
        place.after(bytes.len(), messages.count())
    })
}

/// Returns how many bytes lie between two places that are both in memory.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is in memory has a length of usize"
)]
pub(super) fn span(from: Place, to: Place) -> usize {
    (to.byte_pos - from.byte_pos) as usize
}
