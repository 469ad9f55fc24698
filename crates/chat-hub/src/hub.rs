//! A hub, how it is built, and what it counts.

use std::fmt;
use std::time::Duration;

use crate::log::CAPACITY_MIN;
use crate::shared::{Owner, Shared};
use crate::state::State;
use crate::sync::Arc;
use crate::{Clock, Policy, Position, Publisher, Subscriber};

/// How a hub is built.
///
/// # Examples
///
/// ```
/// use chat_hub::{CapacityTooSmall, Config};
///
/// assert!(Config::default().with_capacity(1 << 20).build().is_ok());
/// assert_eq!(
///     Config::default().with_capacity(0).build().unwrap_err(),
///     CapacityTooSmall { capacity: 0, capacity_min: 8192 }
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub(crate) capacity: usize,
    pub(crate) policy: Policy,
    /// In bytes per second.
    pub(crate) rate: u64,
    pub(crate) grace: Duration,
}

impl Config {
    /// Sets how many bytes of messages the log retains at most. The default is 8 MiB.
    ///
    /// Beyond its capacity a hub allocates at most three segments of 64 KiB (of a sixteenth of the
    /// capacity if that is less), a tenth of the capacity for bookkeeping, a kibibyte for itself,
    /// and some 200 bytes for each subscriber. Batches that are being written are counted in the
    /// capacity, but for one that the log overruns meanwhile. Below a capacity of 64 KiB
    /// segments hold a few messages only, and a hub may take twice its capacity.
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

    /// Sets how many bytes per second a subscriber's stream has to take to keep up while there are
    /// more for it. The default is 8 MiB.
    ///
    /// Publishers are slowed down to the slowest stream that takes at least so much. A hub without
    /// a [`Clock`] has no rate.
    #[must_use]
    pub const fn with_rate(mut self, bytes_per_s: u64) -> Self {
        self.rate = bytes_per_s;
        self
    }

    /// Sets for how long a subscriber's stream may take less than the rate before the subscriber
    /// is a laggard. The default is 100 milliseconds.
    ///
    /// For so long one stream that takes nothing can make all publishers wait, once, until it has
    /// caught up.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Builds a hub without a clock: a subscriber whose stream is full is a laggard at once.
    /// Allocates next to nothing: the log grows as it is needed.
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
        let shared = Arc::new(Shared::new(State::new(&self)));
        let owner = Arc::new(Owner { shared });
        Ok(Hub { owner })
    }

    /// Builds a hub, and the clock that somebody has to run for it.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_clock(self) -> Result<(Hub, Clock), CapacityTooSmall> {
        let hub = self.build()?;
        let clock = Clock::new(Arc::clone(&hub.owner.shared));
        Ok((hub, clock))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: CAPACITY_DEFAULT,
            policy: Policy::default(),
            rate: RATE_DEFAULT,
            grace: GRACE_DEFAULT,
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

/// A fan-out: every subscriber reads what the publishers publish, in one order.
///
/// A hub is a handle, cheap to clone. The fan-out ends when it is [closed](Self::close), or when
/// its last handle and its last publisher are gone: then subscribers read what is there, and the
/// end.
#[derive(Clone)]
pub struct Hub {
    owner: Arc<Owner>,
}

impl Hub {
    /// Makes a publisher.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.owner))
    }

    /// Makes a subscriber at the end of the log.
    ///
    /// Nobody serves it yet: publishers wait for it from its first read on.
    pub fn subscribe(&self) -> Subscriber {
        let subscriber = Subscriber::join(&self.owner.shared, None);
        subscriber.expect("the end of the log is retained")
    }

    /// Makes a subscriber at a place in the log that is still retained.
    ///
    /// The log retains what some subscriber has still to read. Returns `None` when messages after
    /// `position` have been let go.
    ///
    /// # Panics
    ///
    /// When the position is another hub's.
    pub fn subscribe_at(&self, position: Position) -> Option<Subscriber> {
        let shared = &self.owner.shared;
        let place = shared.place(position).expect(FOREIGN);
        Subscriber::join(shared, Some(place))
    }

    /// Returns the end of the log: the position after everything that has been published.
    pub fn end(&self) -> Position {
        let shared = &self.owner.shared;
        shared.position(shared.with_state(|state| state.end()))
    }

    /// Ends the hub: nothing more is published, and subscribers read what is there and then the
    /// end. Closing again does nothing.
    ///
    /// A publisher whose turn had come, and who knows that, may still publish once: see
    /// [`Publisher::poll_ready`].
    pub fn close(&self) {
        self.owner.shared.with_state(State::close);
    }

    /// Counts what the hub has done so far. Takes a short lock, and no time for each subscriber.
    pub fn stats(&self) -> Stats {
        self.owner.shared.with_state(|state| state.stats())
    }
}

impl Default for Hub {
    /// Makes a hub of the default [`Config`], without a clock.
    fn default() -> Self {
        let hub = Config::default().build();
        hub.expect("the default capacity is large enough")
    }
}

impl fmt::Debug for Hub {
    /// Takes no lock and prints no message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// The figures of a hub so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many messages were published.
    pub published: u64,
    /// How many bytes of wire form were published.
    pub published_bytes: u64,
    /// How many deliveries there were: messages consumed, over all subscribers there ever were.
    pub delivered: u64,
    /// How many bytes of wire form those deliveries came to.
    pub delivered_bytes: u64,
    /// How many messages subscribers skipped, over all subscribers there ever were.
    pub dropped: u64,
    /// How many subscribers were disconnected because they lagged.
    pub disconnected: u64,
    /// How many subscribers there are.
    pub subscriber_count: usize,
    /// How many of them are laggards, for which publishers do not wait.
    pub laggard_count: usize,
    /// How many publishers wait for their turn.
    pub waiting_publisher_count: usize,
    /// How long publishers have waited for their turn, all of them together. It grows by each tick
    /// of the [`Clock`] for each that waits then, so it is right to a tick (an eighth of the
    /// grace) for each time that one waited; without a clock it stays zero.
    pub publisher_wait: Duration,
    /// The largest lag of a subscriber that has not ended, in bytes: up to a segment of the log
    /// too high, and the capacity once the log has overrun somebody that has not read since.
    pub lag_max: u64,
    /// How many bytes of messages the log retains at the moment, for whoever is behind.
    pub retained_bytes: u64,
}

/// Why a position is refused.
pub(crate) const FOREIGN: &str = "the position is another hub's";

/// Default capacity of the log in bytes: a tenth of a second of a gigabyte a second. A judgement.
const CAPACITY_DEFAULT: usize = 8 * 1024 * 1024;

/// Default rate, in bytes per second. Measured: each of 500 clients on two processors, of which one
/// reads for all, takes twice as much while others flood; and the bytes that a system takes for a
/// client that does not read delay the discovery of it less, the higher the rate.
const RATE_DEFAULT: u64 = 8 * 1024 * 1024;

/// Default grace. Measured: a system gives a sender room in lumps of up to half the receiver's
/// buffer, and at the default rate lumps of half a mebibyte come within it. With a shorter grace,
/// clients above the rate lose messages; with a longer one, all wait longer for those that stall.
const GRACE_DEFAULT: Duration = Duration::from_millis(100);
