//! Whose turn it is to publish.

use std::collections::VecDeque;
use std::task::Waker;

/// The publishers that want to publish, in the order in which they asked.
///
/// A publisher asks for a *turn*, which lets it publish one part of bounded length. Turns are given
/// in the order of asking. A publisher whose turn was given and that has not come for it yet is
/// overtaken by each other publisher once at most: one that has published since it asked waits for
/// it.
///
/// Finding a ticket takes a logarithmic number of steps. Ending one that is neither first nor last
/// moves those on its shorter side.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    // Invariant: both queues are sorted by ticket, no ticket is in both, and all are below `next`.
    // Invariant: `reserved` is the sum of the lengths of the given turns.
    waiting: VecDeque<Asked>,
    given: VecDeque<Given>,
    next: u64,
    reserved: u64,
}

#[derive(Debug)]
struct Asked {
    ticket: Ticket,
    /// Wakes the publisher when its turn is given; none while it is being polled.
    waker: Option<Waker>,
    seniority: Seniority,
}

#[derive(Debug)]
pub(crate) struct Given {
    ticket: Ticket,
    len: usize,
    /// Whether the publisher knows that it has its turn.
    is_taken: bool,
}

/// When a publisher published last: it comes after those that asked before that. A publisher that
/// has never published comes after nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seniority(u64);

/// A publisher's place among those that ask for a turn. Each is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// The state of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Waiting,
    /// The publisher may publish so many bytes.
    Given(usize),
    /// The ticket is void.
    Void,
}

impl Turns {
    /// Puts a publisher at the end of the queue.
    pub(crate) fn ask(&mut self, seniority: Seniority) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push_back(Asked {
            ticket,
            waker: None,
            seniority,
        });
        ticket
    }

    /// Returns the state of a ticket. A turn that was given is taken with that.
    pub(crate) fn look(&mut self, ticket: Ticket) -> Standing {
        if let Some(index) = self.given_index(ticket) {
            let given = &mut self.given[index];
            given.is_taken = true;
            return Standing::Given(given.len);
        }
        match self.waiting_index(ticket) {
            Some(_) => Standing::Waiting,
            None => Standing::Void,
        }
    }

    /// Has `waker` be woken when the turn is given. Returns the waker that it replaces.
    #[must_use = "a waker is not dropped under the lock"]
    pub(crate) fn wait(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let index = self.waiting_index(ticket)?;
        let known = &mut self.waiting[index].waker;
        if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return None;
        }
        known.replace(waker.clone())
    }

    /// Tells whether the next turn may be given, as far as it is for the other publishers.
    pub(crate) fn may_give(&self) -> bool {
        let Some(next) = self.waiting.front() else {
            return false;
        };
        let awaited = self.given.iter().find(|given| !given.is_taken);
        awaited.is_none_or(|given| given.ticket.0 >= next.seniority.0)
    }

    /// Gives the next turn, to publish at most `len` bytes. Returns the waker of its
    /// publisher.
    pub(crate) fn give(&mut self, len: usize) -> Option<Waker> {
        let Asked { ticket, waker, .. } = self.waiting.pop_front()?;
        self.given.push_back(Given {
            ticket,
            len,
            is_taken: false,
        });
        self.reserved += len as u64;
        waker
    }

    /// Ends a turn, or the waiting for it. Returns the waker that waited.
    #[must_use = "a waker is not dropped under the lock"]
    pub(crate) fn end(&mut self, ticket: Ticket) -> Option<Waker> {
        if let Some(index) = self.given_index(ticket) {
            let given = self.given.remove(index)?;
            self.reserved -= given.len as u64;
            return None;
        }
        let index = self.waiting_index(ticket)?;
        self.waiting.remove(index)?.waker
    }

    /// Returns the seniority of a publisher that publishes now.
    pub(crate) fn seniority(&self) -> Seniority {
        Seniority(self.next)
    }

    /// Voids the tickets of all publishers that wait; returns who is to be woken. Takes back the
    /// turns that were given and not taken.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Waker> {
        self.take_back(|given| !given.is_taken);
        self.waiting.drain(..).filter_map(|waiting| waiting.waker)
    }

    /// Takes back some of the turns that were given: their publishers find that they have to ask
    /// again.
    pub(crate) fn take_back(&mut self, takes: impl Fn(&Given) -> bool) {
        self.given.retain(|given| !takes(given));
        self.reserved = self.given.iter().map(|given| given.len as u64).sum();
    }

    /// Returns how many publishers wait for their turn.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Tells whether a turn was given that has not ended.
    pub(crate) fn are_given(&self) -> bool {
        !self.given.is_empty()
    }

    /// Returns how many bytes may still be published in the turns that were given.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    fn given_index(&self, ticket: Ticket) -> Option<usize> {
        self.given
            .binary_search_by_key(&ticket, |given| given.ticket)
            .ok()
    }

    fn waiting_index(&self, ticket: Ticket) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&ticket, |waiting| waiting.ticket)
            .ok()
    }
}
