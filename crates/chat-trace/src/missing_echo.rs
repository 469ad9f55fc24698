//! Senders that a server leaves out. No order shows it, since what is missing may have been
//! dropped; what was not dropped does.

use crate::proof::Proof;
use crate::story::Conviction;

/// A client that got none of some messages which it had sent, though it kept up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forgotten {
    pub(crate) client: usize,
    /// How many messages.
    pub(crate) count: u32,
}

impl Proof {
    /// Notes that others received the last `count` messages that `client` sent, and it none of them
    /// up to the end of its stream.
    pub fn note_forgotten(&mut self, client: usize, count: u32) {
        self.forgotten.get_or_insert(Forgotten { client, count });
    }

    /// Looks for a publisher that got none of its own load messages, which everybody else did, and
    /// every one of the other publishers'.
    pub(crate) fn seek_forgotten(&mut self) {
        let forgotten = self
            .topology
            .receivers()
            .take_while(|&client| client < self.topology.publishers)
            .find_map(|client| {
                let own = self.sent[client].load_count();
                let others: u32 = (0..self.topology.publishers)
                    .map(|publisher| self.sent[publisher].load_count())
                    .sum::<u32>()
                    - own;
                let lost = self.own_lost[client];
                let has_lost_nothing_else =
                    self.lost[client] == lost && self.lost_of[client] == lost;
                let is_all_known = (0..self.topology.publishers)
                    .all(|publisher| self.unresolved_at(client, publisher) == 0)
                    && self.unresolved_of(client) == 0;
                let is_forgotten = lost == u64::from(own) && has_lost_nothing_else && is_all_known;
                (own.min(others) >= LOAD_MIN && is_forgotten)
                    .then_some(Forgotten { client, count: own })
            });
        self.forgotten = self.forgotten.or(forgotten);
    }

    pub(crate) fn forgotten_conviction(&self) -> Option<Conviction> {
        let Forgotten { client, count } = self.forgotten?;
        let who = self.topology.role(client);
        let story = format!(
            "{who} got none of {count} messages back that it had sent and others received: the sender is to get its own"
        );
        Some(Conviction {
            class: "forgotten",
            story,
        })
    }
}

/// How many load messages a publisher has to lose, and to get of others, for that to be no
/// accident. A judgement.
const LOAD_MIN: u32 = 20;
