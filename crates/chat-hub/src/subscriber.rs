//! Subscribing: reading the log in batches.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::Position;
use crate::blocking;
use crate::hub::{Shared, State};
use crate::log::{Cursor, Stretch};
use crate::sync::Arc;

/// Reads what is published, from the moment it joined on.
///
/// A subscriber is a cursor into the hub's log. It takes a [`Batch`], writes as much of it as it
/// can, and says how much that was.
///
/// Between two batches publishers wait for it once it is half the log behind. So a subscriber that
/// cannot go on, because its socket is full, must say so with [`block`](Self::block); the next read
/// ends that.
#[derive(Debug)]
pub struct Subscriber {
    shared: Arc<Shared>,
    reader: Reader,
}

impl Subscriber {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (key, cursor) = shared.with_state(State::join);
        Self {
            shared,
            reader: Reader {
                key,
                cursor,
                limit: Position::MAX,
                dropped: 0,
                dropped_before: 0,
                is_disconnected: false,
            },
        }
    }

    /// Waits for the next batch; `None` is the end: the hub was closed, or the end that was set is
    /// reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_hub::Hub;
    /// use chat_proto::Messages;
    ///
    /// # futures::executor::block_on(async {
    /// let hub = Hub::default();
    /// let mut subscriber = hub.subscribe();
    /// let (messages, _) = Messages::split(b"\x05hello\x05world");
    /// hub.publisher().publish(messages).await.unwrap();
    /// hub.close();
    ///
    /// let batch = subscriber.next_batch().await.unwrap();
    /// assert_eq!(batch.chunks().flatten().copied().collect::<Vec<u8>>(), b"\x05hello\x05world");
    /// // The socket took seven bytes: the rest of the second message is ours to write.
    /// assert_eq!(batch.consume(7), b"world");
    /// assert!(subscriber.next_batch().await.is_none());
    /// # });
    /// ```
    pub async fn next_batch(&mut self) -> Option<Batch<'_>> {
        let stretch = poll_fn(|cx| self.poll_read(cx)).await;
        stretch.map(|stretch| Batch {
            reader: &mut self.reader,
            stretch,
        })
    }

    /// Waits for the next batch as [`next_batch`](Self::next_batch) does; the thread is parked
    /// while it waits. Not for async tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_hub::Hub;
    /// use chat_proto::Messages;
    ///
    /// let hub = Hub::default();
    /// let mut subscriber = hub.subscribe();
    /// let publishing = std::thread::spawn(move || {
    ///     let (messages, _) = Messages::split(b"\x05hello");
    ///     hub.publisher().publish_blocking(messages).unwrap();
    ///     hub.close();
    /// });
    /// let batch = subscriber.next_batch_blocking().unwrap();
    /// assert_eq!(batch.chunks().flatten().copied().collect::<Vec<u8>>(), b"\x05hello");
    /// let len = batch.len();
    /// batch.consume(len);
    /// assert!(subscriber.next_batch_blocking().is_none());
    /// publishing.join().unwrap();
    /// ```
    pub fn next_batch_blocking(&mut self) -> Option<Batch<'_>> {
        let stretch = blocking::wait(|cx| self.poll_read(cx))?;
        Some(Batch {
            reader: &mut self.reader,
            stretch,
        })
    }

    /// Polls for the next batch. See [`next_batch`](Self::next_batch).
    ///
    /// Costs a short lock and no allocation; up to two kilobytes of a batch may be copied out of
    /// the log.
    pub fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch<'_>>> {
        self.poll_read(cx).map(|stretch| {
            stretch.map(|stretch| Batch {
                reader: &mut self.reader,
                stretch,
            })
        })
    }

    /// Says that nothing more can be written for now: publishers do not wait for this subscriber,
    /// and publishing does not wake it, until its next read.
    ///
    /// When the log is about to overrun it, the task of `cx` is woken once, for its socket may have
    /// room again though nobody had the time to notice. Publishers wait for the answer, which
    /// is to read on or to block again. By [`Policy::Block`](crate::Policy::Block)
    /// they wait anyway, and nobody asks.
    pub fn block(&mut self, cx: &mut Context<'_>) {
        self.shared
            .with_state(|state| self.reader.block(state, Some(cx.waker())));
    }

    /// Says that this subscriber does not read for a while and cannot be asked about it: publishers
    /// do not wait for it until its next read, but by [`Policy::Block`](crate::Policy::Block).
    ///
    /// For threads, before a write that may wait for the socket. Prefer [`block`](Self::block)
    /// where a wake can be heeded: it says so only of a socket that is full, and does not lose
    /// what there was time to write.
    pub fn block_unasked(&mut self) {
        self.shared
            .with_state(|state| self.reader.block(state, None));
    }

    /// Ends the subscription at a place in this hub's log: what was published before it is read,
    /// and then the end. If that is behind what was read already, or if it was told to end
    /// earlier, it ends there.
    pub fn end_at(&mut self, end: Position) {
        self.reader.end_at(end);
    }

    /// Returns where the next batch begins, unless messages are dropped before.
    pub fn position(&self) -> Position {
        self.reader.cursor.pos
    }

    /// Returns how many messages this subscriber has lost. The count is exact.
    pub fn dropped(&self) -> u64 {
        self.reader.dropped
    }

    /// Tells whether the subscription has ended because this subscriber lagged, by
    /// [`Policy::Disconnect`](crate::Policy::Disconnect).
    ///
    /// A read finds out, and so does [`block`](Self::block), whose task is woken for it.
    pub fn is_disconnected(&self) -> bool {
        self.reader.is_disconnected
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Stretch>> {
        self.shared
            .with_state(|state| self.reader.poll_read(state, cx))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared
            .with_state(|state| state.leave(self.reader.key, self.reader.cursor));
    }
}

/// Whole messages that a subscriber has not consumed yet, in their wire form: at most 256 KiB and a
/// block of 64, in at most 64 chunks.
///
/// It shares the log's memory and keeps it from being used again, so do not hold it across a wait.
/// A batch that is dropped was not consumed: its messages are in the next one.
#[derive(Debug)]
pub struct Batch<'a> {
    reader: &'a mut Reader,
    stretch: Stretch,
}

impl Batch<'_> {
    /// Iterates over the bytes, in order, as stretches of contiguous memory. Each is whole messages
    /// and none is empty.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &[u8]> + use<'_> {
        self.stretch.pieces.iter().map(|piece| &piece.bytes[..])
    }

    /// Returns the length in bytes. It is never 0.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.stretch.byte_len
    }

    /// Returns how many messages the subscriber lost right before this batch. What it lost before
    /// its end no batch tells, only [`Subscriber::dropped`].
    pub fn dropped(&self) -> u64 {
        self.reader.dropped - self.reader.dropped_before
    }

    /// Says that the first `len` bytes have been written, and returns what the writer still owes:
    /// the rest of the message that `len` falls into, at most 255 bytes. The next batch begins
    /// behind it.
    ///
    /// Allocates only when something is owed.
    ///
    /// # Panics
    ///
    /// When the batch is shorter than `len`.
    pub fn consume(self, len: usize) -> Vec<u8> {
        assert!(
            len <= self.stretch.byte_len,
            "consumed {len} bytes of a batch of {}",
            self.stretch.byte_len
        );
        let (cursor, owed) = self.stretch.split_at(len);
        self.reader.cursor = cursor;
        self.reader.dropped_before = self.reader.dropped;
        owed.to_vec()
    }
}

/// How far a subscriber has read. Its methods take the state that the hub's lock guards.
#[derive(Debug)]
struct Reader {
    key: usize,
    /// Where the next batch begins. The hub learns of it with the next call that locks it.
    cursor: Cursor,
    /// Where the subscription ends; [`Position::MAX`] until somebody says so.
    limit: Position,
    dropped: u64,
    /// How many of these were lost before a batch that was consumed.
    dropped_before: u64,
    is_disconnected: bool,
}

impl Reader {
    fn poll_read(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Option<Stretch>> {
        if !self.has_ended() {
            state.read(self.key, self.cursor);
            self.resume_if_overrun(state);
        }
        if !self.has_ended() {
            let stretch = state.log.read(self.cursor, self.limit);
            if stretch.byte_len > 0 {
                return Poll::Ready(Some(stretch));
            }
            if !state.closed {
                state.wait_to_read(self.key, cx.waker());
                return Poll::Pending;
            }
        }
        // Nobody is to wait for a subscriber that has read everything it ever will.
        state.end(self.key, self.cursor);
        Poll::Ready(None)
    }

    fn block(&mut self, state: &mut State, waker: Option<&Waker>) {
        if self.has_ended() {
            return state.end(self.key, self.cursor);
        }
        state.block(self.key, self.cursor, waker);
        if state.policy.tells_overrun() {
            self.resume_if_overrun(state);
        }
    }

    /// Goes on where the policy says if the log has overrun the cursor, or ends there.
    fn resume_if_overrun(&mut self, state: &mut State) {
        if !state.log.is_overrun(self.cursor) {
            return;
        }
        let resumed = state.policy.resume(&state.log);
        let cursor = resumed.unwrap_or_else(|| state.log.tail());
        // What is beyond the end of the subscription was never to be delivered.
        let end = self.limit.min(cursor.pos);
        self.dropped += state.skip(self.key, cursor, end);
        self.cursor = cursor;
        if resumed.is_none() {
            self.is_disconnected = true;
            self.end_at(cursor.pos);
            state.disconnect(self.key, cursor);
        }
    }

    fn end_at(&mut self, end: Position) {
        self.limit = self.limit.min(end);
    }

    fn has_ended(&self) -> bool {
        self.limit <= self.cursor.pos
    }
}
