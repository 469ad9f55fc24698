//! The backlog: chunks that some policies keep for laggards, beside the rest of the log.

use std::collections::VecDeque;

use bytes::Bytes;

use super::chunk::{Chunk, check_chunks, span};
use crate::position::Place;

/// Chunks that the rest of the log has no room for, kept until they are read.
///
/// The backlog is *attached* as long as the rest of the log goes on where it ends. From the first
/// chunk that it cannot take, it is *frozen*.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    // Invariant: the chunks are contiguous, sealed, and end at `end`.
    // Invariant: end - chunks[0].start <= capacity.
    // Invariant: a cursor is counted in the first of them.
    chunks: VecDeque<Chunk>,
    /// Number of the chunk `chunks[0]`.
    front_seq: u64,
    end: Place,
    capacity: u64,
    /// Where the log ended when a cursor in the backlog last moved on.
    moved_pos: u64,
}

impl Backlog {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity as u64,
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Returns how many bytes it keeps.
    pub(super) fn len(&self) -> u64 {
        let first = self.chunks.front();
        first.map_or(0, |first| self.end.byte_pos - first.start.byte_pos)
    }

    pub(super) fn end(&self) -> Place {
        self.end
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter()
    }

    /// Returns a chunk by its number, if it is in the backlog.
    pub(super) fn chunk(&self, seq: u64) -> Option<&Chunk> {
        self.chunks.get(self.index(seq)?)
    }

    pub(super) fn chunk_mut(&mut self, seq: u64) -> Option<&mut Chunk> {
        let index = self.index(seq)?;
        self.chunks.get_mut(index)
    }

    /// Tells whether messages after the backlog have been let go, when the rest of the log begins
    /// with the chunk `log_front_seq`.
    pub(super) fn is_frozen(&self, log_front_seq: u64) -> bool {
        self.next_seq() < log_front_seq
    }

    /// Notes that a cursor in the backlog moved on while the log ended at `log_end`.
    pub(super) fn note_move(&mut self, log_end: Place) {
        self.moved_pos = log_end.byte_pos;
    }

    /// Tells whether nobody has read from the backlog while `log_capacity` bytes were published.
    pub(super) fn is_stale(&self, log_end: Place, log_capacity: u64) -> bool {
        log_end.byte_pos - self.moved_pos > log_capacity
    }

    /// Takes the chunk with number `seq`, which ends at `end`. Gives it back when it does not keep
    /// it: nobody reads it, it does not go on where the backlog ends, or there is no room.
    pub(super) fn take(
        &mut self,
        seq: u64,
        chunk: Chunk,
        end: Place,
        log_end: Place,
    ) -> Option<Chunk> {
        if self.chunks.is_empty() {
            if chunk.cursor_count == 0 {
                return Some(chunk);
            }
            (self.front_seq, self.moved_pos) = (seq, log_end.byte_pos);
        }
        let start = self.chunks.front().unwrap_or(&chunk).start;
        if seq != self.next_seq() || end.byte_pos - start.byte_pos > self.capacity {
            return Some(chunk);
        }
        self.chunks.push_back(chunk);
        self.end = end;
        None
    }

    /// Lets go of the first chunk if all its readers have read it. Returns its bytes.
    pub(super) fn trim(&mut self) -> Option<Bytes> {
        if self.chunks.front()?.cursor_count > 0 {
            return None;
        }
        self.front_seq += 1;
        self.chunks.pop_front().map(|chunk| chunk.bytes)
    }

    /// Lets go of the first chunk, even if somebody reads it.
    pub(super) fn clear_one(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }

    /// Returns the number of the chunk that the backlog would take next.
    pub(super) fn next_seq(&self) -> u64 {
        self.front_seq + self.chunks.len() as u64
    }

    /// Checks the invariants against the start of the rest of the log.
    pub(super) fn check(&self, log_front_seq: u64, log_start: Place) {
        let Some(first) = self.chunks.front() else {
            return;
        };
        let held = self.chunks.iter().map(|chunk| (chunk, &chunk.bytes[..]));
        let end = check_chunks(first.start, held);
        assert_eq!(end, self.end, "the backlog ends where it says");
        assert!(
            first.cursor_count > 0,
            "the backlog begins where somebody reads"
        );
        assert!(span(first.start, self.end) as u64 <= self.capacity);
        assert!(self.next_seq() <= log_front_seq && self.end <= log_start);
    }

    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.front_seq)?).ok()
    }
}
