//! Subscribing: reading the log in batches.

mod reader;

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use self::reader::Reader;
use crate::batch::Batch;
use crate::blocking;
use crate::hub::FOREIGN;
use crate::log::Stretch;
use crate::position::Place;
use crate::shared::Shared;
use crate::sync::Arc;
use crate::{Monitor, Position, Writer};

/// Reads what is published, from the moment it joined on.
///
/// A subscriber is a cursor into the hub's log. It takes a [`Batch`] and consumes as much of it as
/// could be written. To write to a stream, use a [`Writer`], which does it right.
///
/// # Who is waited for
///
/// Publishers wait only for a subscriber that is *being served*: its task waits for messages or was
/// woken for some, somebody holds its batch, or its stream is full and it keeps up. Between
/// consuming a batch and asking for the next one nobody serves it, so it can lose messages to its
/// own thread's scheduling there; [`Batch::next`] and a [`Writer`] leave no such gap. A wait that
/// is dropped, a subscription that has ended, and a subscriber that nobody has read from yet are
/// not served and stop nobody.
///
/// A task that was woken and never polls its subscriber again counts as serving it. A hub with a
/// [`Clock`](crate::Clock) gives up on such a task after 16 graces, and a second at least; without
/// a clock, say [`pause`](Self::pause).
pub struct Subscriber {
    shared: Arc<Shared>,
    reader: Reader,
}

impl Subscriber {
    /// Joins at `place`, or at the end of the log. Returns `None` when what was at the place has
    /// been let go.
    pub(crate) fn join(shared: &Arc<Shared>, place: Option<Place>) -> Option<Self> {
        let (key, cursor) = shared.with_state(|state| state.join(place))?;
        let reader = Reader {
            key,
            cursor,
            dropped: 0,
            dropped_before: 0,
            is_disconnected: false,
        };
        let shared = Arc::clone(shared);
        Some(Self { shared, reader })
    }

    /// Waits for the next batch; `None` is the end: the hub was closed, or the end that was set is
    /// reached.
    ///
    /// The future may be dropped at any time, by `select!` for example: nothing is lost, and from
    /// then on nobody waits for this subscriber.
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
    /// let (mut messages, _) = Messages::split(b"\x05hello\x05world");
    /// hub.publisher().publish(&mut messages).await.unwrap();
    /// hub.close();
    ///
    /// let batch = subscriber.next_batch().await.unwrap();
    /// assert_eq!(batch.chunks().flatten().copied().collect::<Vec<u8>>(), b"\x05hello\x05world");
    /// // The stream took seven bytes: the rest of the second message is ours to write.
    /// assert_eq!(batch.consume(7), b"world");
    /// assert!(subscriber.next_batch().await.is_none());
    /// # });
    /// ```
    pub async fn next_batch(&mut self) -> Option<Batch<'_>> {
        self.wait().await
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
    ///     let (mut messages, _) = Messages::split(b"\x05hello");
    ///     hub.publisher().publish_blocking(&mut messages).unwrap();
    ///     hub.close();
    /// });
    /// let batch = subscriber.next_batch_blocking().unwrap();
    /// assert_eq!(batch.chunks().flatten().copied().collect::<Vec<u8>>(), b"\x05hello");
    /// batch.consume_all();
    /// assert!(subscriber.next_batch_blocking().is_none());
    /// publishing.join().unwrap();
    /// ```
    pub fn next_batch_blocking(&mut self) -> Option<Batch<'_>> {
        let stretch = blocking::wait(|cx| self.poll_read(cx))?;
        Some(Batch::new(self, stretch))
    }

    /// Takes the next batch if there is one. Ends a wait that [`poll_batch`](Self::poll_batch)
    /// began.
    ///
    /// # Errors
    ///
    /// [`TryNextError::Empty`] when everything has been read, [`TryNextError::Ended`] at the end.
    pub fn try_next_batch(&mut self) -> Result<Batch<'_>, TryNextError> {
        match self.poll_read(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(stretch)) => Ok(Batch::new(self, stretch)),
            Poll::Ready(None) => Err(TryNextError::Ended),
            Poll::Pending => {
                self.pause();
                Err(TryNextError::Empty)
            }
        }
    }

    /// Polls for the next batch. See [`next_batch`](Self::next_batch).
    ///
    /// Costs a short lock and no allocation; up to two kilobytes of a batch may be copied out of
    /// the log. A caller that stops polling before it is ready calls [`pause`](Self::pause).
    pub fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch<'_>>> {
        let poll = self.poll_read(cx);
        poll.map(|stretch| stretch.map(|stretch| Batch::new(self, stretch)))
    }

    /// Says that the stream takes nothing at the moment: publishing does not wake this subscriber
    /// until its next read.
    ///
    /// Publishers wait for it for as long as it keeps up; see [`Policy`](crate::Policy). `waker` is
    /// woken when the stream must be tried once more, since a stream may say that it takes bytes
    /// long after it does, and, under [`Policy::Disconnect`](crate::Policy::Disconnect), when the
    /// subscription has ended. It is woken at once when that is so already.
    pub fn stall(&mut self, waker: &Waker) {
        if self.stall_or_end(waker) {
            waker.wake_by_ref();
        }
    }

    /// Says that nobody serves this subscriber for now: no publisher waits for it, but under
    /// [`Policy::Block`](crate::Policy::Block), and none wakes it, until its next read.
    pub fn pause(&mut self) {
        let Self { shared, reader } = self;
        shared.with_state(|state| reader.pause(state));
    }

    /// Ends the subscription at a place in the log: what was published before it is read, and then
    /// the end. If that place is before what was read already, or after an end that was set before,
    /// the earlier end holds.
    ///
    /// # Panics
    ///
    /// When the position is another hub's.
    pub fn end_at(&mut self, end: Position) {
        let place = self.shared.place(end).expect(FOREIGN);
        let Self { shared, reader } = self;
        shared.with_state(|state| {
            state.end_at(reader.key, place);
            reader.end_if_over(state);
        });
    }

    /// Makes a handle that ends the subscription while another task or thread reads.
    pub fn ender(&self) -> Ender {
        let key = self.reader.key;
        let id = self.shared.with_state(|state| state.id(key));
        Ender {
            shared: Arc::clone(&self.shared),
            key,
            id,
        }
    }

    /// Makes a handle that tells how this subscriber is doing while another task or thread reads.
    pub fn monitor(&self) -> Monitor {
        let key = self.reader.key;
        let id = self.shared.with_state(|state| state.id(key));
        Monitor::new(Arc::clone(&self.shared), key, id)
    }

    /// Ends the subscription here: the next read finds the end. What the log has let go, and the
    /// subscriber has not read, counts as dropped.
    pub fn end(&mut self) {
        let Self { shared, reader } = self;
        shared.with_state(|state| reader.end(state));
    }

    /// Returns where the next batch begins, unless messages are dropped before.
    pub fn position(&self) -> Position {
        self.shared.position(self.reader.cursor.place)
    }

    /// Returns how many bytes there are to be read, or would be if the log still had them. Takes a
    /// short lock.
    pub fn lag(&self) -> u64 {
        let key = self.reader.key;
        let end = self
            .shared
            .with_state(|state| state.end().min(state.end_of(key)));
        end.byte_pos
            .saturating_sub(self.reader.cursor.place.byte_pos)
    }

    /// Returns how many messages this subscriber has lost, as far as it has found out by reading.
    /// The count is exact.
    pub fn dropped(&self) -> u64 {
        self.reader.dropped
    }

    /// Returns how many messages this subscriber has lost, those included that its next read will
    /// find out about. That read may skip more of them; see [`Policy`](crate::Policy). Takes a
    /// short lock.
    pub fn lost(&self) -> u64 {
        self.shared.with_state(|state| self.reader.lost(state))
    }

    /// Tells whether this subscriber did not keep up and has not caught up since. Takes a short
    /// lock.
    pub fn is_laggard(&self) -> bool {
        self.shared
            .with_state(|state| state.is_laggard(self.reader.key))
    }

    /// Tells whether the subscription has ended because this subscriber lagged, by
    /// [`Policy::Disconnect`](crate::Policy::Disconnect).
    ///
    /// A read finds out, and so does [`stall`](Self::stall), whose waker is woken for it.
    pub fn is_disconnected(&self) -> bool {
        self.reader.is_disconnected
    }

    /// Makes this the writing end of a stream.
    pub fn into_writer(self) -> Writer {
        Writer::new(self)
    }

    /// Waits for the next batch; from when the future is dropped nobody serves the subscriber.
    pub(crate) async fn wait<'a>(&'a mut self) -> Option<Batch<'a>> {
        let mut waiting = Waiting(Some(self));
        let stretch = poll_fn(|cx| waiting.poll_read(cx)).await?;
        let subscriber = waiting.0.take().expect("it waits until it is dropped");
        Some(Batch::new(subscriber, stretch))
    }

    /// Polls for what is to be read next. From when it is ready the subscriber counts as reading.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Stretch>> {
        let Self { shared, reader } = self;
        shared.with_state(|state| reader.poll_read(state, cx))
    }

    /// Says that the stream takes nothing, and tells whether the subscription is over: then `waker`
    /// will not be woken.
    pub(crate) fn stall_or_end(&mut self, waker: &Waker) -> bool {
        let Self { shared, reader } = self;
        shared.with_state(|state| reader.stall(state, waker))
    }

    /// Says that the first `len` bytes of a stretch have been written; returns what is still owed.
    pub(crate) fn consume<'a>(&mut self, stretch: &'a Stretch, len: usize) -> &'a [u8] {
        let (cursor, owed) = stretch.split_at(len);
        self.reader.cursor = cursor;
        self.reader.dropped_before = self.reader.dropped;
        owed
    }

    /// Returns how many messages were lost since something was consumed last.
    pub(crate) fn dropped_since(&self) -> u64 {
        self.reader.dropped - self.reader.dropped_before
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let Self { shared, reader } = self;
        shared.with_state(|state| {
            reader.end(state);
            state.leave(reader.key, reader.cursor);
        });
    }
}

/// Ends a subscription from elsewhere, while a task or a thread reads it or writes what it reads.
///
/// A server needs it for half-close: the half of a client that reads knows where the half that
/// writes has to end. Made by [`Subscriber::ender`] and [`Writer::ender`].
#[derive(Clone, Debug)]
pub struct Ender {
    shared: Arc<Shared>,
    key: usize,
    id: u64,
}

impl Ender {
    /// Ends the subscription at a place in the log, as [`Subscriber::end_at`] does, and wakes who
    /// waits for messages of it. Does nothing when the subscriber is gone.
    ///
    /// # Panics
    ///
    /// When the position is another hub's.
    pub fn end_at(&self, end: Position) {
        let place = self.shared.place(end).expect(FOREIGN);
        let (key, id) = (self.key, self.id);
        self.shared
            .with_state(|state| state.end_from_elsewhere(key, id, place));
    }
}

/// Why there is no batch at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryNextError {
    /// Everything that was published has been read.
    #[error("there is nothing to read for now")]
    Empty,
    /// The hub was closed, or the end that was set is reached.
    #[error("the subscription has ended")]
    Ended,
}

/// A subscriber that waits; from when this is dropped nobody serves it.
struct Waiting<'a>(Option<&'a mut Subscriber>);

impl Waiting<'_> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Stretch>> {
        let subscriber = self.0.as_mut().expect("it waits until it is dropped");
        subscriber.poll_read(cx)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(subscriber) = &mut self.0 {
            subscriber.pause();
        }
    }
}
