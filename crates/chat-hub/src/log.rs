//! The log: the wire bytes of all messages, in order, in memory of bounded size.
//!
//! Memory comes in *blocks* of equal length. What has been appended to the newest block and may
//! still grow is the *open* chunk; a reader that reaches it splits it off as a *sealed* chunk,
//! which is immutable and shared from then on, while the open chunk goes on behind it in the same
//! block. Sealing is lazy: as long as nobody reads, a block fills up as one chunk; and where there
//! is little to read in the open chunk, readers get a copy of it instead, one for all.
//!
//! Every chunk counts the cursors in it. A chunk that no cursor can reach any more is let go at
//! once, and the block behind it is used again, so a log whose readers keep up lives in a block or
//! two, however large its capacity. A cursor whose chunk was let go, because the log was full, is
//! *overrun*; it is counted too, since it will resume at what is retained.
//!
//! A part of the capacity may be a *window*: chunks that the rest has no room for go there as long
//! as it has, and stay until they are read. The window is *attached* as long as the rest goes on
//! where it ends; from the first chunk that it cannot take it is *frozen*.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use chat_proto::{MESSAGE_LEN_MAX, Messages};
use smallvec::SmallVec;

use crate::Position;

/// A bounded, append-only log of whole messages, with counted cursors into it.
#[derive(Debug)]
pub(crate) struct Log {
    // Invariant: never empty; the last chunk is the open one, whose bytes are in `open`; the
    // others are sealed. Invariant: the chunks are contiguous: each starts where its
    // predecessor ends, and the last one ends at `end`. Invariant: end - chunks[0].start <=
    // capacity, unless only the open chunk is left.
    chunks: VecDeque<Chunk>,
    window: Window,
    /// Number of the chunk `chunks[0]`, counted from the first chunk of the log's life.
    front_seq: u64,
    open: BytesMut,
    end: Position,
    /// How many cursors the log has overrun. As long as there is one, the log retains what it can,
    /// for it to resume at.
    overrun_count: u32,
    /// The last copy of a short end of the log, kept for the next reader: readers that keep up all
    /// ask for the same.
    copy: Piece,
    /// A block that nobody uses, kept so that a steady flow allocates nothing.
    spare: Option<BytesMut>,
    capacity: u64,
    block_len: usize,
}

/// What is kept for laggards beside the rest of the log.
#[derive(Debug, Default)]
struct Window {
    // Invariant: the chunks are contiguous, sealed, and end at `end`; end - chunks[0].start <=
    // capacity. Invariant: a cursor is counted in the first of them.
    chunks: VecDeque<Chunk>,
    /// Number of the chunk `chunks[0]`.
    front_seq: u64,
    end: Position,
    capacity: u64,
    /// Where the log ended when a cursor in the window last moved on.
    moved_pos: u64,
}

/// A subscriber's place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) pos: Position,
    /// Number of the chunk in which the cursor is counted. The cursor is in that chunk or at its
    /// end.
    seq: u64,
}

/// Whether publishers wait for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It can be written to: publishers wait rather than overrun it.
    Ready,
    /// It said that it cannot be written to: the log may overrun it.
    Blocked,
}

/// A stretch of the log for one subscriber to write.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) pieces: SmallVec<[Piece; 1]>,
    pub(crate) byte_len: usize,
    /// Where the stretch ends.
    pub(crate) end: Cursor,
    /// Number of the chunk of the first piece; every further piece is from the next chunk.
    first_seq: u64,
}

/// Whole messages that lie contiguously in memory.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    start: Position,
}

#[derive(Debug)]
struct Chunk {
    start: Position,
    /// Empty as long as the chunk is open.
    bytes: Bytes,
    /// How many cursors are in this chunk, and how many of them publishers wait for.
    cursor_count: u32,
    ready_count: u32,
}

impl Log {
    /// Makes an empty log. `capacity` is in bytes and at least [`CAPACITY_MIN`]; `window_len` of it
    /// are a window.
    pub(crate) fn new(capacity: usize, window_len: usize) -> Self {
        debug_assert!(capacity >= CAPACITY_MIN && window_len < capacity);
        Self {
            chunks: VecDeque::from([Chunk::open_at(Position::default())]),
            window: Window {
                capacity: window_len as u64,
                ..Window::default()
            },
            front_seq: 0,
            open: BytesMut::new(),
            end: Position::default(),
            overrun_count: 0,
            copy: Piece::default(),
            spare: None,
            capacity: (capacity - window_len) as u64,
            block_len: (capacity / BLOCKS_MIN).min(BLOCK_LEN_MAX),
        }
    }

    /// Appends messages, letting go of the oldest chunks where the capacity demands it.
    pub(crate) fn append(&mut self, mut messages: Messages<'_>) {
        while !messages.is_empty() {
            let part = messages.take_len(self.open.capacity() - self.open.len());
            if part.is_empty() {
                self.next_block();
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

    /// Stops counting a cursor.
    pub(crate) fn leave(&mut self, cursor: Cursor, pace: Pace) {
        self.count_out(cursor, pace);
        self.let_go();
    }

    /// Counts a cursor where it has got to. Takes constant time but for the chunks that are let go.
    pub(crate) fn advance(&mut self, from: (Cursor, Pace), to: (Cursor, Pace)) {
        if from.0.pos < to.0.pos && from.0.seq < self.front_seq && self.chunk(from.0.seq).is_some()
        {
            self.window.moved_pos = self.end.byte_pos;
        }
        if from.0.seq == to.0.seq && from.1 == to.1 {
            return;
        }
        self.count_in(to.0, to.1);
        self.leave(from.0, from.1);
    }

    /// Takes what lies between a cursor and `limit`, sealing the open chunk if it is reached.
    ///
    /// The stretch ends at a chunk boundary once it has [`STRETCH_LEN`] bytes or [`PIECES_MAX`]
    /// pieces.
    pub(crate) fn read(&mut self, cursor: Cursor, limit: Position) -> Stretch {
        debug_assert!(!self.is_overrun(cursor));
        let mut seq = cursor.seq;
        if cursor.pos == self.chunk_end(seq) && seq < self.open_seq() {
            seq += 1;
        }
        let readable = if self.is_frozen(seq) {
            self.window.end
        } else {
            self.end
        };
        let limit = limit.min(readable);
        let mut stretch = Stretch {
            pieces: SmallVec::new(),
            byte_len: 0,
            end: Cursor {
                pos: cursor.pos,
                seq,
            },
            first_seq: seq,
        };
        while stretch.end.pos < limit
            && stretch.byte_len < STRETCH_LEN
            && stretch.pieces.len() < PIECES_MAX
        {
            self.read_piece(&mut stretch, limit);
        }
        stretch
    }

    /// Tells whether what a cursor would read next has been let go.
    pub(crate) fn is_overrun(&self, cursor: Cursor) -> bool {
        self.chunk(cursor.seq).is_none()
            || (self.is_frozen(cursor.seq) && cursor.pos == self.window.end)
    }

    /// Tells whether what a cursor would read some time, though not next, has been let go.
    pub(crate) fn will_be_overrun(&self, cursor: Cursor) -> bool {
        self.chunk(cursor.seq).is_none() || self.is_frozen(cursor.seq)
    }

    /// Returns a place on a chunk boundary about halfway between the oldest byte and the end.
    pub(crate) fn middle(&self) -> Cursor {
        let start = self.chunks[0].start.byte_pos;
        let middle = start + (self.end.byte_pos - start) / 2;
        let index = self
            .chunks
            .partition_point(|chunk| chunk.start.byte_pos < middle)
            .min(self.chunks.len() - 1);
        Cursor {
            pos: self.chunks[index].start,
            seq: self.front_seq + index as u64,
        }
    }

    /// Returns the end of the log, as a place.
    pub(crate) fn tail(&self) -> Cursor {
        Cursor {
            pos: self.end,
            seq: self.open_seq(),
        }
    }

    /// Returns the byte position that no cursor which publishers wait for is before. It may be up
    /// to a block too low.
    pub(crate) fn slowest_ready(&self) -> u64 {
        // The chunks before it hold blocked cursors alone: few, and none at all when everybody
        // keeps up.
        let slowest = self
            .window
            .chunks
            .iter()
            .chain(&self.chunks)
            .find(|chunk| chunk.ready_count > 0);
        slowest.map_or(self.end.byte_pos, |chunk| chunk.start.byte_pos)
    }

    /// Returns the byte position that no cursor is before which has yet lost nothing. It may be up
    /// to a block too low.
    pub(crate) fn slowest(&self) -> u64 {
        if let Some(chunk) = self.window.chunks.front()
            && !self.is_frozen(self.window.front_seq)
        {
            return chunk.start.byte_pos;
        }
        let slowest = self.chunks.iter().find(|chunk| chunk.cursor_count > 0);
        slowest.map_or(self.end.byte_pos, |chunk| chunk.start.byte_pos)
    }

    /// Tells whether publishers wait for any cursor in the chunk in which `cursor` is counted.
    pub(crate) fn has_ready_beside(&self, cursor: Cursor) -> bool {
        self.chunk(cursor.seq)
            .is_some_and(|chunk| chunk.ready_count > 0)
    }

    /// Returns how many cursors the log has overrun.
    pub(crate) fn overrun_count(&self) -> u32 {
        self.overrun_count
    }

    /// Returns the position behind the last message.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Returns the capacity in bytes, but for the window.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Reads one more piece, from the chunk in which the stretch ends so far.
    fn read_piece(&mut self, stretch: &mut Stretch, limit: Position) {
        let Cursor { pos: start, seq } = stretch.end;
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
        let next_seq = if end == chunk_end && self.chunk(seq + 1).is_some() {
            seq + 1
        } else {
            seq
        };
        stretch.end = Cursor {
            pos: end,
            seq: next_seq,
        };
    }

    /// Returns a copy of a range of the open chunk, which begins at `start`.
    fn copy_open(&mut self, range: Range<usize>, start: Position) -> Bytes {
        if self.copy.start != start || self.copy.bytes.len() != range.len() {
            self.copy = Piece {
                bytes: Bytes::copy_from_slice(&self.open[range]),
                start,
            };
        }
        self.copy.bytes.clone()
    }

    /// Makes the open chunk immutable, opens the next one behind it, and returns its bytes.
    fn seal(&mut self) -> Bytes {
        let bytes = self.open.split().freeze();
        if !bytes.is_empty() {
            let last = self.chunks.len() - 1;
            self.chunks[last].bytes = bytes.clone();
            self.chunks.push_back(Chunk::open_at(self.end));
        }
        bytes
    }

    /// Seals the open chunk and goes on in a block of its own: a used one where nobody needs it any
    /// more, else a new one.
    fn next_block(&mut self) {
        self.seal();
        self.let_go();
        self.check();
        if self.open.try_reclaim(self.block_len) {
            return;
        }
        self.open = self
            .spare
            .take()
            .unwrap_or_else(|| BytesMut::with_capacity(self.block_len));
    }

    /// Lets go of the oldest chunks: those no cursor can reach, and those beyond the capacity.
    fn let_go(&mut self) {
        self.trim_window();
        while self.chunks.len() > 1 {
            let oldest = &self.chunks[0];
            let is_awaited =
                !self.window.chunks.is_empty() && !self.is_frozen(self.window.front_seq);
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

    /// Puts the chunk that was let go last into the window; gives it back when it is not to be
    /// kept.
    fn hold(&mut self, chunk: Chunk) -> Option<Chunk> {
        let (seq, end) = (self.front_seq - 1, self.chunks[0].start);
        let is_stale = self.end.byte_pos - self.window.moved_pos > self.capacity;
        if chunk.cursor_count > 0 && is_stale && seq != self.window.next_seq() {
            self.clear_window();
        }
        let window = &mut self.window;
        if window.chunks.is_empty() {
            if chunk.cursor_count == 0 {
                return Some(chunk);
            }
            (window.front_seq, window.moved_pos) = (seq, self.end.byte_pos);
        }
        let start = window.chunks.front().unwrap_or(&chunk).start;
        if seq != window.next_seq() || end.byte_pos - start.byte_pos > window.capacity {
            return Some(chunk);
        }
        window.chunks.push_back(chunk);
        window.end = end;
        None
    }

    /// Lets go of the chunks of the window that all its readers have read.
    fn trim_window(&mut self) {
        while self
            .window
            .chunks
            .front()
            .is_some_and(|chunk| chunk.cursor_count == 0)
        {
            let bytes = self
                .window
                .chunks
                .pop_front()
                .map(|chunk| chunk.bytes)
                .unwrap_or_default();
            self.window.front_seq += 1;
            self.recycle(bytes);
        }
    }

    /// Lets go of the window: its readers are overrun.
    fn clear_window(&mut self) {
        while let Some(chunk) = self.window.chunks.pop_front() {
            self.overrun_count += chunk.cursor_count;
            self.recycle(chunk.bytes);
        }
    }

    /// Keeps the block behind a chunk for the next need, if nobody else holds a part of it.
    fn recycle(&mut self, bytes: Bytes) {
        if self.spare.is_some() {
            return;
        }
        if let Ok(mut block) = bytes.try_into_mut() {
            block.clear();
            if block.try_reclaim(self.block_len) {
                self.spare = Some(block);
            }
        }
    }

    fn count_in(&mut self, cursor: Cursor, pace: Pace) {
        match self.chunk_mut(cursor.seq) {
            Some(chunk) => {
                chunk.cursor_count += 1;
                chunk.ready_count += u32::from(pace == Pace::Ready);
            }
            None => self.overrun_count += 1,
        }
    }

    fn count_out(&mut self, cursor: Cursor, pace: Pace) {
        match self.chunk_mut(cursor.seq) {
            Some(chunk) => {
                chunk.cursor_count -= 1;
                chunk.ready_count -= u32::from(pace == Pace::Ready);
            }
            None => self.overrun_count -= 1,
        }
    }

    /// Returns a chunk by its number, or `None` when it has been let go.
    fn chunk(&self, seq: u64) -> Option<&Chunk> {
        match self.index(seq) {
            Some(index) => self.chunks.get(index),
            None => self.window.chunks.get(self.window.index(seq)?),
        }
    }

    fn chunk_mut(&mut self, seq: u64) -> Option<&mut Chunk> {
        match self.index(seq) {
            Some(index) => self.chunks.get_mut(index),
            None => {
                let index = self.window.index(seq)?;
                self.window.chunks.get_mut(index)
            }
        }
    }

    /// Returns the index in `chunks` of a chunk by its number, or `None` when it is not there any
    /// more.
    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.front_seq)?).ok()
    }

    /// Tells whether a chunk is in the window, and messages behind the window have been let go.
    fn is_frozen(&self, seq: u64) -> bool {
        seq < self.front_seq && self.window.next_seq() < self.front_seq
    }

    fn open_seq(&self) -> u64 {
        self.front_seq + self.chunks.len() as u64 - 1
    }

    fn chunk_end(&self, seq: u64) -> Position {
        let end = if seq < self.front_seq {
            self.window.end
        } else {
            self.end
        };
        self.chunk(seq + 1).map_or(end, |next| next.start)
    }

    /// Checks the invariants, in debug builds; once a block, since it looks at the whole log.
    fn check(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let last = self.chunks.len() - 1;
        let live = self.chunks.iter().enumerate().map(|(index, chunk)| {
            (
                chunk,
                if index == last {
                    &self.open[..]
                } else {
                    &chunk.bytes[..]
                },
            )
        });
        assert_eq!(
            check_chunks(self.chunks[0].start, live),
            self.end,
            "the last chunk ends where the log does"
        );
        assert!(last == 0 || span(self.chunks[0].start, self.end) as u64 <= self.capacity);
        if let Some(first) = self.window.chunks.front() {
            let held = self
                .window
                .chunks
                .iter()
                .map(|chunk| (chunk, &chunk.bytes[..]));
            assert_eq!(
                check_chunks(first.start, held),
                self.window.end,
                "the window ends where it says"
            );
            assert!(
                first.cursor_count > 0,
                "the window begins where somebody reads"
            );
            assert!(span(first.start, self.window.end) as u64 <= self.window.capacity);
            assert!(
                self.window.next_seq() <= self.front_seq && self.window.end <= self.chunks[0].start
            );
        }
    }
}

impl Stretch {
    /// Tells where a subscriber is that wrote the first `len` bytes, and what it still owes of the
    /// message that `len` falls into.
    ///
    /// Takes one step a message of the piece that `len` falls into, and none when all was written.
    pub(crate) fn split_at(&self, len: usize) -> (Cursor, &[u8]) {
        if len == self.byte_len {
            return (self.end, &[]);
        }
        let (mut seq, mut offset) = (self.first_seq, len);
        for piece in &self.pieces {
            if offset < piece.bytes.len() {
                let boundary = chat_proto::boundary_from(&piece.bytes, offset)
                    .expect("a piece holds whole messages");
                let pos = piece.start.after(boundary.offset, boundary.count);
                return (Cursor { pos, seq }, &piece.bytes[offset..boundary.offset]);
            }
            offset -= piece.bytes.len();
            seq += 1;
        }
        (self.end, &[])
    }
}

impl Window {
    /// Returns the index of a chunk by its number, or `None` when it is before the window.
    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.front_seq)?).ok()
    }

    /// Returns the number of the chunk that the window would take next.
    fn next_seq(&self) -> u64 {
        self.front_seq + self.chunks.len() as u64
    }
}

impl Chunk {
    fn open_at(start: Position) -> Self {
        Self {
            start,
            bytes: Bytes::new(),
            cursor_count: 0,
            ready_count: 0,
        }
    }
}

/// Checks that chunks are whole messages without a gap from `start` on; returns where they end.
fn check_chunks<'a>(
    start: Position,
    chunks: impl Iterator<Item = (&'a Chunk, &'a [u8])>,
) -> Position {
    chunks.fold(start, |pos, (chunk, bytes)| {
        assert_eq!(chunk.start, pos, "chunks are contiguous");
        assert!(chunk.ready_count <= chunk.cursor_count);
        let (messages, rest) = Messages::split(bytes);
        assert!(rest.is_empty(), "chunks hold whole messages");
        pos.after(bytes.len(), messages.count())
    })
}

/// Returns how many bytes lie between two places that are both in memory.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is in memory has a length of usize"
)]
fn span(from: Position, to: Position) -> usize {
    (to.byte_pos - from.byte_pos) as usize
}

/// The smallest capacity, in bytes: 32 of the longest messages. The rules about parts of the log
/// are exact to a block and a message, which must be little beside those parts. A judgement.
pub(crate) const CAPACITY_MIN: usize = 32 * MESSAGE_LEN_MAX;

/// Length of a block in bytes, unless the capacity is small. Long enough that its allocation is
/// nothing beside the messages in it, short enough to stay in a second-level cache. A judgement.
const BLOCK_LEN_MAX: usize = 64 * 1024;

/// How many blocks the capacity is cut into, at least. A judgement: so many still hold two of the
/// longest messages each.
const BLOCKS_MIN: usize = 16;

/// How much of the open chunk readers get as a copy, in bytes; only if there is more, the chunk is
/// sealed. For so little, a copy that all readers share costs less than one more chunk for the rest
/// of the chunk's life; and as sealed chunks are longer than this or end a block, the bookkeeping
/// is bounded. A judgement: it is a small part of what writing so little to a socket costs.
const COPY_LEN_MAX: usize = 2048;

/// After how many bytes a stretch ends: what one turn of a writer may take. A judgement: a socket's
/// send buffer is about as long.
const STRETCH_LEN: usize = 256 * 1024;

/// How many pieces a stretch has at most: far below the 1024 that one vectored write takes on the
/// usual systems.
const PIECES_MAX: usize = 64;
