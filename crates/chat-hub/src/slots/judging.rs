//! Who keeps up, and who is not being served.

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

    /// Has publishers wait no more for a subscriber whose stream takes nothing.
    fn call_laggard(&mut self, key: usize) {
        self.slots.set_laggard(key, true);
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
            self.slots.set_laggard(key, true);
            let cursor = self.slots.slots[key].cursor;
            self.repace(key, cursor);
        }
    }
}

/// How many stalled subscribers are judged under one lock: so many take a few microseconds.
const JUDGED_MAX: usize = 128;
