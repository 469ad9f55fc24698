//! The subscribers as the hub sees them: where each is, who serves it, and whether publishers wait
//! for it.

mod judging;
mod watching;

use std::mem;
use std::task::Waker;

use slab::Slab;

use crate::Policy;
use crate::log::{Cursor, Log, Pace};
use crate::position::Place;
use crate::state::State;
use crate::wait::Listing;

/// The subscribers.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Slab<Slot>,
    /// The subscribers whose streams take nothing and that publishers wait for, for a while.
    stalled: Slab<Stalled>,
    /// The other subscribers whose streams take nothing.
    parked: Slab<Stalled>,
    laggard_count: usize,
    /// How many subscribers there have ever been.
    joined_count: u64,
}

/// A subscriber.
#[derive(Debug)]
struct Slot {
    /// Which of all subscribers it is: its key may have been another's before.
    id: u64,
    /// Where it was at its last call.
    cursor: Cursor,
    /// Where its subscription ends; [`Place::MAX`] until somebody says so.
    end: Place,
    /// How many messages had been published when it joined.
    joined: u64,
    /// How many messages it has skipped.
    dropped: u64,
    pace: Pace,
    serving: Serving,
    /// Whether it took less than the rate for longer than the grace, and has not caught up since.
    is_laggard: bool,
    /// Whether it was told to try its stream once more before it is called a laggard.
    is_asked: bool,
    /// How many bytes it should have taken while its stream was full, and has not yet; of a
    /// laggard, how many it has taken since the log ended at `judged_pos`.
    owed: u64,
    /// Up to which byte position it has been credited with the bytes it took.
    judged_pos: u64,
}

/// Who serves a subscriber.
#[derive(Debug)]
enum Serving {
    /// Nobody.
    Nobody,
    /// A task that waits for messages, or that was woken for some and is on its way.
    Waiting(Listing),
    /// A task or a thread that has a batch.
    Reading,
    /// A stream that takes nothing at the moment, under the clock. The key is one of `stalled`.
    Stalled(usize),
    /// A stream that takes nothing, under no clock. The key is one of `parked`.
    Parked(usize),
    /// It is over. Its cursor is counted in the log no more.
    Ended,
}

/// A stream that takes nothing.
#[derive(Debug)]
struct Stalled {
    key: usize,
    /// Who tries the stream again.
    waker: Waker,
    /// Whether it was woken to try and has not yet.
    is_asked: bool,
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn laggard_count(&self) -> usize {
        self.laggard_count
    }

    /// Tells whether the clock has to judge anybody.
    pub(crate) fn are_stalled(&self) -> bool {
        !self.stalled.is_empty()
    }

    /// Wakes the laggards that the log has overrun. Takes one step for each laggard.
    pub(crate) fn wake_overrun(&mut self, log: &Log, woken: &mut Vec<Waker>) {
        let slots = &mut self.slots;
        self.parked.retain(|_, parked| {
            let slot = &mut slots[parked.key];
            let is_overrun = log.is_overrun(slot.cursor);
            if is_overrun {
                slot.serving = Serving::Nobody;
                woken.push(parked.waker.clone());
            }
            !is_overrun
        });
    }

    fn set_laggard(&mut self, key: usize, is_laggard: bool) {
        let was = mem::replace(&mut self.slots[key].is_laggard, is_laggard);
        self.laggard_count += usize::from(is_laggard);
        self.laggard_count -= usize::from(was);
    }
}

impl State {
    /// Adds a subscriber at `place`, or at the end of the log. Nobody serves it yet. Returns `None`
    /// when what was at that place has been let go.
    pub(crate) fn join(&mut self, place: Option<Place>) -> Option<(usize, Cursor)> {
        let pace = match self.policy {
            Policy::Block => Pace::Awaited,
            _ => Pace::Unawaited,
        };
        let cursor = match place {
            Some(place) => self.log.join_at(place, pace)?,
            None => self.log.join(pace),
        };
        if pace == Pace::Awaited {
            self.await_from(cursor);
        }
        self.slots.joined_count += 1;
        let key = self.slots.slots.insert(Slot {
            id: self.slots.joined_count,
            cursor,
            end: Place::MAX,
            joined: cursor.place.message_pos,
            dropped: 0,
            pace,
            serving: Serving::Nobody,
            is_laggard: false,
            is_asked: false,
            owed: 0,
            judged_pos: cursor.place.byte_pos,
        });
        Some((key, cursor))
    }

    /// Removes a subscriber that has got to `cursor`.
    pub(crate) fn leave(&mut self, key: usize, cursor: Cursor) {
        self.end_subscription(key, cursor);
        self.slots.slots.remove(key);
    }

    /// Notes that a subscriber has got to `cursor` and goes on reading.
    pub(crate) fn read(&mut self, key: usize, cursor: Cursor) {
        self.serve(key, cursor, Serving::Reading);
    }

    /// Tells whether a subscriber at `cursor` already waits, by `waker`, and there is nothing new.
    /// A laggard has something new: it has read everything now, and has caught up.
    pub(crate) fn is_waiting(&self, key: usize, cursor: Cursor, waker: &Waker) -> bool {
        let slot = &self.slots.slots[key];
        let Serving::Waiting(listing) = &slot.serving else {
            return false;
        };
        slot.cursor == cursor
            && cursor.place == self.log.end()
            && !slot.is_laggard
            && self.readers.is_listed(listing, waker)
    }

    /// Notes that a subscriber has read everything, without having lost anything just now, and
    /// waits for more.
    pub(crate) fn wait_to_read(&mut self, key: usize, waker: &Waker, has_caught_up: bool) {
        if has_caught_up {
            self.end_lag(key);
        }
        let listing = self.readers.register(waker);
        let cursor = self.slots.slots[key].cursor;
        self.serve(key, cursor, Serving::Waiting(listing));
    }

    /// Notes that a subscriber has got to `cursor` and that nobody serves it for now.
    pub(crate) fn pause(&mut self, key: usize, cursor: Cursor) {
        self.serve(key, cursor, Serving::Nobody);
    }

    /// Notes that the stream of a subscriber that was reading takes nothing; `waker` tries it
    /// again.
    pub(crate) fn stall(&mut self, key: usize, cursor: Cursor, waker: &Waker) {
        let is_judged = self.policy != Policy::Block;
        if is_judged && !self.ticking.is_attended() {
            self.begin_lag(key);
        }
        let (waker, is_asked) = (waker.clone(), false);
        let stalled = Stalled {
            key,
            waker,
            is_asked,
        };
        let serving = if is_judged && !self.slots.slots[key].is_laggard {
            Serving::Stalled(self.slots.stalled.insert(stalled))
        } else {
            Serving::Parked(self.slots.parked.insert(stalled))
        };
        self.serve(key, cursor, serving);
    }

    /// Ends a subscription at `cursor`: it is in nobody's way any more.
    pub(crate) fn end_subscription(&mut self, key: usize, cursor: Cursor) {
        if self.is_subscription_over(key) {
            return;
        }
        self.serve(key, cursor, Serving::Nobody);
        self.slots.set_laggard(key, false);
        let slot = &mut self.slots.slots[key];
        slot.serving = Serving::Ended;
        let (cursor, pace) = (slot.cursor, slot.pace);
        self.log.leave(cursor, pace);
        self.give_turns();
    }

    /// Returns which of all subscribers this is.
    pub(crate) fn id(&self, key: usize) -> u64 {
        self.slots.slots[key].id
    }

    /// Returns where a subscription ends.
    pub(crate) fn end_of(&self, key: usize) -> Place {
        self.slots.slots[key].end
    }

    /// Says where a subscription ends; an earlier end holds.
    pub(crate) fn end_at(&mut self, key: usize, end: Place) {
        let slot = &mut self.slots.slots[key];
        slot.end = slot.end.min(end);
    }

    /// Says where a subscription ends, from elsewhere, if it is still the one with this id; and
    /// wakes the subscriber, for it may be there already.
    pub(crate) fn end_from_elsewhere(&mut self, key: usize, id: u64, end: Place) {
        let is_there = self.slots.slots.get(key).is_some_and(|slot| slot.id == id);
        if is_there {
            self.end_at(key, end);
            let slot = &self.slots.slots[key];
            let cursor = slot.cursor;
            // How far one has got that reads is not known.
            let is_over = !matches!(slot.serving, Serving::Reading) && end <= cursor.place;
            self.wake(key);
            if is_over {
                self.end_subscription(key, cursor);
            }
        }
    }

    /// Wakes a subscriber, whatever it waits for.
    fn wake(&mut self, key: usize) {
        let Slots {
            slots,
            stalled,
            parked,
            ..
        } = &mut self.slots;
        let slot = &mut slots[key];
        match mem::replace(&mut slot.serving, Serving::Reading) {
            // From when it has been woken it reads.
            Serving::Waiting(listing) => self.woken.extend(self.readers.take(listing)),
            serving => {
                let waker = match &serving {
                    Serving::Stalled(key) => Some(&stalled[*key].waker),
                    Serving::Parked(key) => Some(&parked[*key].waker),
                    _ => None,
                };
                self.woken.extend(waker.cloned());
                slot.serving = serving;
            }
        }
    }

    /// Ends a subscriber that lagged, at `cursor`.
    pub(crate) fn disconnect(&mut self, key: usize, cursor: Cursor) {
        self.counts.disconnected += 1;
        self.end_subscription(key, cursor);
    }

    /// Moves a subscriber over messages that it will not read. Those before `end` count as dropped;
    /// returns how many those are.
    pub(crate) fn skip(&mut self, key: usize, to: Cursor, end: Place) -> u64 {
        let slot = &mut self.slots.slots[key];
        let (from, pace) = (mem::replace(&mut slot.cursor, to), slot.pace);
        if slot.is_laggard {
            self.restart_credit(key);
        } else {
            // It has not taken the messages that it skipped.
            slot.judged_pos += to.place.byte_pos - from.place.byte_pos;
        }
        let dropped = end.message_pos - from.place.message_pos;
        self.slots.slots[key].dropped += dropped;
        self.move_cursor((from, pace), (to, pace));
        self.counts.dropped += dropped;
        dropped
    }

    fn is_subscription_over(&self, key: usize) -> bool {
        matches!(self.slots.slots[key].serving, Serving::Ended)
    }

    pub(crate) fn is_laggard(&self, key: usize) -> bool {
        self.slots.slots[key].is_laggard
    }

    /// Notes where a subscriber is and who serves it.
    fn serve(&mut self, key: usize, cursor: Cursor, serving: Serving) {
        let slot = &mut self.slots.slots[key];
        if matches!(slot.serving, Serving::Ended) {
            return;
        }
        let before = mem::replace(&mut slot.serving, serving);
        let from = mem::replace(&mut slot.cursor, cursor);
        self.counts.delivered += cursor.place.message_pos - from.place.message_pos;
        self.counts.delivered_bytes += cursor.place.byte_pos - from.place.byte_pos;
        if slot.is_laggard {
            self.credit_laggard(key, cursor.place.byte_pos - from.place.byte_pos);
        }
        let spent = match before {
            Serving::Waiting(listing) => self.readers.take(listing),
            Serving::Stalled(stalled) => Some(self.slots.stalled.remove(stalled).waker),
            Serving::Parked(parked) => Some(self.slots.parked.remove(parked).waker),
            Serving::Nobody | Serving::Reading | Serving::Ended => None,
        };
        self.spent.add(spent);
        self.repace(key, from);
    }

    /// Counts a subscriber, which was at `from`, where it is and as it is now.
    fn repace(&mut self, key: usize, from: Cursor) {
        let slot = &self.slots.slots[key];
        let pace = self.pace(slot);
        let (was, cursor) = (slot.pace, slot.cursor);
        if (was, pace) == (Pace::Unawaited, Pace::Awaited) {
            self.await_from(cursor);
        }
        self.slots.slots[key].pace = pace;
        self.move_cursor((from, was), (cursor, pace));
    }

    /// Tells whether publishers wait for a subscriber.
    fn pace(&self, slot: &Slot) -> Pace {
        let is_served = match slot.serving {
            _ if self.policy == Policy::Block => true,
            Serving::Waiting(_) | Serving::Reading | Serving::Stalled(_) => !slot.is_laggard,
            Serving::Nobody | Serving::Parked(_) | Serving::Ended => false,
        };
        if is_served {
            Pace::Awaited
        } else {
            Pace::Unawaited
        }
    }

    /// Counts a cursor where it has got to, and lets publishers go on that waited for it.
    fn move_cursor(&mut self, from: (Cursor, Pace), to: (Cursor, Pace)) {
        self.log.advance(from, to);
        if self.turns.waiting_count() > 0 && !self.log.has_awaited_beside(from.0) {
            self.give_turns();
        }
    }
}
