//! Tasks that wait, and waking them outside the lock.

use std::num::NonZeroU64;
use std::task::Waker;

use slab::Slab;

/// The tasks that wait for one thing. They are woken together, and each registers again if it finds that it must.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    wakers: Slab<Waker>,
    /// Counts the times the list was taken: a ticket of an earlier epoch has been woken.
    epoch: Epoch,
}

/// Not zero, so that an `Option<Ticket>` is no larger than a ticket: every subscriber and publisher has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch(NonZeroU64);

impl Default for Epoch {
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

/// A task's place in a [`WaitList`]. It is void once the list has been taken.
#[derive(Debug)]
pub(crate) struct Ticket {
    epoch: Epoch,
    key: usize,
}

impl WaitList {
    /// Puts a task on the list, or refreshes the waker it is on the list with.
    pub(crate) fn register(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) {
        match ticket {
            Some(ticket) if ticket.epoch == self.epoch => self.wakers[ticket.key].clone_from(waker),
            _ => *ticket = Some(Ticket { epoch: self.epoch, key: self.wakers.insert(waker.clone()) }),
        }
    }

    /// Takes all tasks off the list and adds them to those that are to be woken.
    pub(crate) fn wake_into(&mut self, woken: &mut Vec<Waker>) {
        if !self.wakers.is_empty() {
            self.epoch.0 = self.epoch.0.saturating_add(1);
            woken.extend(self.wakers.drain());
        }
    }

    /// Takes one task off the list, if it is still on it, and returns its waker.
    pub(crate) fn take(&mut self, ticket: &mut Option<Ticket>) -> Option<Waker> {
        let ticket = ticket.take().filter(|ticket| ticket.epoch == self.epoch)?;
        Some(self.wakers.remove(ticket.key))
    }

    /// Tells whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }
}
