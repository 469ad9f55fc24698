//! Who is who among the clients of a repetition.

use std::fmt;
use std::ops::Range;

use chat_results::Load;

/// How many clients of each kind there are.
///
/// Clients are numbered from 0: first all publishers, then the subscribers of publisher 0, then
/// those of publisher 1 and so on, then the slow ones. These are there from the beginning to the
/// end. Visitors come after them, as they join.
#[derive(Clone, Copy, Debug)]
pub struct Topology {
    /// The number of publishers.
    pub publishers: usize,
    /// The number of subscribers of each publisher.
    pub subscribers: usize,
    /// The number of clients that read slowly.
    pub slow: usize,
    /// Whether publishers read what they are sent.
    pub publishers_read: bool,
}

impl Topology {
    /// Returns who takes part in a load. Visitors and clients that never read are not in it.
    pub fn of(load: &Load) -> Self {
        Self {
            publishers: load.publishers as usize,
            subscribers: load.subscribers as usize,
            slow: load.slow.count as usize,
            publishers_read: load.publishers_read,
        }
    }

    /// Returns how many publishers and subscribers there are.
    pub fn member_count(self) -> usize {
        self.publishers * (1 + self.subscribers)
    }

    /// Returns how many clients there are from the beginning to the end.
    pub fn resident_count(self) -> usize {
        self.member_count() + self.slow
    }

    /// Returns the publishers and subscribers that read: all that is published is due to each of
    /// them.
    pub fn receivers(self) -> Range<usize> {
        self.first_receiver()..self.member_count()
    }

    /// Returns the clients that read and stay to the end.
    pub fn readers(self) -> Range<usize> {
        self.first_receiver()..self.resident_count()
    }

    /// Returns the clients that read slowly.
    pub fn slow_clients(self) -> Range<usize> {
        self.member_count()..self.resident_count()
    }

    /// Returns the subscribers of a publisher.
    pub fn own_subscribers(self, publisher: usize) -> Range<usize> {
        let first = self.publishers + publisher * self.subscribers;
        first..first + self.subscribers
    }

    /// Returns what `client` is.
    pub fn role(self, client: usize) -> Role {
        if let Some(number) = client.checked_sub(self.resident_count()) {
            return Role::Visitor(number);
        }
        if let Some(number) = client.checked_sub(self.member_count()) {
            return Role::Slow(number);
        }
        match client.checked_sub(self.publishers) {
            None => Role::Publisher(client),
            Some(n) => Role::Subscriber {
                publisher: n / self.subscribers,
                number: n % self.subscribers,
            },
        }
    }

    fn first_receiver(self) -> usize {
        if self.publishers_read {
            0
        } else {
            self.publishers
        }
    }
}

/// What a client is. Displayed, it is a name for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A client that sends the load. It receives everything too, unless publishers do not read.
    Publisher(usize),
    /// A client that a publisher waits for.
    Subscriber {
        /// The publisher that waits.
        publisher: usize,
        /// Which of that publisher's subscribers this is.
        number: usize,
    },
    /// A client that reads slowly. Nobody waits for it before the end.
    Slow(usize),
    /// A client that joins during the load and leaves again.
    Visitor(usize),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher(number) => write!(f, "publisher {number}"),
            Self::Subscriber { publisher, number } => {
                write!(f, "subscriber {number} of publisher {publisher}")
            }
            Self::Slow(number) => write!(f, "slow client {number}"),
            Self::Visitor(number) => write!(f, "visitor {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_one_role() {
        let topology = Topology {
            publishers: 2,
            subscribers: 3,
            slow: 1,
            publishers_read: true,
        };
        let names: Vec<String> = (0..topology.resident_count() + 1)
            .map(|client| topology.role(client).to_string())
            .collect();
        assert_eq!(
            names[..3],
            ["publisher 0", "publisher 1", "subscriber 0 of publisher 0"]
        );
        assert_eq!(
            names[5..8],
            [
                "subscriber 0 of publisher 1",
                "subscriber 1 of publisher 1",
                "subscriber 2 of publisher 1"
            ]
        );
        assert_eq!(names[8..], ["slow client 0", "visitor 0"]);
        for publisher in 0..2 {
            for client in 0..topology.resident_count() {
                let expected = matches!(topology.role(client), Role::Subscriber { publisher: own, .. } if own == publisher);
                assert_eq!(
                    topology.own_subscribers(publisher).contains(&client),
                    expected,
                    "client {client}, publisher {publisher}"
                );
            }
        }
    }

    #[test]
    fn publishers_that_do_not_read_receive_nothing() {
        let topology = Topology {
            publishers: 2,
            subscribers: 3,
            slow: 1,
            publishers_read: false,
        };
        assert_eq!((topology.receivers(), topology.readers()), (2..8, 2..9));
    }
}
