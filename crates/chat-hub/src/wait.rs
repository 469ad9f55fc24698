//! Tasks that wait, and what becomes of their wakers outside the lock.

use std::num::NonZeroU64;
use std::task::Waker;

use slab::Slab;
use smallvec::SmallVec;

/// The tasks that wait for one thing. They are woken together, and each registers again if it finds
/// that it must.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    wakers: Slab<Waker>,
    /// Counts the times the list was taken: a listing of an earlier epoch has been woken.
    epoch: Epoch,
}

/// Not zero, so that an `Option<Listing>` is no larger than a listing: every subscriber and
/// publisher has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch(NonZeroU64);

impl Default for Epoch {
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

/// A task's place in a [`WaitList`]. It is void once the list has been taken.
#[derive(Debug)]
pub(crate) struct Listing {
    epoch: Epoch,
    key: usize,
}

/// The wakers of tasks that wait no more, until they can be dropped outside the lock.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    // Invariant: one call of this crate leaves two at most, so that none allocates.
    wakers: SmallVec<[Waker; 2]>,
}

impl WaitList {
    /// Puts a task on the list.
    pub(crate) fn register(&mut self, waker: &Waker) -> Listing {
        Listing {
            epoch: self.epoch,
            key: self.wakers.insert(waker.clone()),
        }
    }

    /// Tells whether a task is on the list, by this waker.
    pub(crate) fn is_listed(&self, listing: &Listing, waker: &Waker) -> bool {
        listing.epoch == self.epoch && self.wakers[listing.key].will_wake(waker)
    }

    /// Takes all tasks off the list and adds them to those that are to be woken.
    pub(crate) fn wake_into(&mut self, woken: &mut Vec<Waker>) {
        if !self.wakers.is_empty() {
            self.epoch.0 = self.epoch.0.saturating_add(1);
            woken.extend(self.wakers.drain());
        }
    }

    /// Takes one task off the list, if it is still on it, and returns its waker.
    #[must_use = "a waker is not dropped under the lock"]
    pub(crate) fn take(&mut self, listing: Listing) -> Option<Waker> {
        let is_listed = listing.epoch == self.epoch;
        is_listed.then(|| self.wakers.remove(listing.key))
    }
}

impl Spent {
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.wakers.push(waker);
            debug_assert!(!self.wakers.spilled(), "one call leaves two at most");
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }
}
