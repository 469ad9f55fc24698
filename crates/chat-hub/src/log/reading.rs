//! Reading the log.

use std::ops::Range;

use bytes::Bytes;

use super::chunk::{Chunk, span};
use super::stretch::Piece;
use super::{Cursor, Log, Stretch};
use crate::position::Place;

impl Log {
    /// Takes what lies between a cursor and `limit`, sealing the open chunk if it is reached.
    ///
    /// The stretch ends at a chunk boundary once it has [`STRETCH_LEN`] bytes or [`PIECES_MAX`]
    /// pieces.
    pub(crate) fn read(&mut self, cursor: Cursor, limit: Place) -> Stretch {
        debug_assert!(!self.is_overrun(cursor));
        let mut start = cursor;
        if cursor.place == self.chunk_end(cursor.seq) && cursor.seq < self.open_seq() {
            start.seq += 1;
        }
        let is_frozen = self.is_frozen(start.seq);
        let readable = if is_frozen {
            self.backlog.end()
        } else {
            self.end
        };
        let limit = limit.min(readable);
        let mut stretch = Stretch::new(start);
        while stretch.end.place < limit
            && stretch.byte_len < STRETCH_LEN
            && stretch.pieces.len() < PIECES_MAX
        {
            self.read_piece(&mut stretch, limit);
        }
        stretch
    }

    /// Reads one more piece, from the chunk in which the stretch ends so far.
    fn read_piece(&mut self, stretch: &mut Stretch, limit: Place) {
        let Cursor { place: start, seq } = stretch.end;
        let chunk_end = self.chunk_end(seq);
        let end = chunk_end.min(limit);
        let is_open = seq == self.open_seq();
        let chunk = self
            .chunk(seq)
            .expect("a stretch is read from chunks that are retained");
        let offset = span(chunk.start, start);
        let range = offset..offset + span(start, end);
        let bytes = if !is_open {
            chunk.bytes.slice(range)
        } else if range.len() <= COPY_LEN_MAX {
            self.copy_open(range, start)
        } else {
            self.seal().slice(range)
        };
        stretch.byte_len += bytes.len();
        stretch.pieces.push(Piece { bytes, start });
        let has_next = end == chunk_end && self.chunk(seq + 1).is_some();
        stretch.end = Cursor {
            place: end,
            seq: if has_next { seq + 1 } else { seq },
        };
    }

    /// Returns a copy of a range of the open chunk, which begins at `start`.
    fn copy_open(&mut self, range: Range<usize>, start: Place) -> Bytes {
        if self.copy.start != start || self.copy.bytes.len() != range.len() {
            let bytes = Bytes::copy_from_slice(&self.open[range]);
            self.copy = Piece { bytes, start };
        }
        self.copy.bytes.clone()
    }

    /// Makes the open chunk immutable, opens the next one after it, and returns its bytes.
    pub(super) fn seal(&mut self) -> Bytes {
        let bytes = self.open.split().freeze();
        if !bytes.is_empty() {
            let last = self.chunks.len() - 1;
            self.chunks[last].bytes = bytes.clone();
            self.chunks.push_back(Chunk::open_at(self.end));
        }
        bytes
    }
}

/// How much of the open chunk readers get as a copy, in bytes; only if there is more, the chunk is
/// sealed. For so little, a copy that all readers share costs less than one more chunk for the rest
/// of the chunk's life; and as sealed chunks are longer than this or end a segment, the bookkeeping
/// is bounded. A judgement: it is a small part of what writing so little to a socket costs.
const COPY_LEN_MAX: usize = 2048;

/// After how many bytes a stretch ends: what one turn of a writer may take. A judgement: a socket's
/// send buffer is about as long.
pub(crate) const STRETCH_LEN: usize = 256 * 1024;

/// How many pieces a stretch has at most: far below the 1024 that one vectored write takes on the
/// usual systems.
pub(crate) const PIECES_MAX: usize = 64;
