//! A stretch of the log, which a subscriber reads at once.

use bytes::Bytes;
use chat_proto::Messages;
use smallvec::SmallVec;

use super::Cursor;
use crate::position::Place;

/// A stretch of the log for one subscriber to write.
#[derive(Debug)]
pub(crate) struct Stretch {
    // Invariant: the pieces are contiguous, and end at `end`; `byte_len` is the sum of their
    // lengths.
    pub(super) pieces: SmallVec<[Piece; 1]>,
    pub(super) byte_len: usize,
    /// Where the stretch ends.
    pub(super) end: Cursor,
    /// Number of the chunk of the first piece; every further piece is from the next chunk.
    pub(super) first_seq: u64,
}

/// Whole messages that lie contiguously in memory.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) start: Place,
}

impl Stretch {
    pub(super) fn new(start: Cursor) -> Self {
        Self {
            pieces: SmallVec::new(),
            byte_len: 0,
            end: start,
            first_seq: start.seq,
        }
    }

    pub(crate) fn byte_len(&self) -> usize {
        self.byte_len
    }

    pub(crate) fn message_count(&self) -> u64 {
        let start = self
            .pieces
            .first()
            .map_or(self.end.place, |piece| piece.start);
        self.end.place.message_pos - start.message_pos
    }

    pub(crate) fn chunks(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.pieces.iter().map(|piece| &piece.bytes)
    }

    /// Iterates over the pieces as runs of messages. Scans nothing.
    pub(crate) fn messages(&self) -> impl ExactSizeIterator<Item = Messages<'_>> {
        self.pieces.iter().enumerate().map(|(index, piece)| {
            let next = self.pieces.get(index + 1);
            let end = next.map_or(self.end.place, |next| next.start);
            let count = end.message_pos - piece.start.message_pos;
            let count = usize::try_from(count).expect("a piece is in memory");
            Messages::from_parts(&piece.bytes, count)
        })
    }

    /// Tells where a subscriber is that wrote the first `len` bytes, and what it still owes of the
    /// message that `len` falls into.
    ///
    /// Takes one step for each message of the piece that `len` falls into, and none when all was
    /// written.
    pub(crate) fn split_at(&self, len: usize) -> (Cursor, &[u8]) {
        if len == self.byte_len {
            return (self.end, &[]);
        }
        let (mut seq, mut offset) = (self.first_seq, len);
        for piece in &self.pieces {
            if offset < piece.bytes.len() {
                let boundary = chat_proto::boundary_from(&piece.bytes, offset)
                    .expect("a piece holds whole messages");
                let place = piece.start.after(boundary.offset, boundary.count);
                return (Cursor { place, seq }, &piece.bytes[offset..boundary.offset]);
            }
            offset -= piece.bytes.len();
            seq += 1;
        }
        (self.end, &[])
    }
}
