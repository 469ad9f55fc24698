//! The hub: the log behind its lock, and who is woken when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use chat_proto::{MESSAGE_LEN_MAX, Messages};
use slab::Slab;

use crate::log::{CAPACITY_MIN, Cursor, Log, Pace};
use crate::wait::WaitList;
use crate::{Policy, Publisher, Subscriber};

/// How a hub is built.
///
/// # Examples
///
/// ```
/// use chat_hub::{CapacityTooSmall, Config};
///
/// assert!(Config::default().with_capacity(1 << 20).build().is_ok());
/// assert_eq!(Config::default().with_capacity(0).build().unwrap_err(), CapacityTooSmall { capacity: 0, capacity_min: 1024 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    capacity: usize,
    policy: Policy,
}

impl Config {
    /// Sets how many bytes of messages the log retains at most. The default is 8 MiB.
    ///
    /// Beyond its capacity a hub allocates at most three blocks of 64 KiB (of a sixteenth of the capacity if that is less), a tenth of
    /// the capacity for bookkeeping, and some 120 bytes a subscriber. Batches that are being written are counted in the capacity, but
    /// for one that the log overruns meanwhile.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets what happens to laggards. The default is [`Policy::Oldest`].
    #[must_use]
    pub const fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Builds the hub. Allocates next to nothing: the log grows as it is needed.
    ///
    /// # Errors
    ///
    /// [`CapacityTooSmall`] when the capacity cannot hold the longest messages with room to spare.
    pub fn build(self) -> Result<Hub, CapacityTooSmall> {
        if self.capacity < CAPACITY_MIN {
            return Err(CapacityTooSmall { capacity: self.capacity, capacity_min: CAPACITY_MIN });
        }
        Ok(Hub { shared: Arc::new(Shared { policy: self.policy, state: Mutex::new(State::new(self.capacity)) }) })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { capacity: CAPACITY_DEFAULT, policy: Policy::default() }
    }
}

/// Says that a log cannot do with so little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a capacity of {capacity} bytes is too small: the least is {capacity_min}")]
pub struct CapacityTooSmall {
    /// The capacity that was asked for, in bytes.
    pub capacity: usize,
    /// The smallest capacity, in bytes.
    pub capacity_min: usize,
}

/// A fan-out: whatever its publishers publish, every subscriber reads, in one order.
///
/// Handles are cheap to clone and all of one hub. A hub whose handles are gone lives on in its publishers and subscribers.
#[derive(Clone, Debug)]
pub struct Hub {
    shared: Arc<Shared>,
}

impl Hub {
    /// Makes a publisher.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.shared))
    }

    /// Makes a subscriber. It misses nothing that is published from now on.
    ///
    /// It starts out blocked: publishers wait for it from its first read on.
    pub fn subscribe(&self) -> Subscriber {
        Subscriber::new(Arc::clone(&self.shared))
    }

    /// Ends the hub: nothing more is published, and subscribers read what is there and then the end. Closing again does nothing.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let (readers, writers) = (state.readers.take(), state.writers.take());
        drop(state);
        wake_all(readers);
        wake_all(writers);
    }

    /// Counts what the hub has done so far. Takes one step a subscriber.
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats()
    }
}

impl Default for Hub {
    /// Makes a hub of the default [`Config`].
    fn default() -> Self {
        Config::default().build().expect("the default capacity is large enough")
    }
}

/// What a hub has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many messages were published.
    pub published: u64,
    /// How many deliveries there were: messages consumed, over all subscribers there ever were.
    pub delivered: u64,
    /// How many messages subscribers skipped, over all subscribers there ever were.
    pub dropped: u64,
    /// How many subscribers there are.
    pub subscriber_count: usize,
    /// The largest lag of a subscriber there is, in bytes. It exceeds the capacity once that subscriber has been overrun.
    pub lag_max: u64,
}

/// What the handles of one hub share.
#[derive(Debug)]
pub(crate) struct Shared {
    policy: Policy,
    /// Guards the log, the cursors into it, and who waits. No waker is called and nothing is written while it is held.
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a bug in a waker's clone or drop; the state is consistent between calls of this crate.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// Wakes subscribers that were taken off the list of readers.
    pub(crate) fn wake_readers(&self, mut taken: Slab<Waker>) {
        if taken.is_empty() {
            return;
        }
        taken.drain().for_each(Waker::wake);
        self.lock().readers.give_back(taken);
    }
}

/// Wakes tasks that were taken off a list.
pub(crate) fn wake_all(mut taken: Slab<Waker>) {
    taken.drain().for_each(Waker::wake);
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: Log,
    /// Where each subscriber was last seen.
    slots: Slab<Slot>,
    /// The subscribers that have read everything.
    pub(crate) readers: WaitList,
    /// The publishers that wait for subscribers which could be written to.
    pub(crate) writers: WaitList,
    pub(crate) closed: bool,
    /// Up to which byte position publishers need not look at the subscribers.
    clear_pos: u64,
    delivered: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Slot {
    cursor: Cursor,
    pace: Pace,
}

impl State {
    fn new(capacity: usize) -> Self {
        Self {
            log: Log::new(capacity),
            slots: Slab::new(),
            readers: WaitList::default(),
            writers: WaitList::default(),
            closed: false,
            clear_pos: 0,
            delivered: 0,
            dropped: 0,
        }
    }

    /// Tells whether a publisher may append now: no subscriber that could be written to is more than half the log behind.
    pub(crate) fn may_publish(&mut self) -> bool {
        let end = self.log.end().byte_pos();
        if end < self.clear_pos {
            return true;
        }
        let lag_max = self.log.capacity() / 2;
        let slowest = self.log.slowest_ready();
        if end - slowest > lag_max {
            return false;
        }
        self.clear_pos = (slowest + lag_max).max(end + self.log.capacity() / LOOKS_PER_LOG);
        true
    }

    /// Appends as many of `messages` as publishers may, leaves the others, and tells whether there was one.
    pub(crate) fn append(&mut self, messages: &mut Messages<'_>) -> bool {
        let start = self.log.end();
        while !messages.is_empty() && self.may_publish() {
            let room = self.clear_pos - self.log.end().byte_pos();
            let room = usize::try_from(room).unwrap_or(usize::MAX).max(MESSAGE_LEN_MAX);
            self.log.append(messages.take_len(room));
        }
        self.log.end() > start
    }

    /// Adds a subscriber at the end of the log.
    pub(crate) fn join(&mut self) -> (usize, Cursor) {
        let pace = Pace::Blocked;
        let cursor = self.log.join(pace);
        (self.slots.insert(Slot { cursor, pace }), cursor)
    }

    /// Removes a subscriber, and returns the publishers that need not wait any longer.
    pub(crate) fn leave(&mut self, key: usize, cursor: Cursor) -> Slab<Waker> {
        let freed = self.advance(key, cursor, Pace::Blocked);
        let slot = self.slots.remove(key);
        self.log.leave(slot.cursor, slot.pace);
        freed
    }

    /// Notes where a subscriber has got to and whether publishers wait for it. Returns the publishers that need not wait any longer.
    pub(crate) fn advance(&mut self, key: usize, cursor: Cursor, pace: Pace) -> Slab<Waker> {
        let slot = &mut self.slots[key];
        let (from_cursor, from_pace) = (slot.cursor, slot.pace);
        *slot = Slot { cursor, pace };
        self.delivered += cursor.pos.message_pos() - from_cursor.pos.message_pos();
        self.log.advance((from_cursor, from_pace), (cursor, pace));
        if (from_pace, pace) == (Pace::Blocked, Pace::Ready) {
            // Publishers may have been cleared to go on while nobody waited for this one.
            self.clear_pos = self.clear_pos.min(cursor.pos.byte_pos() + self.log.capacity() / 2);
        }
        if self.writers.is_empty() || self.log.has_ready_beside(from_cursor) || !self.may_publish() {
            return Slab::new();
        }
        self.writers.take()
    }

    /// Moves a subscriber over messages that it will not read, and returns how many those are.
    pub(crate) fn skip(&mut self, key: usize, to: Cursor) -> u64 {
        let slot = &mut self.slots[key];
        let from = slot.cursor;
        slot.cursor = to;
        let skipped = to.pos.message_pos() - from.pos.message_pos();
        self.dropped += skipped;
        self.log.advance((from, self.slots[key].pace), (to, self.slots[key].pace));
        skipped
    }

    fn stats(&self) -> Stats {
        let end = self.log.end();
        Stats {
            published: end.message_pos(),
            delivered: self.delivered,
            dropped: self.dropped,
            subscriber_count: self.slots.len(),
            lag_max: self.slots.iter().map(|(_, slot)| end.byte_pos() - slot.cursor.pos.byte_pos()).max().unwrap_or(0),
        }
    }
}

/// Default capacity of the log in bytes: a tenth of a second of a gigabyte a second. A judgement.
const CAPACITY_DEFAULT: usize = 8 * 1024 * 1024;

/// How often publishers look for subscribers to wait for while a log's capacity is published: a subscriber that could be written to is
/// at most half a log and this part of it behind. A judgement: often enough to keep the promise, too seldom to be seen in a profile.
const LOOKS_PER_LOG: u64 = 16;
