//! The log: the wire bytes of all messages, in order, in memory of bounded size.
//!
//! Memory comes in *segments* of equal length. The part of the newest segment that may still grow
//! is the *open* chunk. A reader that reaches it splits it off as a *sealed* chunk, which is
//! immutable and shared from then on; a new open chunk follows it in the same segment. Sealing is
//! lazy: as long as nobody reads, a segment fills up as one chunk. Where there is little to read in
//! the open chunk, readers get a copy of it instead, one for all.
//!
//! Every chunk counts the cursors in it. A chunk that no cursor can reach any more is let go at
//! once, and its segment is used again, so a log whose readers keep up lives in a segment or two,
//! however large its capacity. A cursor whose chunk was let go because the log was full is
//! *overrun*. It is counted too, since it will resume at what is retained.
//!
//! A part of the capacity may be a [backlog](Backlog) for laggards.

mod backlog;
mod chunk;
mod reading;
mod stretch;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use chat_proto::{MESSAGE_LEN_MAX, Messages};

use self::backlog::Backlog;
pub(crate) use self::chunk::Pace;
use self::chunk::{Chunk, check_chunks, span};
pub(crate) use self::reading::{PIECES_MAX, STRETCH_LEN};
use self::stretch::Piece;
pub(crate) use self::stretch::Stretch;
use crate::position::Place;

/// A bounded, append-only log of whole messages, with counted cursors into it.
#[derive(Debug)]
pub(crate) struct Log {
    // Invariant: never empty; the last chunk is the open one, whose bytes are in `open`; the
    // others are sealed.
    // Invariant: the chunks are contiguous: each starts where its predecessor ends, and the last
    // one ends at `end`.
    // Invariant: end - chunks[0].start <= capacity, unless only the open chunk is left.
    chunks: VecDeque<Chunk>,
    backlog: Backlog,
    /// Number of the chunk `chunks[0]`, counted from the first chunk of the log's life.
    front_seq: u64,
    open: BytesMut,
    end: Place,
    /// How many cursors the log has overrun. As long as there is one, the log retains what it can,
    /// for it to resume at.
    overrun_count: u32,
    /// The last copy of a short end of the log, kept for the next reader: readers that keep up all
    /// ask for the same.
    copy: Piece,
    /// A segment that nobody uses, kept so that a steady flow allocates nothing.
    spare: Option<BytesMut>,
    capacity: u64,
    segment_len: usize,
}

/// A subscriber's place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) place: Place,
    /// Number of the chunk in which the cursor is counted. The cursor is in that chunk or at its
    /// end.
    seq: u64,
}

impl Log {
    /// Makes an empty log. `capacity` is in bytes and at least [`CAPACITY_MIN`]; `backlog_len` of
    /// them are a backlog.
    pub(crate) fn new(capacity: usize, backlog_len: usize) -> Self {
        debug_assert!(capacity >= CAPACITY_MIN && backlog_len < capacity);
        Self {
            chunks: VecDeque::from([Chunk::open_at(Place::default())]),
            backlog: Backlog::new(backlog_len),
            front_seq: 0,
            open: BytesMut::new(),
            end: Place::default(),
            overrun_count: 0,
            copy: Piece::default(),
            spare: None,
            capacity: (capacity - backlog_len) as u64,
            segment_len: (capacity / SEGMENTS_MIN).min(SEGMENT_LEN_MAX),
        }
    }

    /// Appends messages, letting go of the oldest chunks where the capacity demands it.
    ///
    /// Copies the bytes. Scans them only where a segment ends inside `messages`.
    pub(crate) fn append(&mut self, mut messages: Messages<'_>) {
        while !messages.is_empty() {
            let part = messages.take_len(self.open.capacity() - self.open.len());
            if part.is_empty() {
                self.next_segment();
                continue;
            }
            self.open.extend_from_slice(part.as_bytes());
            self.end = self.end.after(part.as_bytes().len(), part.count());
            self.let_go();
        }
    }

    /// Counts a new cursor at the end of the log.
    pub(crate) fn join(&mut self, pace: Pace) -> Cursor {
        let cursor = self.tail();
        self.count_in(cursor, pace);
        cursor
    }

    /// Counts a new cursor at `place`, a message boundary, if that has not been let go.
    pub(crate) fn join_at(&mut self, place: Place, pace: Pace) -> Option<Cursor> {
        if place > self.end {
            return None;
        }
        let after = self.chunks.partition_point(|chunk| chunk.start <= place);
        let seq = self.front_seq + after.checked_sub(1)? as u64;
        let cursor = Cursor { place, seq };
        self.count_in(cursor, pace);
        Some(cursor)
    }

    /// Stops counting a cursor.
    pub(crate) fn leave(&mut self, cursor: Cursor, pace: Pace) {
        match self.chunk_mut(cursor.seq) {
            Some(chunk) => chunk.count_out(pace),
            None => self.overrun_count -= 1,
        }
        self.let_go();
    }

    /// Counts a cursor where it has got to. Takes constant time but for the chunks that are let go.
    pub(crate) fn advance(&mut self, from: (Cursor, Pace), to: (Cursor, Pace)) {
        if from.0.place < to.0.place && self.backlog.chunk(from.0.seq).is_some() {
            self.backlog.note_move(self.end);
        }
        if from.0.seq == to.0.seq && from.1 == to.1 {
            return;
        }
        self.count_in(to.0, to.1);
        self.leave(from.0, from.1);
    }

    /// Tells whether what a cursor would read next has been let go.
    pub(crate) fn is_overrun(&self, cursor: Cursor) -> bool {
        self.chunk(cursor.seq).is_none()
            || (self.is_frozen(cursor.seq) && cursor.place == self.backlog.end())
    }

    /// Tells whether everything from a cursor on is retained.
    pub(crate) fn is_retained(&self, cursor: Cursor) -> bool {
        self.chunk(cursor.seq).is_some() && !self.is_frozen(cursor.seq)
    }

    /// Returns a place on a chunk boundary about halfway between the oldest byte and the end.
    pub(crate) fn middle(&self) -> Cursor {
        let start = self.chunks[0].start.byte_pos;
        let middle = start + (self.end.byte_pos - start) / 2;
        let index = self
            .chunks
            .partition_point(|chunk| chunk.start.byte_pos < middle);
        let index = index.min(self.chunks.len() - 1);
        Cursor {
            place: self.chunks[index].start,
            seq: self.front_seq + index as u64,
        }
    }

    /// Returns the oldest place from which on everything is retained, as a cursor.
    pub(crate) fn oldest(&self) -> Cursor {
        Cursor {
            place: self.chunks[0].start,
            seq: self.front_seq,
        }
    }

    /// Returns the ends of what has been let go after a cursor; they are equal when nothing has.
    pub(crate) fn let_go_after(&self, cursor: Cursor) -> (Place, Place) {
        if self.is_retained(cursor) {
            return (cursor.place, cursor.place);
        }
        let from = if self.is_frozen(cursor.seq) && self.chunk(cursor.seq).is_some() {
            self.backlog.end()
        } else {
            cursor.place
        };
        (from, self.chunks[0].start)
    }

    /// Returns the end of the log, as a cursor.
    pub(crate) fn tail(&self) -> Cursor {
        Cursor {
            place: self.end,
            seq: self.open_seq(),
        }
    }

    /// Returns a byte position that no awaited cursor is before. It is up to a segment too low.
    pub(crate) fn slowest_awaited(&self) -> u64 {
        // The chunks before it hold unawaited cursors alone: few, and none at all when everybody
        // keeps up.
        let slowest = self.all_chunks().find(|chunk| chunk.awaited_count > 0);
        slowest.map_or(self.end.byte_pos, |chunk| chunk.start.byte_pos)
    }

    /// Returns how many bytes the slowest cursor is behind the end. It is up to a segment too high,
    /// and the capacity when the log has overrun a cursor.
    pub(crate) fn lag_max(&self) -> u64 {
        if self.overrun_count > 0 {
            return self.capacity;
        }
        let slowest = self.all_chunks().find(|chunk| chunk.cursor_count > 0);
        slowest.map_or(0, |chunk| self.end.byte_pos - chunk.start.byte_pos)
    }

    /// Tells whether publishers wait for any cursor in the chunk in which `cursor` is counted.
    pub(crate) fn has_awaited_beside(&self, cursor: Cursor) -> bool {
        self.chunk(cursor.seq)
            .is_some_and(|chunk| chunk.awaited_count > 0)
    }

    /// Returns how many cursors the log has overrun.
    pub(crate) fn overrun_count(&self) -> u32 {
        self.overrun_count
    }

    /// Returns the place after the last message.
    pub(crate) fn end(&self) -> Place {
        self.end
    }

    /// Returns how many bytes are retained, those of the backlog included.
    pub(crate) fn retained_len(&self) -> u64 {
        self.end.byte_pos - self.chunks[0].start.byte_pos + self.backlog.len()
    }

    /// Returns the capacity in bytes, but for the backlog.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Seals the open chunk and goes on in another segment: a used one where nobody needs it any
    /// more, else a new one.
    fn next_segment(&mut self) {
        self.seal();
        self.let_go();
        self.check();
        if self.open.try_reclaim(self.segment_len) {
            return;
        }
        let spare = self.spare.take();
        self.open = spare.unwrap_or_else(|| BytesMut::with_capacity(self.segment_len));
    }

    /// Lets go of the oldest chunks: those no cursor can reach, and those beyond the capacity.
    fn let_go(&mut self) {
        while let Some(bytes) = self.backlog.trim() {
            self.recycle(bytes);
        }
        while self.chunks.len() > 1 {
            let oldest = &self.chunks[0];
            let is_awaited = !self.backlog.is_empty() && !self.backlog.is_frozen(self.front_seq);
            let is_needed = oldest.cursor_count > 0 || self.overrun_count > 0 || is_awaited;
            if is_needed && self.end.byte_pos - oldest.start.byte_pos <= self.capacity {
                return;
            }
            let Some(chunk) = self.chunks.pop_front() else {
                return;
            };
            self.front_seq += 1;
            if let Some(chunk) = self.hold(chunk) {
                self.overrun_count += chunk.cursor_count;
                self.recycle(chunk.bytes);
            }
        }
    }

    /// Puts the chunk that was let go last into the backlog; gives it back when it is not kept.
    fn hold(&mut self, chunk: Chunk) -> Option<Chunk> {
        let (seq, end) = (self.front_seq - 1, self.chunks[0].start);
        let is_stale = self.backlog.is_stale(self.end, self.capacity);
        if chunk.cursor_count > 0 && is_stale && seq != self.backlog.next_seq() {
            self.clear_backlog();
        }
        self.backlog.take(seq, chunk, end, self.end)
    }

    /// Lets go of the backlog: its readers are overrun.
    fn clear_backlog(&mut self) {
        while let Some(chunk) = self.backlog.clear_one() {
            self.overrun_count += chunk.cursor_count;
            self.recycle(chunk.bytes);
        }
    }

    /// Keeps the segment of a chunk for the next need, if nobody else holds a part of it.
    fn recycle(&mut self, bytes: Bytes) {
        if self.spare.is_some() {
            return;
        }
        if let Ok(mut segment) = bytes.try_into_mut() {
            segment.clear();
            if segment.try_reclaim(self.segment_len) {
                self.spare = Some(segment);
            }
        }
    }

    fn count_in(&mut self, cursor: Cursor, pace: Pace) {
        match self.chunk_mut(cursor.seq) {
            Some(chunk) => chunk.count_in(pace),
            None => self.overrun_count += 1,
        }
    }

    /// Iterates over all chunks, the oldest first.
    fn all_chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.backlog.chunks().chain(&self.chunks)
    }

    /// Returns a chunk by its number, or `None` when it has been let go.
    fn chunk(&self, seq: u64) -> Option<&Chunk> {
        match self.index(seq) {
            Some(index) => self.chunks.get(index),
            None => self.backlog.chunk(seq),
        }
    }

    fn chunk_mut(&mut self, seq: u64) -> Option<&mut Chunk> {
        match self.index(seq) {
            Some(index) => self.chunks.get_mut(index),
            None => self.backlog.chunk_mut(seq),
        }
    }

    /// Returns the index in `chunks` of a chunk by its number, or `None` when it is not there any
    /// more.
    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.front_seq)?).ok()
    }

    /// Tells whether a chunk is in the backlog, and messages after the backlog have been let go.
    fn is_frozen(&self, seq: u64) -> bool {
        seq < self.front_seq && self.backlog.is_frozen(self.front_seq)
    }

    fn open_seq(&self) -> u64 {
        self.front_seq + self.chunks.len() as u64 - 1
    }

    fn chunk_end(&self, seq: u64) -> Place {
        let is_held = seq < self.front_seq;
        let end = if is_held {
            self.backlog.end()
        } else {
            self.end
        };
        self.chunk(seq + 1).map_or(end, |next| next.start)
    }

    /// Checks the invariants, in debug builds; once a segment, since it looks at the whole log.
    fn check(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let last = self.chunks.len() - 1;
        let live = self.chunks.iter().enumerate().map(|(index, chunk)| {
            let is_open = index == last;
            (
                chunk,
                if is_open {
                    &self.open[..]
                } else {
                    &chunk.bytes[..]
                },
            )
        });
        let start = self.chunks[0].start;
        let end = check_chunks(start, live);
        assert_eq!(end, self.end, "the last chunk ends where the log does");
        assert!(last == 0 || span(start, self.end) as u64 <= self.capacity);
        self.backlog.check(self.front_seq, start);
    }
}

/// The smallest capacity, in bytes: 32 of the longest messages. The rules about parts of the log
/// are exact to a segment and a message, which must be little beside those parts. A judgement.
pub(crate) const CAPACITY_MIN: usize = 32 * MESSAGE_LEN_MAX;

/// Length of a segment in bytes, unless the capacity is small. Long enough that its allocation is
/// nothing beside the messages in it, short enough to stay in a second-level cache. A judgement.
const SEGMENT_LEN_MAX: usize = 64 * 1024;

/// How many segments the capacity is cut into, at least. A judgement: so many still hold two of the
/// longest messages each.
const SEGMENTS_MIN: usize = 16;
