//! What a play is made of: tasks, chance, and the tally.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::{mem, thread};

use chat_hub::Policy;

use super::SEED_COUNT;
use super::client::{Room, is_lossy};

/// When a subscriber comes, in turns of its own, and goes, in steps of the play.
pub(super) struct Stay {
    pub(super) join_delay: u64,
    pub(super) leave_step: u64,
}

pub(super) struct Task {
    /// `None` when it is done.
    pub(super) future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    pub(super) woken: Arc<Woken>,
    pub(super) leave_step: u64,
}

impl Task {
    pub(super) fn is_woken(&self) -> bool {
        self.future.is_some() && self.woken.0.load(Ordering::Relaxed)
    }

    /// Polls it with a waker of its own: those of earlier polls are as good as dead.
    pub(super) fn poll(&mut self) {
        self.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&self.woken));
        if self.future.as_mut().is_some_and(|future| {
            future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
        }) {
            self.future = None;
        }
    }
}

/// A waker that remembers that it was called.
#[derive(Default)]
pub(super) struct Woken(pub(super) AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Gives everybody else a turn.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Random numbers that a seed repeats. Source: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(super) fn room(&mut self) -> Room {
        let len = to_len(1 + self.below(3000));
        [
            Room::Always,
            Room::Sometimes(len),
            Room::Sometimes(len),
            Room::AtLast(len),
        ][to_len(self.below(4))]
    }

    pub(super) fn stay(&mut self) -> Stay {
        let join_delay = if self.one_in(2) { self.below(60) } else { 0 };
        let leave_step = if self.one_in(4) {
            self.below(400)
        } else {
            u64::MAX
        };
        Stay {
            join_delay,
            leave_step,
        }
    }
}

/// What came to pass in all plays: where nothing does, nothing is proved.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    /// How often a publisher waited, and was told of the close.
    pub(super) waits: u64,
    pub(super) closed: u64,
    /// How often a subscriber stalled, and left before the end.
    pub(super) stalls: u64,
    pub(super) left: u64,
    pub(super) ticks: u64,
}

impl Tally {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            published: self.published + other.published,
            delivered: self.delivered + other.delivered,
            dropped: self.dropped + other.dropped,
            waits: self.waits + other.waits,
            closed: self.closed + other.closed,
            stalls: self.stalls + other.stalls,
            left: self.left + other.left,
            ticks: self.ticks + other.ticks,
        }
    }

    pub(super) fn assert_telling(&self, policy: Policy) {
        let counts = [
            self.published,
            self.delivered,
            self.waits,
            self.closed,
            self.stalls,
            self.left,
            self.ticks,
        ];
        assert!(
            counts.iter().all(|&count| count >= SEED_COUNT / 10),
            "{self:?}"
        );
        assert_eq!(self.dropped > 0, is_lossy(policy), "{self:?}");
    }
}

/// Tells how to repeat a play that fails.
pub(super) struct Repeat {
    pub(super) policy: Policy,
    pub(super) seed: u64,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this is seed {} under {:?}", self.seed, self.policy);
        }
    }
}

pub(super) fn to_len(number: u64) -> usize {
    usize::try_from(number).expect("a play's numbers are small")
}
