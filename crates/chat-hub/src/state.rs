//! The state that the hub's lock guards: the log, its readers, and the publishers that wait to
//! append to it.

use std::task::{Poll, Waker};

use chat_proto::{MESSAGE_LEN_MAX, Messages};

use crate::Policy;
use crate::clock::Ticking;
use crate::hub::{Config, Stats};
use crate::log::{Cursor, Log};
use crate::position::Place;
use crate::publisher::Closed;
use crate::slots::Slots;
use crate::turns::{Seniority, Standing, Ticket, Turns};
use crate::wait::{Spent, WaitList};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) log: Log,
    /// The subscribers.
    pub(crate) slots: Slots,
    /// The subscribers that have read everything.
    pub(crate) readers: WaitList,
    /// The publishers that want to publish.
    pub(crate) turns: Turns,
    pub(crate) ticking: Ticking,
    /// The tasks to be woken when the lock is released.
    pub(crate) woken: Vec<Waker>,
    /// The wakers to be dropped when the lock is released.
    pub(crate) spent: Spent,
    is_closed: bool,
    /// Up to which byte position publishers need not look at the subscribers.
    clear_pos: u64,
    pub(crate) counts: Counts,
}

/// Totals over all subscribers that there ever were.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) dropped: u64,
    pub(crate) disconnected: u64,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        let (capacity, policy) = (config.capacity, config.policy);
        Self {
            policy,
            log: Log::new(capacity, policy.backlog_len(capacity)),
            slots: Slots::default(),
            readers: WaitList::default(),
            turns: Turns::default(),
            ticking: Ticking::new(config),
            woken: Vec::new(),
            spent: Spent::default(),
            is_closed: false,
            clear_pos: 0,
            counts: Counts::default(),
        }
    }

    /// Ends publishing: no more turns are given. A turn that was taken may still be used.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.woken.extend(self.turns.clear());
        self.woken.extend(self.ticking.wake());
        self.wake_readers();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Tells whether nothing more will be published.
    pub(crate) fn is_over(&self) -> bool {
        self.is_closed && !self.turns.are_given()
    }

    /// Asks for a turn, or looks whether it has come; is ready with how many bytes may be
    /// published. With a waker, waits for it.
    pub(crate) fn poll_turn(
        &mut self,
        ticket: &mut Option<Ticket>,
        seniority: Seniority,
        waker: Option<&Waker>,
    ) -> Poll<Result<usize, Closed>> {
        if ticket.is_some_and(|ticket| self.turns.look(ticket) == Standing::Void) {
            *ticket = None;
        }
        if ticket.is_none() && self.is_closed {
            return Poll::Ready(Err(Closed));
        }
        let asked = *ticket.get_or_insert_with(|| self.turns.ask(seniority));
        self.give_turns();
        if let Standing::Given(len) = self.turns.look(asked) {
            return Poll::Ready(Ok(len));
        }
        match waker {
            Some(waker) => self.spent.add(self.turns.wait(asked, waker)),
            None => {
                self.end_turn(ticket);
                self.ticking.is_refusing = true;
            }
        }
        Poll::Pending
    }

    /// Ends a publisher's turn, or its waiting for one.
    pub(crate) fn end_turn(&mut self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else {
            return;
        };
        self.spent.add(self.turns.end(ticket));
        self.give_turns();
        if self.is_over() {
            self.wake_readers();
        }
    }

    /// Ends a publisher's turn in which it has published, and wakes the subscribers. Returns its
    /// seniority from now on.
    pub(crate) fn end_part(&mut self, ticket: &mut Option<Ticket>) -> Seniority {
        self.wake_readers();
        self.end_turn(ticket);
        self.turns.seniority()
    }

    /// Appends messages, in a turn that has the length for them.
    pub(crate) fn append(&mut self, messages: Messages<'_>) {
        let overrun_count = self.log.overrun_count();
        self.log.append(messages);
        if self.log.overrun_count() > overrun_count && self.policy.tells_overrun() {
            self.slots.wake_overrun(&self.log, &mut self.woken);
        }
    }

    /// Gives turns to publishers that wait, as far as there is room.
    pub(crate) fn give_turns(&mut self) {
        while self.turns.may_give() && self.room() > self.turns.reserved() {
            let len = self.turn_len();
            self.woken.extend(self.turns.give(len));
        }
    }

    /// Returns how many bytes may be published before an awaited subscriber is too far behind.
    fn room(&mut self) -> u64 {
        let end = self.log.end().byte_pos;
        if end + self.turns.reserved() >= self.clear_pos {
            let slack = self.slack();
            let slowest = self.log.slowest_awaited();
            if end - slowest > slack {
                return 0;
            }
            self.clear_pos = (slowest + slack).max(end + slack / LOOKS_PER_SLACK);
        }
        self.clear_pos.saturating_sub(end)
    }

    /// Returns how many bytes the next turn may have.
    fn turn_len(&self) -> usize {
        let subscriber_count = self.slots.len().max(1) as u64;
        let all = (self.slack() / ROUNDS_PER_SLACK).min(ROUND_DELIVERED_MAX / subscriber_count);
        let each = all / self.turns.waiting_count().max(1) as u64;
        let len = each.max(TURN_LEN_MIN.min(all));
        usize::try_from(len)
            .unwrap_or(usize::MAX)
            .max(MESSAGE_LEN_MAX)
    }

    /// Returns how far behind an awaited subscriber may be for publishers not to wait for it, in
    /// bytes.
    pub(crate) fn slack(&self) -> u64 {
        let capacity = self.log.capacity();
        (capacity / SLACKS_PER_LOG).max((capacity / 4).min(SLACK_SMALL))
    }

    /// Notes that publishers wait for somebody at `cursor` from now on.
    pub(crate) fn await_from(&mut self, cursor: Cursor) {
        // They may have been cleared to go on while nobody waited for it.
        self.clear_pos = self.clear_pos.min(cursor.place.byte_pos + self.slack());
    }

    /// Wakes the subscribers that had read everything.
    pub(crate) fn wake_readers(&mut self) {
        self.readers.wake_into(&mut self.woken);
    }

    /// Wakes the clock if it has something to do.
    pub(crate) fn wake_clock_if_due(&mut self) {
        if self.ticking.is_asleep() && self.is_clock_due() {
            self.woken.extend(self.ticking.wake());
        }
    }

    /// Tells whether anybody is under a time limit.
    pub(crate) fn is_clock_due(&self) -> bool {
        self.slots.are_stalled() || self.is_anybody_waiting()
    }

    /// Tells whether publishers wait for others, or subscribers for the last publishers.
    fn is_anybody_waiting(&self) -> bool {
        let is_ending = self.is_closed && self.turns.are_given();
        self.turns.waiting_count() > 0 || self.ticking.is_refusing || is_ending
    }

    /// Lets one step of the clock go by, when the stalled subscribers have been judged.
    pub(crate) fn tick(&mut self) {
        let end = self.log.end().byte_pos;
        let is_waiting = self.is_anybody_waiting();
        self.ticking.is_refusing = false;
        self.ticking.note_waiting(self.turns.waiting_count());
        if self.ticking.is_frozen(end, is_waiting) {
            self.turns.take_back(|_| true);
            self.abandon_unserved();
            if self.is_over() {
                self.wake_readers();
            }
        }
        self.give_turns();
    }

    pub(crate) fn end(&self) -> Place {
        self.log.end()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            published: self.log.end().message_pos,
            published_bytes: self.log.end().byte_pos,
            delivered: self.counts.delivered,
            delivered_bytes: self.counts.delivered_bytes,
            dropped: self.counts.dropped,
            disconnected: self.counts.disconnected,
            subscriber_count: self.slots.len(),
            laggard_count: self.slots.laggard_count(),
            waiting_publisher_count: self.turns.waiting_count(),
            publisher_wait: self.ticking.publisher_wait(),
            lag_max: self.log.lag_max(),
            retained_bytes: self.log.retained_len(),
        }
    }
}

/// How many times the slack of a subscriber fits into the capacity of a log that is not small:
/// publishers wait for an awaited subscriber that is further behind. Measured: with the half of a
/// log instead of an eighth the echo of a quiet client beside one that floods takes four times as
/// long, since what is ahead of it in the log is delivered first; with a sixteenth the flood is
/// slower.
const SLACKS_PER_LOG: u64 = 8;

/// The slack in a log of a quarter to half a mebibyte, in bytes. In smaller ones it is a quarter of
/// the log, so that segments are small beside it. A judgement.
const SLACK_SMALL: u64 = 64 * 1024;

/// How often publishers look for subscribers to wait for while a slack is published: an awaited
/// subscriber is at most a slack, this part of it, and the turns that were given behind. A
/// judgement: often enough to keep the promise, too seldom to be seen in a profile.
const LOOKS_PER_SLACK: u64 = 8;

/// How many rounds of turns, one for each publisher that waits, fit into a slack. A judgement.
const ROUNDS_PER_SLACK: u64 = 4;

/// How many bytes a round of turns may make the subscribers take in all. Measured: with 500
/// subscribers and one publisher that floods, others wait twice as long for theirs without it.
const ROUND_DELIVERED_MAX: u64 = 16 * 1024 * 1024;

/// How many bytes a turn has at least, however many publishers wait. A judgement: for less, taking
/// the turn costs more than the messages.
const TURN_LEN_MIN: u64 = 4096;
