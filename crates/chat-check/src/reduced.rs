//! Leaves out the events that another record makes redundant.

use std::iter;

use crate::Record;
use crate::record::{Event, Packed};

/// The events of all clients without those that the *witness*, the client with the most deliveries,
/// makes redundant.
///
/// If the witness received two neighbours of a received list in the same order, its own list
/// already orders them. So three kinds of events remain of another client: its sends, its receipts
/// of messages that the witness lacks or received in another order, and the receipts next to all
/// these. The rest agrees with the same orders as the whole. When the witness missed nothing,
/// hardly more than its own record remains, and each other delivery costs one look into a table.
pub(crate) struct Reduced<'a> {
    records: &'a [Record],
    witness: usize,
    events: Vec<Packed>,
    /// For each client where its events end; the witness has none here.
    ends: Vec<usize>,
}

impl<'a> Reduced<'a> {
    /// Reduces records of messages below `message_end`. All events that may be at fault remain.
    pub(crate) fn new(records: &'a [Record], message_end: usize) -> Self {
        let witness = (0..records.len())
            .max_by_key(|&client| records[client].delivery_count())
            .unwrap_or(0);
        let positions = positions(
            records.get(witness).map_or(&[], Record::events),
            message_end,
        );
        let mut reduced = Self {
            records,
            witness,
            events: Vec::new(),
            ends: Vec::with_capacity(records.len()),
        };
        for (client, record) in records.iter().enumerate() {
            if client != witness {
                reduced.add(record.events(), &positions);
            }
            reduced.ends.push(reduced.events.len());
        }
        reduced
    }

    /// Adds the remaining events of one client.
    fn add(&mut self, events: &[Packed], positions: &[u32]) {
        let mut last_position = ABSENT;
        // The receipt just before, if it is left out: it returns when the next event is kept.
        let mut left_out = None;
        for &event in events {
            if let Event::Received(message) = event.unpack() {
                let position = positions.get(message.place()).copied().unwrap_or(ABSENT);
                let is_redundant = last_position != ABSENT && position > last_position;
                last_position = position;
                if is_redundant {
                    left_out = Some(event);
                    continue;
                }
            }
            self.events.extend(left_out.take());
            self.events.push(event);
        }
    }

    /// Returns the remaining events of each client.
    pub(crate) fn events(&self) -> impl Iterator<Item = &[Packed]> {
        let starts = iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .enumerate()
            .map(|(client, (start, &end))| {
                if client == self.witness {
                    self.records[client].events()
                } else {
                    &self.events[start..end]
                }
            })
    }
}

/// Returns for each message at which place the witness received it, counted from 1, or [`ABSENT`].
fn positions(witness: &[Packed], message_end: usize) -> Vec<u32> {
    let mut positions = vec![ABSENT; message_end];
    for (position, event) in (1..=u32::MAX).zip(witness) {
        if let Event::Received(message) = event.unpack()
            && let Some(entry) = positions.get_mut(message.place())
        {
            *entry = position;
        }
    }
    positions
}

/// The place of a message that the witness did not receive.
const ABSENT: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;

    const MESSAGE_COUNT: u32 = 1_000;

    /// Returns how many events remain of a client that missed each message that `misses` says, next
    /// to one that missed none.
    fn remaining_count(misses: impl Fn(u32) -> bool) -> usize {
        let mut records = [Record::new(), Record::new()];
        for index in 0..MESSAGE_COUNT {
            let message = MessageId::new(index).expect("the index is small");
            records[0].received(message);
            if !misses(index) {
                records[1].received(message);
            }
        }
        let reduced = Reduced::new(&records, MESSAGE_COUNT as usize);
        let remaining: Vec<_> = reduced.events().map(<[Packed]>::len).collect();
        assert_eq!(
            remaining[0], MESSAGE_COUNT as usize,
            "the witness stays whole"
        );
        remaining[1]
    }

    #[test]
    fn next_to_a_witness_one_receipt_remains() {
        assert_eq!(remaining_count(|index| index == 0), 1);
        assert_eq!(remaining_count(|index| index % 3 == 0), 1);
    }
}
