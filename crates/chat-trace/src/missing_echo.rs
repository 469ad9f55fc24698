//! Senders that a server leaves out. No order shows it, since what is missing may have been
//! dropped; what was not dropped does.

use crate::story::Conviction;
use crate::topology::Topology;

/// A client that got none of some messages which it had sent, though it kept up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingEcho {
    pub(crate) client: usize,
    /// How many messages.
    pub(crate) count: u32,
}

impl MissingEcho {
    /// How many load messages a publisher has to lose, and to get of others, for that to be no
    /// accident. A judgement.
    pub(crate) const LOAD_MIN: u32 = 20;

    pub(crate) fn conviction(self, topology: Topology) -> Conviction {
        let Self { client, count } = self;
        let who = topology.role(client);
        let story = format!(
            "{who} got none of {count} messages back that it had sent and others received: the sender is to get its own"
        );
        Conviction {
            class: "forgotten",
            story,
        }
    }
}
