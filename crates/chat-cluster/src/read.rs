//! What a node makes of an entry.

use chat_proto::Messages;

use crate::{EnvelopeError, Own, Skip};

/// What a node makes of an entry.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Read<'a> {
    /// The messages stand next in the log of every node.
    Deliver {
        /// The messages.
        messages: Messages<'a>,
        /// Which of the node's own they are, if they are.
        own: Option<Own>,
    },
    /// The node's epoch is open: from now on it serves.
    Serve,
    /// The entry says nothing to clients; or it is history, and the node serves nobody yet.
    Quiet,
    /// The entry does not count, on any node.
    Skipped(Skip),
    /// The entry is none of a cluster, for any node.
    Garbage(EnvelopeError),
    /// The entry was read before.
    Again,
    /// Entries are missing before this one. Read again from the expected one.
    Missing {
        /// The sequence that was expected.
        expected: u64,
    },
}
