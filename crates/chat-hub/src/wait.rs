//! Tasks that wait, and waking them outside the lock.

use std::mem;
use std::task::Waker;

use slab::Slab;

/// The tasks that wait for one thing. They are woken together, and each registers again if it finds that it must.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    wakers: Slab<Waker>,
    /// Counts the times the list was taken: a ticket of an earlier epoch has been woken.
    epoch: u64,
    /// Memory of an earlier list, kept so that waking does not allocate.
    spare: Slab<Waker>,
}

/// A task's place in a [`WaitList`]. It is void once the list has been taken.
#[derive(Debug)]
pub(crate) struct Ticket {
    epoch: u64,
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

    /// Takes a task off the list, if it is still on it.
    pub(crate) fn cancel(&mut self, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take()
            && ticket.epoch == self.epoch
        {
            self.wakers.remove(ticket.key);
        }
    }

    /// Takes all tasks off the list, to be woken when the lock is released.
    pub(crate) fn take(&mut self) -> Slab<Waker> {
        if self.wakers.is_empty() {
            return Slab::new();
        }
        self.epoch += 1;
        mem::replace(&mut self.wakers, mem::take(&mut self.spare))
    }

    /// Gives back the memory of a list that was taken and woken.
    pub(crate) fn give_back(&mut self, taken: Slab<Waker>) {
        debug_assert!(taken.is_empty(), "a list is given back when its tasks have been woken");
        if taken.capacity() > self.spare.capacity() {
            self.spare = taken;
        }
    }

    /// Tells whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }
}
