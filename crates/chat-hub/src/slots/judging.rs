//! Finds the subscribers that do not keep up, and those that nobody serves.

use std::mem;

use smallvec::SmallVec;

use super::{Serving, Slot, Slots};
use crate::Policy;
use crate::log::Pace;
use crate::state::State;

impl State {
    /// Judges the subscribers whose streams take nothing at the moment: one that has taken less
    /// than the rate for longer than the grace is a laggard from now on.
    ///
    /// A stream may say that it takes more long after it could. So a subscriber is told to try once
    /// more before.
    ///
    /// Judges a few, from the key `first` on; returns the key of the next one to be judged.
    pub(crate) fn judge_stalled(&mut self, first: usize) -> Option<usize> {
        let Slots { slots, stalled, .. } = &mut self.slots;
        let mut laggards = SmallVec::<[usize; 8]>::new();
        let next = first + JUDGED_MAX;
        let has_next = next < stalled.capacity();
        for key in first..next {
            let Some(stalled) = stalled.get_mut(key) else {
                continue;
            };
            let slot = &mut slots[stalled.key];
            let pos = slot.cursor.place.byte_pos;
            let taken = pos - mem::replace(&mut slot.judged_pos, pos);
            slot.owed = slot.owed.saturating_sub(taken) + self.ticking.step_len();
            if slot.owed + self.ticking.step_len() < self.ticking.grace_len() {
                slot.is_asked = false;
            } else if !mem::replace(&mut slot.is_asked, true) {
                stalled.is_asked = true;
                self.woken.push(stalled.waker.clone());
            } else if !stalled.is_asked || slot.owed >= 2 * self.ticking.grace_len() {
                laggards.push(stalled.key);
            }
        }
        for key in laggards {
            self.call_laggard(key);
        }
        has_next.then_some(next)
    }

    /// Makes a subscriber a laggard.
    pub(super) fn begin_lag(&mut self, key: usize) {
        if !self.slots.slots[key].is_laggard {
            self.slots.set_laggard(key, true);
            self.restart_credit(key);
        }
    }

    /// Makes a subscriber one that keeps up.
    pub(super) fn end_lag(&mut self, key: usize) {
        self.slots.set_laggard(key, false);
        let slot = &mut self.slots.slots[key];
        (slot.owed, slot.is_asked) = (0, false);
        slot.judged_pos = slot.cursor.place.byte_pos;
    }

    /// Credits a laggard with `len` bytes that it has taken. It has caught up once it has taken
    /// half a log without a loss, at half the speed at least at which messages are published,
    /// and has no more than that to read: publishers will not wait for it for long. In a flood
    /// it may never read everything, since nobody waits for it.
    pub(super) fn credit_laggard(&mut self, key: usize, len: u64) {
        let (end, half) = (self.log.end().byte_pos, self.log.capacity() / 2);
        let slot = &mut self.slots.slots[key];
        slot.owed += len;
        let published = end - slot.judged_pos;
        let is_quick = slot.owed >= half && slot.owed * 2 >= published;
        let is_near = end - slot.cursor.place.byte_pos <= half;
        if is_quick && is_near && self.log.is_retained(slot.cursor) {
            self.end_lag(key);
        } else if published > 4 * half {
            // What it did long ago does not count.
            self.restart_credit(key);
        }
    }

    /// Counts anew what a laggard takes.
    pub(super) fn restart_credit(&mut self, key: usize) {
        let slot = &mut self.slots.slots[key];
        (slot.owed, slot.judged_pos) = (0, self.log.end().byte_pos);
    }

    /// Has publishers wait no more for a subscriber whose stream takes nothing.
    fn call_laggard(&mut self, key: usize) {
        self.begin_lag(key);
        let Slots {
            slots,
            stalled,
            parked,
            ..
        } = &mut self.slots;
        let slot = &mut slots[key];
        if let Serving::Stalled(stalled_key) = slot.serving {
            slot.serving = Serving::Parked(parked.insert(stalled.remove(stalled_key)));
        }
        let cursor = slot.cursor;
        self.repace(key, cursor);
    }

    /// Has publishers wait no more for any subscriber whose stream takes nothing: nobody keeps
    /// time.
    pub(crate) fn call_stalled_laggards(&mut self) {
        let stalled: Vec<usize> = self.slots.stalled.iter().map(|(_, s)| s.key).collect();
        for key in stalled {
            self.call_laggard(key);
        }
    }

    /// Has publishers wait no more for subscribers that nobody serves, though somebody is to. Takes
    /// one step for each subscriber, which is only done when the hub has stood still for long.
    pub(crate) fn abandon_unserved(&mut self) {
        if self.policy == Policy::Block {
            return;
        }
        let (end, slack) = (self.log.end().byte_pos, self.slack());
        // A stream that is full is judged by what it takes.
        let is_awaited = |slot: &Slot| {
            slot.pace == Pace::Awaited && !matches!(slot.serving, Serving::Stalled(_))
        };
        let is_behind = |slot: &Slot| end - slot.cursor.place.byte_pos > slack / 2;
        let unserved: Vec<usize> = (self.slots.slots.iter())
            .filter(|(_, slot)| is_awaited(slot) && is_behind(slot))
            .map(|(key, _)| key)
            .collect();
        for key in unserved {
            self.begin_lag(key);
            let cursor = self.slots.slots[key].cursor;
            self.repace(key, cursor);
        }
    }
}

/// How many stalled subscribers are judged under one lock: so many take a few microseconds.
const JUDGED_MAX: usize = 128;
