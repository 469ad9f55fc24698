//! Messages of earlier repetitions.

use std::collections::{HashMap, VecDeque};

use crate::payload::Tag;

/// Knows in which order messages of earlier repetitions may arrive at clients that join.
///
/// A server may begin a client's stream anywhere in the one order of all messages, so messages of an
/// earlier repetition may come before the client's own first. But they stand in that order too: a
/// client gets each once, those of one repetition before those of the next, those of one sender in the
/// order in which they were sent, and those of the repetition before in the order in which one of its
/// clients, the *witness*, got them. How many of these are remembered is bounded.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// What the witness got in this repetition, in runs of messages of one sender.
    witnessed: VecDeque<Witnessed>,
    /// The same of the repetition before.
    before: Vec<Witnessed>,
    /// How many messages of an earlier repetition's sender each client is past, since it joined.
    passed: HashMap<(usize, u16, u16), u32>,
    /// The place among `before` of what each client got last.
    places: HashMap<usize, usize>,
    /// How many repetitions ago that was sent which each client got last.
    ages: HashMap<usize, u16>,
}

#[derive(Clone, Copy, Debug)]
struct Witnessed {
    sender: usize,
    first: u32,
    count: u32,
}

/// Why a message of an earlier repetition is out of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// The client had it, or a later one of the same sender.
    Passed,
    /// The client had another that stands after it.
    Overtaken,
    /// The client had one of a later repetition.
    OfEarlier,
    /// The client had one of this repetition.
    Late,
}

impl History {
    /// Begins a repetition.
    pub(crate) fn begin(&mut self) {
        self.before.clear();
        self.before.extend(self.witnessed.drain(..));
        self.passed.clear();
        self.places.clear();
        self.ages.clear();
    }

    /// Notes messages of one sender that the witness got, one after the other.
    pub(crate) fn witness(&mut self, sender: usize, first: u32, count: u32) {
        if let Some(last) = self.witnessed.back_mut()
            && last.sender == sender
            && last.first + last.count == first
        {
            last.count += count;
            return;
        }
        if self.witnessed.len() == WITNESSED_MAX {
            self.witnessed.pop_front();
        }
        self.witnessed.push_back(Witnessed {
            sender,
            first,
            count,
        });
    }

    /// Takes a message that arrived at a client and was sent `age` repetitions ago.
    pub(crate) fn receive(&mut self, client: usize, tag: Tag, age: u16) -> Result<(), Misplaced> {
        let last_age = self.ages.entry(client).or_insert(age);
        if age > *last_age {
            return Err(Misplaced::OfEarlier);
        }
        *last_age = age;
        let passed = self
            .passed
            .entry((client, tag.run, tag.client))
            .or_default();
        if tag.number < *passed {
            return Err(Misplaced::Passed);
        }
        *passed = tag.number + 1;
        let sender = usize::from(tag.client);
        let is_it = |run: &Witnessed| {
            run.sender == sender && (run.first..run.first + run.count).contains(&tag.number)
        };
        let Some(place) = self.before.iter().position(is_it).filter(|_| age == 1) else {
            // The witness did not get it.
            return Ok(());
        };
        let last = self.places.entry(client).or_default();
        if place < *last {
            return Err(Misplaced::Overtaken);
        }
        *last = place;
        Ok(())
    }
}

/// How many runs of messages are remembered. A judgement: what a server keeps for those who join.
const WITNESSED_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Kind;

    fn tag(run: u16, client: u16, number: u32) -> Tag {
        Tag {
            run,
            client,
            kind: Kind::Load,
            number,
        }
    }

    #[test]
    fn each_client_gets_earlier_messages_once_and_in_one_order() {
        let mut history = History::default();
        history.witness(0, 0, 2);
        history.witness(1, 0, 1);
        history.witness(0, 2, 1);
        history.begin();
        for client in [5, 6] {
            for (sender, number) in [(0, 1), (1, 0), (0, 2)] {
                let taken = history.receive(client, tag(0, sender, number), 1);
                assert_eq!(taken, Ok(()), "{sender} {number}");
            }
        }
        let again = history.receive(5, tag(0, 0, 2), 1);
        assert_eq!(again, Err(Misplaced::Passed));
        history.receive(7, tag(0, 1, 0), 1).unwrap();
        let overtaken = history.receive(7, tag(0, 0, 1), 1);
        assert_eq!(overtaken, Err(Misplaced::Overtaken));
        // Of what the witness did not get, each sender's are in order.
        history.receive(8, tag(0, 3, 4), 1).unwrap();
        assert!(history.receive(8, tag(0, 3, 3), 1).is_err());
        // It is forgotten after a repetition more.
        history.begin();
        history.receive(7, tag(0, 1, 0), 2).unwrap();
        history.receive(7, tag(0, 0, 1), 2).unwrap();
    }

    #[test]
    fn earlier_repetitions_come_one_after_the_other() {
        let mut history = History::default();
        history.receive(7, tag(0, 0, 5), 3).unwrap();
        history.receive(7, tag(2, 0, 0), 1).unwrap();
        let earlier = history.receive(7, tag(1, 0, 9), 2);
        assert_eq!(earlier, Err(Misplaced::OfEarlier));
        history.receive(8, tag(1, 0, 9), 2).unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::default();
        for number in 0..100_000 {
            history.witness(number as usize % 2, number, 1);
        }
        assert_eq!(history.witnessed.len(), WITNESSED_MAX);
    }
}
