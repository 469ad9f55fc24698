//! What a client has sent.

use std::num::NonZero;

use crate::payload::Kind;

/// Nanoseconds since the run began.
pub type Nanos = u64;

/// The messages that one client has sent in a repetition. A message's number is how many the client
/// had sent before it.
#[derive(Clone, Debug, Default)]
pub struct Sends {
    // Invariant: each burst begins, in numbers, where the one before it ends, the first at 0; and
    // their ids ascend.
    bursts: Vec<Burst>,
}

/// Messages of one kind that were sent at the same moment.
///
/// There may be as many as messages, so it is 48 bytes and no more.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Number of the first message.
    pub first: u32,
    /// How many messages there are.
    pub count: u32,
    /// The id of the first message. Those of the others follow.
    pub first_id: u32,
    /// How many load messages the client had sent before.
    load_before: u32,
    /// How many receivers the last message of the burst has reached.
    arrival_count: u32,
    /// What they were sent for.
    pub kind: Kind,
    /// Whether they count in what is measured, or are there to warm up.
    pub is_measured: bool,
    /// When they were to be sent.
    pub intended: Nanos,
    /// When they were sent.
    pub sent: Nanos,
    /// When the last message of the burst first reached a receiver. Nothing arrives in the
    /// nanosecond in which the run begins.
    first_arrival: Option<NonZero<Nanos>>,
}

/// When messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When they were to be sent.
    pub intended: Nanos,
    /// When they were sent.
    pub sent: Nanos,
    /// Whether they count in what is measured, or are there to warm up.
    pub is_measured: bool,
}

impl Sends {
    /// Adds a burst of `count` messages, whose ids begin at `first_id`, and returns its place.
    pub fn push(&mut self, kind: Kind, count: u32, first_id: u32, times: Times) -> usize {
        let load_before = self.load_before(self.count(), self.bursts.len().saturating_sub(1));
        let Times {
            intended,
            sent,
            is_measured,
        } = times;
        self.bursts.push(Burst {
            first: self.count(),
            count,
            first_id,
            load_before,
            arrival_count: 0,
            kind,
            is_measured,
            intended,
            sent,
            first_arrival: None,
        });
        self.bursts.len() - 1
    }

    /// Forgets everything and keeps the allocation.
    pub fn clear(&mut self) {
        self.bursts.clear();
    }

    /// Returns the burst of a message. `hint` is a place near which it may be.
    pub fn find(&self, number: u32, hint: usize) -> Option<usize> {
        for place in [hint, hint + 1] {
            if self
                .bursts
                .get(place)
                .is_some_and(|burst| burst.contains(number))
            {
                return Some(place);
            }
        }
        let place = self.bursts.partition_point(|burst| burst.end() <= number);
        (place < self.bursts.len()).then_some(place)
    }

    /// Returns the burst and the number of the message with this id.
    pub fn find_id(&self, id: u32) -> Option<(&Burst, u32)> {
        let burst =
            &self.bursts[..self.bursts.partition_point(|burst| burst.first_id <= id)].last()?;
        (id - burst.first_id < burst.count).then(|| (*burst, burst.first + (id - burst.first_id)))
    }

    /// Returns how many load messages were sent before message `number`, which is in the burst at
    /// `place` or right behind it.
    pub fn load_before(&self, number: u32, place: usize) -> u32 {
        self.bursts.get(place).map_or(0, |burst| {
            burst.load_before
                + if burst.kind == Kind::Load {
                    number - burst.first
                } else {
                    0
                }
        })
    }

    /// Returns how many load messages were sent.
    pub fn load_count(&self) -> u32 {
        self.load_before(self.count(), self.bursts.len().saturating_sub(1))
    }

    /// Returns how many messages were sent.
    pub fn count(&self) -> u32 {
        self.bursts.last().map_or(0, Burst::end)
    }

    /// Returns all bursts, in the order in which they were sent.
    pub fn bursts(&self) -> &[Burst] {
        &self.bursts
    }

    /// Returns the burst at a place.
    pub fn burst_mut(&mut self, place: usize) -> &mut Burst {
        &mut self.bursts[place]
    }
}

impl Burst {
    /// Notes that the last message of the burst has reached a receiver. Returns when it reached the
    /// first, and how many it has reached.
    pub fn arrived(&mut self, now: Nanos) -> (Nanos, u32) {
        self.first_arrival = self.first_arrival.or(NonZero::new(now));
        self.arrival_count += 1;
        (self.first_arrival().unwrap_or(now), self.arrival_count)
    }

    /// Returns when the last message of the burst first reached a receiver, if it has.
    pub fn first_arrival(&self) -> Option<Nanos> {
        self.first_arrival.map(NonZero::get)
    }

    /// Returns when they were sent.
    pub fn times(&self) -> Times {
        Times {
            intended: self.intended,
            sent: self.sent,
            is_measured: self.is_measured,
        }
    }

    /// Returns the number behind the last message.
    pub fn end(&self) -> u32 {
        self.first + self.count
    }

    /// Returns the id behind that of the last message.
    pub fn end_id(&self) -> u32 {
        self.first_id + self.count
    }

    fn contains(&self, number: u32) -> bool {
        (self.first..self.end()).contains(&number)
    }
}

/// Length of a burst in memory, in bytes.
pub(crate) const BURST_LEN: usize = 48;
const _: () = assert!(size_of::<Burst>() == BURST_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        intended: 0,
        sent: 0,
        is_measured: true,
    };

    #[test]
    fn messages_are_found_from_any_hint() {
        let mut sends = Sends::default();
        for (kind, count, first_id) in [
            (Kind::Hello, 1, 5),
            (Kind::Load, 10, 9),
            (Kind::Probe, 1, 40),
            (Kind::Load, 3, 41),
        ] {
            sends.push(kind, count, first_id, TIMES);
        }
        let expected = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3];
        for hint in 0..6 {
            for (number, place) in (0..).zip(expected) {
                assert_eq!(sends.find(number, place.min(hint)), Some(place));
            }
            assert_eq!(sends.find(15, hint), None);
        }
        assert_eq!((sends.count(), sends.load_count()), (15, 13));
        assert_eq!(
            [(0, 0), (1, 1), (4, 1), (11, 2), (12, 2), (12, 3), (14, 3)]
                .map(|(number, place)| sends.load_before(number, place)),
            [0, 0, 3, 10, 10, 10, 12]
        );
        assert_eq!(
            sends
                .find_id(43)
                .map(|(burst, number)| (burst.first_id, number)),
            Some((41, 14))
        );
        assert!(
            sends.find_id(4).is_none()
                && sends.find_id(20).is_none()
                && sends.find_id(44).is_none()
        );
    }
}
