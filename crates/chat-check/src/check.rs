//! The verdict on a run.

use crate::merge::Merge;
use crate::reduced::Reduced;
use crate::{CLIENT_COUNT_MAX, MessageId, Record, Violation, cycle, faults};

/// Decides whether one order of all messages agrees with every record. `records[i]` is the record
/// of client `i`.
///
/// Takes time in proportion to the number of events in all records, and up to ten times as long to
/// find a violation. Allocates as much as the [crate's documentation](crate#what-it-costs) says,
/// and keeps only the order.
///
/// # Errors
///
/// [`Violation`] when there is no such order. Of several violations, the one whose variant stands
/// first is returned; of contradictions and causal violations, the one with the shortest story.
///
/// # Panics
///
/// When there are more than [`CLIENT_COUNT_MAX`] records. The contents of a record cannot cause a
/// panic.
///
/// # Examples
///
/// ```
/// use chat_check::{MessageId, Record, Violation, check};
///
/// let message = MessageId::new(0).unwrap();
/// let (mut sender, mut receiver) = (Record::new(), Record::new());
/// sender.sent(message);
/// receiver.received(message);
///
/// assert_eq!(check(&[sender, receiver.clone()]).unwrap().message_count(), 1);
/// assert_eq!(check(&[receiver]), Err(Violation::Phantom { client: 0, message: Some(message) }));
/// ```
pub fn check(records: &[Record]) -> Result<Consistent, Violation> {
    let client_count = records.len();
    assert!(
        client_count <= CLIENT_COUNT_MAX,
        "{client_count} clients, where {CLIENT_COUNT_MAX} can be checked"
    );
    let message_end = records.iter().map(Record::sent_end).max().unwrap_or(0);
    if let Some(order) = find_order(records, message_end) {
        let delivery_count = records
            .iter()
            .map(|record| record.delivery_count() as u64)
            .sum();
        return Ok(Consistent {
            order,
            delivery_count,
        });
    }
    faults::rule_out(records, message_end)?;
    // Events that the search for an order leaves out may be part of the shortest story, so all
    // events are merged here.
    let mut merge = Merge::new(records.iter().map(Record::events), message_end);
    let is_consistent = merge.count() && merge.run();
    debug_assert!(
        !is_consistent,
        "the rest of the records has an order if the whole has"
    );
    Err(cycle::tell(&merge))
}

/// One order of all messages that agrees with every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistent {
    order: Vec<MessageId>,
    delivery_count: u64,
}

impl Consistent {
    /// Returns the order that was found: every message that was sent, received or not. Other orders
    /// may agree with the records as well.
    pub fn order(&self) -> &[MessageId] {
        &self.order
    }

    /// Returns how many messages were sent.
    pub fn message_count(&self) -> usize {
        self.order.len()
    }

    /// Returns how many times a client received a message.
    pub fn delivery_count(&self) -> u64 {
        self.delivery_count
    }
}

fn find_order(records: &[Record], message_end: usize) -> Option<Vec<MessageId>> {
    let reduced = Reduced::new(records, message_end);
    let mut merge = Merge::new(reduced.events(), message_end);
    (merge.count() && merge.run()).then(|| merge.finish())
}
