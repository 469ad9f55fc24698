//! The hub: the log behind its lock, and who is woken when.

use std::mem;
use std::sync::PoisonError;
use std::task::Waker;

use chat_proto::{MESSAGE_LEN_MAX, Messages};
use slab::Slab;

use crate::log::{CAPACITY_MIN, Cursor, Log, Pace};
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::wait::{Spent, Ticket, WaitList};
use crate::{Policy, Position, Publisher, Subscriber};

/// How a hub is built.
///
/// # Examples
///
/// ```
/// use chat_hub::{CapacityTooSmall, Config};
///
/// assert!(Config::default().with_capacity(1 << 20).build().is_ok());
/// assert_eq!(Config::default().with_capacity(0).build().unwrap_err(), CapacityTooSmall { capacity: 0, capacity_min: 8192 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    capacity: usize,
    policy: Policy,
}

impl Config {
    /// Sets how many bytes of messages the log retains at most. The default is 8 MiB.
    ///
    /// Beyond its capacity a hub allocates at most three blocks of 64 KiB (of a sixteenth of the
    /// capacity if that is less), a tenth of the capacity for bookkeeping, and some 150 bytes a
    /// subscriber. Batches that are being written are counted in the capacity, but for one that
    /// the log overruns meanwhile. Below a capacity of 64 KiB blocks hold a few messages only, and
    /// a hub may take twice its capacity.
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
            return Err(CapacityTooSmall {
                capacity: self.capacity,
                capacity_min: CAPACITY_MIN,
            });
        }
        Ok(Hub {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(self)),
            }),
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: CAPACITY_DEFAULT,
            policy: Policy::default(),
        }
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
/// Handles are cheap to clone and all of one hub. A hub whose handles are gone lives on in its
/// publishers and subscribers.
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

    /// Ends the hub: nothing more is published, and subscribers read what is there and then the
    /// end. Closing again does nothing.
    pub fn close(&self) {
        self.shared.with_state(|state| {
            state.closed = true;
            state.wake_readers();
            state.wake_writers();
        });
    }

    /// Counts what the hub has done so far. Takes one step a subscriber.
    pub fn stats(&self) -> Stats {
        self.shared.with_state(|state| state.stats())
    }
}

impl Default for Hub {
    /// Makes a hub of the default [`Config`].
    fn default() -> Self {
        Config::default()
            .build()
            .expect("the default capacity is large enough")
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
    /// How many subscribers were disconnected because they lagged.
    pub disconnected: u64,
    /// How many subscribers there are.
    pub subscriber_count: usize,
    /// The largest lag of a subscriber there is, in bytes. It exceeds the capacity once that
    /// subscriber has been overrun.
    pub lag_max: u64,
}

/// What the handles of one hub share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Guards the log, the cursors into it, and who waits.
    ///
    /// Nobody is woken, no waker is dropped and nothing is written while it is held. A task may be
    /// freed with its last waker, and with it a publisher or subscriber that it owns, which
    /// takes this lock to leave.
    state: Mutex<State>,
}

impl Shared {
    /// Lets `access` have the state under the lock. Then, without the lock, wakes whoever is to be
    /// woken and drops the wakers that are spent.
    pub(crate) fn with_state<T>(&self, access: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let value = access(&mut state);
        if state.woken.is_empty() && state.spent.is_empty() {
            return value;
        }
        let spent = mem::take(&mut state.spent);
        self.wake(state);
        drop(spent);
        value
    }

    /// Releases the lock, then wakes whoever is to be woken.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.woken.is_empty() {
            return;
        }
        let mut woken = mem::take(&mut state.woken);
        drop(state);
        woken.drain(..).for_each(Waker::wake);
        // The memory is kept, so that waking does not allocate.
        let mut state = self.lock();
        if state.woken.capacity() < woken.capacity() && state.woken.is_empty() {
            state.woken = woken;
        }
    }

    /// Takes the lock: for [`with_state`](Self::with_state) alone, which knows what is to be done
    /// when it is released.
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a bug in a waker's clone; the state is consistent between calls
        // of this crate.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) log: Log,
    /// Where each subscriber was last seen.
    slots: Slab<Slot>,
    /// The subscribers that have read everything.
    readers: WaitList,
    /// The publishers that wait for subscribers which could be written to.
    writers: WaitList,
    /// Who is to be woken when the lock is released.
    woken: Vec<Waker>,
    /// The wakers that are to be dropped when the lock is released.
    spent: Spent,
    pub(crate) closed: bool,
    /// Up to which byte position publishers need not look at the subscribers.
    clear_pos: u64,
    /// From which byte position on blocked subscribers may be asked again whether they still are.
    ask_pos: u64,
    delivered: u64,
    dropped: u64,
    disconnected: u64,
}

#[derive(Debug)]
struct Slot {
    cursor: Cursor,
    pace: Pace,
    /// Its place in the list of readers.
    ticket: Option<Ticket>,
    /// Whom to ask whether it is still blocked, and up to which byte position that need not be
    /// asked.
    blocked: Option<(Waker, u64)>,
}

impl State {
    fn new(Config { capacity, policy }: Config) -> Self {
        Self {
            policy,
            log: Log::new(capacity, policy.window_len(capacity)),
            slots: Slab::new(),
            readers: WaitList::default(),
            writers: WaitList::default(),
            woken: Vec::new(),
            spent: Spent::default(),
            closed: false,
            clear_pos: 0,
            ask_pos: 0,
            delivered: 0,
            dropped: 0,
            disconnected: 0,
        }
    }

    /// Tells whether a publisher may append now: no subscriber that could be written to is more
    /// than half the log behind.
    pub(crate) fn may_publish(&mut self) -> bool {
        let end = self.log.end().byte_pos();
        if end < self.clear_pos {
            return true;
        }
        self.ask();
        let slowest_ready = self.log.slowest_ready();
        if end - slowest_ready > self.lag_max() {
            return false;
        }
        let ask_pos = self.ask_pos.max(self.log.slowest() + self.lag_max());
        let look_pos = ask_pos.min(slowest_ready + self.lag_max());
        self.clear_pos = look_pos.max(end + self.log.capacity() / LOOKS_PER_LOG);
        true
    }

    /// Appends as many of `messages` as publishers may, and leaves the others.
    pub(crate) fn append(&mut self, messages: &mut Messages<'_>) {
        let (start, overrun_count) = (self.log.end(), self.log.overrun_count());
        while !messages.is_empty() && self.may_publish() {
            let room = self.clear_pos - self.log.end().byte_pos();
            let room = usize::try_from(room)
                .unwrap_or(usize::MAX)
                .max(MESSAGE_LEN_MAX);
            self.log.append(messages.take_len(room));
        }
        if self.log.end() > start {
            self.wake_readers();
        }
        if self.log.overrun_count() > overrun_count && self.policy.tells_overrun() {
            self.tell_overrun();
        }
    }

    /// Makes a publisher wait.
    pub(crate) fn wait_to_publish(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) {
        self.spent.add(self.writers.register(ticket, waker));
    }

    /// Lets a publisher go.
    pub(crate) fn leave_publisher(&mut self, ticket: &mut Option<Ticket>) {
        self.spent.add(self.writers.take(ticket));
    }

    /// Adds a subscriber at the end of the log.
    pub(crate) fn join(&mut self) -> (usize, Cursor) {
        let pace = self.policy.pace_when_full();
        let cursor = self.log.join(pace);
        (
            self.slots.insert(Slot {
                cursor,
                pace,
                ticket: None,
                blocked: None,
            }),
            cursor,
        )
    }

    /// Removes a subscriber that has got to `cursor`.
    pub(crate) fn leave(&mut self, key: usize, cursor: Cursor) {
        self.end(key, cursor);
        let slot = self.slots.remove(key);
        self.log.leave(slot.cursor, slot.pace);
    }

    /// Makes a subscriber that has read everything wait for more.
    pub(crate) fn wait_to_read(&mut self, key: usize, waker: &Waker) {
        self.spent
            .add(self.readers.register(&mut self.slots[key].ticket, waker));
    }

    /// Notes that a subscriber has got to `cursor` and goes on reading.
    pub(crate) fn read(&mut self, key: usize, cursor: Cursor) {
        let slot = &mut self.slots[key];
        self.spent.add(slot.unask());
        if slot.pace == Pace::Blocked {
            // Publishers may have been cleared to go on while nobody waited for this one.
            self.clear_pos = self.clear_pos.min(cursor.pos.byte_pos() + self.lag_max());
        }
        self.advance(key, cursor, Pace::Ready);
    }

    /// Notes that a subscriber has got to `cursor` and cannot go on; `waker`, if any, is asked
    /// whether that is still so.
    pub(crate) fn block(&mut self, key: usize, cursor: Cursor, waker: Option<&Waker>) {
        let answered_pos = self.log.end().byte_pos() + self.log.capacity() / ASKS_PER_LOG;
        let pace = self.policy.pace_when_full();
        let slot = &mut self.slots[key];
        self.spent.add(slot.unask());
        self.spent.add(self.readers.take(&mut slot.ticket));
        // Publishers who wait for it have no question.
        slot.blocked = waker
            .filter(|_| pace == Pace::Blocked)
            .map(|waker| (waker.clone(), answered_pos));
        self.advance(key, cursor, pace);
    }

    /// Notes that a subscriber has got to `cursor` and will read nothing more.
    pub(crate) fn end(&mut self, key: usize, cursor: Cursor) {
        let slot = &mut self.slots[key];
        self.spent.add(slot.unask());
        self.spent.add(self.readers.take(&mut slot.ticket));
        self.advance(key, cursor, Pace::Blocked);
    }

    /// Ends a subscriber that lagged, at `cursor`.
    pub(crate) fn disconnect(&mut self, key: usize, cursor: Cursor) {
        self.disconnected += 1;
        self.end(key, cursor);
    }

    /// Moves a subscriber over messages that it will not read. Those before `end` count as dropped;
    /// returns how many those are.
    pub(crate) fn skip(&mut self, key: usize, to: Cursor, end: Position) -> u64 {
        let slot = &mut self.slots[key];
        let (from, pace) = (mem::replace(&mut slot.cursor, to), slot.pace);
        self.move_cursor((from, pace), (to, pace));
        let dropped = end.message_pos() - from.pos.message_pos();
        self.dropped += dropped;
        dropped
    }

    fn advance(&mut self, key: usize, cursor: Cursor, pace: Pace) {
        let slot = &mut self.slots[key];
        let from = (
            mem::replace(&mut slot.cursor, cursor),
            mem::replace(&mut slot.pace, pace),
        );
        self.delivered += cursor.pos.message_pos() - from.0.pos.message_pos();
        self.move_cursor(from, (cursor, pace));
    }

    /// Counts a cursor where it has got to, and wakes publishers who waited for it.
    fn move_cursor(&mut self, from: (Cursor, Pace), to: (Cursor, Pace)) {
        self.log.advance(from, to);
        if !self.writers.is_empty() && !self.log.has_ready_beside(from.0) && self.may_publish() {
            self.wake_writers();
        }
    }

    /// Asks the blocked subscribers that the log would overrun next whether they still are, and has
    /// publishers wait for the answers.
    ///
    /// A socket may have room again though nobody had the time to notice. Without the question, its
    /// subscriber would lose messages to the server's own scheduling. One that was overrun has
    /// lost some already, and is not asked again before it has read.
    fn ask(&mut self) {
        let end = self.log.end().byte_pos();
        if end < self.ask_pos || end - self.log.slowest() <= self.lag_max() {
            return;
        }
        self.ask_pos = end + self.log.capacity() / ASKS_PER_LOG;
        let lag_max = self.lag_max();
        for (_, slot) in &mut self.slots {
            if end - slot.cursor.pos.byte_pos() > lag_max
                && !self.log.will_be_overrun(slot.cursor)
                && let Some((waker, _)) = slot
                    .blocked
                    .take_if(|(_, answered_pos)| end >= *answered_pos)
            {
                self.log
                    .advance((slot.cursor, slot.pace), (slot.cursor, Pace::Ready));
                slot.pace = Pace::Ready;
                self.woken.push(waker);
            }
        }
    }

    /// Wakes the blocked subscribers that the log has overrun.
    fn tell_overrun(&mut self) {
        for (_, slot) in &mut self.slots {
            if self.log.is_overrun(slot.cursor) {
                self.woken.extend(slot.unask());
            }
        }
    }

    /// How far behind a subscriber may be for publishers not to wait for it, in bytes.
    fn lag_max(&self) -> u64 {
        self.log.capacity() / 2
    }

    fn wake_readers(&mut self) {
        self.readers.wake_into(&mut self.woken);
    }

    fn wake_writers(&mut self) {
        self.writers.wake_into(&mut self.woken);
    }

    fn stats(&self) -> Stats {
        let end = self.log.end();
        Stats {
            published: end.message_pos(),
            delivered: self.delivered,
            dropped: self.dropped,
            disconnected: self.disconnected,
            subscriber_count: self.slots.len(),
            lag_max: self
                .slots
                .iter()
                .map(|(_, slot)| end.byte_pos() - slot.cursor.pos.byte_pos())
                .max()
                .unwrap_or(0),
        }
    }
}

impl Slot {
    /// Leaves nobody to be asked; returns the waker of who would have been.
    fn unask(&mut self) -> Option<Waker> {
        self.blocked.take().map(|(waker, _)| waker)
    }
}

/// Default capacity of the log in bytes: a tenth of a second of a gigabyte a second. A judgement.
const CAPACITY_DEFAULT: usize = 8 * 1024 * 1024;

/// How often publishers look for subscribers to wait for while a log's capacity is published: a
/// subscriber that could be written to is at most half a log and this part of it behind. A
/// judgement: often enough to keep the promise, too seldom to be seen in a profile.
const LOOKS_PER_LOG: u64 = 16;

/// How often blocked subscribers are asked at most while a log's capacity is published. A
/// judgement: some four times between the half of the log, where the first question is due, and its
/// end, where messages are lost. So whoever loses any was full shortly before.
const ASKS_PER_LOG: u64 = 8;
