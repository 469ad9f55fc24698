//! Who is who among the clients of a repetition.

use std::fmt;

/// How many publishers there are and how many subscribers each has.
///
/// Clients are numbered from 0: first all publishers, then the subscribers of publisher 0, then those of publisher 1 and so on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roles {
    /// The number of publishers.
    pub(crate) publishers: usize,
    /// The number of subscribers of each publisher.
    pub(crate) subscribers: usize,
}

impl Roles {
    /// Returns how many clients there are.
    pub(crate) fn client_count(self) -> usize {
        self.publishers * (1 + self.subscribers)
    }

    /// Returns what `client` is.
    pub(crate) fn role(self, client: usize) -> Role {
        match client.checked_sub(self.publishers) {
            None => Role::Publisher(client),
            Some(n) => Role::Subscriber { publisher: n / self.subscribers, number: n % self.subscribers },
        }
    }

    /// Tells whether `client` is one of the subscribers of `publisher`.
    pub(crate) fn is_own_subscriber(self, client: usize, publisher: usize) -> bool {
        client.checked_sub(self.publishers).is_some_and(|n| n / self.subscribers == publisher)
    }
}

/// What a client is. Displayed, it is a name for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A client that sends the load. It receives everything too.
    Publisher(usize),
    /// A client that a publisher waits for.
    Subscriber {
        /// The publisher that waits.
        publisher: usize,
        /// Which of that publisher's subscribers this is.
        number: usize,
    },
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher(number) => write!(f, "publisher {number}"),
            Self::Subscriber { publisher, number } => write!(f, "subscriber {number} of publisher {publisher}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_one_role() {
        let roles = Roles { publishers: 2, subscribers: 3 };
        let names: Vec<String> = (0..roles.client_count()).map(|client| roles.role(client).to_string()).collect();
        assert_eq!(names[..3], ["publisher 0", "publisher 1", "subscriber 0 of publisher 0"]);
        assert_eq!(names[5..], ["subscriber 0 of publisher 1", "subscriber 1 of publisher 1", "subscriber 2 of publisher 1"]);
        for client in 0..roles.client_count() {
            for publisher in 0..2 {
                let expected = matches!(roles.role(client), Role::Subscriber { publisher: own, .. } if own == publisher);
                assert_eq!(roles.is_own_subscriber(client, publisher), expected, "client {client}, publisher {publisher}");
            }
        }
    }
}
