//! Clients that a server leaves out. No order shows it, since what is missing may have been dropped;
//! what was not dropped does.
//!
//! Rule 6 of the specification allows drops for a client that does not keep up, by a rate that the
//! server states, and here nobody knows it. So drops are counted, and convict nobody. But the clients
//! here read all the time, so no server may leave one out: it is convicted if a client gets none of
//! many messages in a row which one sender sent and others got, though nothing was under way to it
//! any more. A server that drops at random, even nine of ten messages, is not taken for one that
//! leaves a client out: of two hundred messages in a row, that one delivers some with a probability
//! of all but one in a billion.

use crate::story::Conviction;
use crate::topology::Topology;

/// A client that got none of some messages of one sender, though it kept up and others got them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The client.
    pub client: usize,
    /// The sender, which may be the client itself.
    pub sender: usize,
    /// How many messages, in a row.
    pub count: u32,
}

impl LeftOut {
    /// How many load messages a publisher has to lose, and to get of others, for that to be no
    /// accident. A judgement.
    pub(crate) const LOAD_MIN: u32 = 20;

    pub(crate) fn conviction(self, topology: Topology) -> Conviction {
        let Self {
            client,
            sender,
            count,
        } = self;
        let who = topology.role(client);
        let story = if client == sender {
            format!(
                "{who} got none of {count} messages back that it had sent and others received: the sender is to get its own"
            )
        } else {
            let sender = topology.role(sender);
            format!(
                "{who} got none of {count} messages in a row that {sender} sent and others received: every client is to get them"
            )
        };
        Conviction {
            class: "forgotten",
            story,
        }
    }
}
