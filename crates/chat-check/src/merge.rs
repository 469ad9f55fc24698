//! Merges all lists into one order, or gets stuck.

use std::mem;

use crate::MessageId;
use crate::record::{Event, Packed};

/// The merge of all clients' lists: the messages that each sent, and those that each received.
///
/// A message is taken into the order once it is the head of every list it occurs in. A sent message
/// is the head of its list only once all receipts recorded before it are taken: this is how the
/// order becomes causal.
///
/// The lists whose head is a certain message form a linked list through `next`, so each event costs
/// one link and one count.
///
/// Source: A. B. Kahn, "Topological sorting of large networks", Communications of the ACM 5(11),
/// 1962.
pub(crate) struct Merge<'a> {
    cursors: Vec<Cursor<'a>>,
    /// For each list the next one with the same head, or [`NONE`]. Client `i` has the lists `2 *
    /// i` (received) and `2 * i + 1` (sent).
    next: Vec<u32>,
    /// For each message the first list whose head it is, or [`NONE`]; [`UNSENT`] when nobody sent
    /// it.
    waiting: Vec<u32>,
    /// For each message how many lists it occurs in without being their head yet. A message of the
    /// order has none left.
    missing: Vec<u32>,
    order: Vec<MessageId>,
    message_count: usize,
}

impl<'a> Merge<'a> {
    /// Prepares to merge the events of each client, all of whose sends are of messages below
    /// `message_end`.
    pub(crate) fn new(events: impl Iterator<Item = &'a [Packed]>, message_end: usize) -> Self {
        let cursors: Vec<_> = events
            .map(|events| Cursor {
                events,
                received: 0,
                sent: 0,
            })
            .collect();
        Self {
            next: vec![NONE; 2 * cursors.len()],
            waiting: vec![UNSENT; message_end],
            missing: vec![0; message_end],
            order: Vec::new(),
            message_count: 0,
            cursors,
        }
    }

    /// Counts in how many lists each message occurs. Returns whether each was sent once, and each
    /// receipt is one of a message sent.
    pub(crate) fn count(&mut self) -> bool {
        for cursor in &self.cursors {
            for event in cursor.events {
                let place = event.message().place();
                match event.unpack() {
                    Event::Received(_) if place < self.missing.len() => {}
                    Event::Sent(_) if self.waiting[place] == UNSENT => {
                        self.waiting[place] = NONE;
                        self.message_count += 1;
                    }
                    _ => return false,
                }
                // A count that saturates stands for duplicates, with which the message is never
                // taken.
                self.missing[place] = self.missing[place].saturating_add(1);
            }
        }
        self.waiting
            .iter()
            .zip(&self.missing)
            .all(|(&list, &count)| list == NONE || count == 0)
    }

    /// Takes messages until none is the head of all its lists. Returns whether all are taken.
    ///
    /// Every event must have been counted.
    pub(crate) fn run(&mut self) -> bool {
        self.order.reserve_exact(self.message_count);
        let list_count = self.next.len();
        for list in (0..).step_by(2).take(list_count / 2) {
            self.seek_received(list, 0);
        }
        let mut taken_count = 0;
        while let Some(&message) = self.order.get(taken_count) {
            taken_count += 1;
            let mut list = mem::replace(&mut self.waiting[message.place()], NONE);
            while list != NONE {
                let next = self.next[list as usize];
                self.advance(list);
                list = next;
            }
        }
        self.order.len() == self.message_count
    }

    /// Returns the messages that were taken, in order.
    pub(crate) fn finish(self) -> Vec<MessageId> {
        self.order
    }

    pub(crate) fn cursors(&self) -> &[Cursor<'a>] {
        &self.cursors
    }

    /// Returns a number above the indexes of all messages.
    pub(crate) fn message_end(&self) -> usize {
        self.missing.len()
    }

    /// Tells whether a message that is left over is the head of a list.
    pub(crate) fn is_head(&self, message: MessageId) -> bool {
        self.waiting[message.place()] != NONE
    }

    /// Moves a list on from its head.
    fn advance(&mut self, list: u32) {
        let cursor = &self.cursors[(list / 2) as usize];
        if list.is_multiple_of(2) {
            self.seek_received(list, cursor.received + 1)
        } else {
            self.seek_sent(list, cursor.sent + 1)
        }
    }

    /// Makes the first receipt from `from` on the head of a received list. The sends passed over
    /// are now free to be heads.
    fn seek_received(&mut self, list: u32, from: usize) {
        let cursor = &mut self.cursors[(list / 2) as usize];
        let mut to = from;
        while cursor.events.get(to).is_some_and(|event| event.is_sent()) {
            to += 1;
        }
        let has_sent_head = cursor.sent < cursor.received;
        cursor.received = to;
        let (first_passed, head) = (
            cursor.events[from..to].first().copied(),
            cursor.events.get(to).copied(),
        );
        if !has_sent_head {
            cursor.sent = from;
            if let Some(event) = first_passed {
                self.wait(list + 1, event.message());
            }
        }
        self.cursors[(list / 2) as usize].debug_check();
        if let Some(event) = head {
            self.wait(list, event.message());
        }
    }

    /// Makes the first send from `from` on the head of a sent list, unless a receipt before it is
    /// still to be taken.
    fn seek_sent(&mut self, list: u32, from: usize) {
        let cursor = &mut self.cursors[(list / 2) as usize];
        cursor.sent = from;
        while cursor.sent < cursor.received && !cursor.events[cursor.sent].is_sent() {
            cursor.sent += 1;
        }
        cursor.debug_check();
        if let Some(message) = cursor.sent_head() {
            self.wait(list, message);
        }
    }

    /// Notes that `message` is the head of `list`, and takes it if it is now the head of all its
    /// lists.
    fn wait(&mut self, list: u32, message: MessageId) {
        let place = message.place();
        self.next[list as usize] = mem::replace(&mut self.waiting[place], list);
        self.missing[place] -= 1;
        if self.missing[place] == 0 {
            self.order.push(message);
        }
    }
}

/// How far the two lists of one client are merged. Both lists are the client's events: each skips
/// those of the other.
pub(crate) struct Cursor<'a> {
    // Invariant: sent <= received <= events.len().
    // Invariant: events[received] is a receipt, unless received == events.len().
    // Invariant: events[sent] is a send, unless sent == received: then all sends before `received`
    // are taken.
    pub(crate) events: &'a [Packed],
    pub(crate) received: usize,
    pub(crate) sent: usize,
}

impl Cursor<'_> {
    pub(crate) fn received_head(&self) -> Option<MessageId> {
        self.events.get(self.received).map(|event| event.message())
    }

    pub(crate) fn sent_head(&self) -> Option<MessageId> {
        (self.sent < self.received).then(|| self.events[self.sent].message())
    }

    fn debug_check(&self) {
        debug_assert!(self.sent <= self.received && self.received <= self.events.len());
        debug_assert!(
            self.events
                .get(self.received)
                .is_none_or(|event| !event.is_sent())
        );
        debug_assert!(self.sent == self.received || self.events[self.sent].is_sent());
    }
}

/// No list.
const NONE: u32 = u32::MAX;
/// No list, of a message that nobody sent. Neither is the number of a list, since
/// [`CLIENT_COUNT_MAX`](crate::CLIENT_COUNT_MAX) is less.
const UNSENT: u32 = u32::MAX - 1;
