//! What the hub tells of one subscriber to those who watch it.

use super::{Serving, Slot};
use crate::log::Cursor;
use crate::monitor::SubscriberStats;
use crate::state::State;

impl State {
    /// Returns how many messages a subscriber at `cursor` has lost that it has not skipped yet.
    pub(crate) fn let_go_before_read(&self, key: usize, cursor: Cursor) -> u64 {
        let end = self.end_of(key);
        if end <= cursor.place {
            return 0;
        }
        let (from, to) = self.log.let_go_after(cursor);
        to.min(end).message_pos.saturating_sub(from.message_pos)
    }

    /// Counts what the subscriber with this id has done, if it is still there.
    pub(crate) fn stats_of(&self, key: usize, id: u64) -> Option<SubscriberStats> {
        let slot = self.slots.slots.get(key).filter(|slot| slot.id == id)?;
        let Slot {
            cursor,
            end,
            joined,
            dropped,
            ..
        } = *slot;
        let is_ended = matches!(slot.serving, Serving::Ended);
        let pending = if is_ended {
            0
        } else {
            self.let_go_before_read(key, cursor)
        };
        let end = self.end().min(end);
        let lag = end.byte_pos.saturating_sub(cursor.place.byte_pos);
        let passed = cursor.place.message_pos - joined;
        Some(SubscriberStats {
            delivered: passed.saturating_sub(dropped),
            dropped,
            lost: dropped + pending,
            lag: if is_ended { 0 } else { lag },
            is_laggard: slot.is_laggard,
            is_stalled: matches!(slot.serving, Serving::Stalled(_) | Serving::Parked(_)),
        })
    }
}
