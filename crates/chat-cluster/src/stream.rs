//! What a node knows of its stream, and how it ends.

use crate::{EnvelopeError, NodeId};

/// What a stream says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Tells the stream from others that had its name before: its time of creation, for example.
    pub id: u64,
    /// The sequence of the first entry that it has; 1 more than the last when it has none.
    pub first: u64,
    /// The sequence of the last entry, 0 before the first.
    pub last: u64,
}

/// Says why a node cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The snapshot is none of a cluster.
    #[error("the stream's newest snapshot cannot be read: {0}")]
    Snapshot(#[from] EnvelopeError),
    /// The entry is no snapshot.
    #[error("the stream's newest snapshot is another kind of entry")]
    NoSnapshot,
    /// The snapshot is newer than the stream.
    #[error("the snapshot is of another stream; ask for both again")]
    Ahead,
    /// Entries after the snapshot are gone.
    #[error(
        "the stream has forgotten entries that no snapshot knows; wait for a snapshot of a node \
         that serves, or make the stream anew"
    )]
    HistoryGone,
}

/// Says why a node's life is over. What it accepted and did not acknowledge may be in the stream
/// or not. The process may join again as a new run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// A later run of the node has opened an epoch.
    #[error("another server with this node's name has taken over; give each a name of its own")]
    Superseded,
    /// The stream was deleted or lost, and may have been made anew.
    #[error("the stream was lost, or made anew; what was not delivered before is lost")]
    StreamLost,
    /// The stream has forgotten entries that were not read.
    #[error("the stream has forgotten entries before this node had read them; raise its limits")]
    Missed,
    /// The stream acknowledged a batch of this node and does not have it.
    #[error("the stream has lost a batch that it had acknowledged; keep three replicas")]
    Lost,
    /// Another node has read something else from the stream.
    #[error(
        "the server {0} has read something else from the stream than this one: its replicas at NATS differ; \
         use a later version of nats-server, and take the replica out that tells of another last entry"
    )]
    Diverged(NodeId),
    /// No epoch can be opened.
    #[error("the stream knows too many nodes or epochs; make the stream anew")]
    Refused,
    /// The node has left before it served.
    #[error("the node has left")]
    Left,
}

/// What a node counted since it joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Batches that were delivered.
    pub batches: u64,
    /// Publishes that failed and were repeated.
    pub retries: u64,
    /// Entries that had counted before.
    pub duplicates: u64,
    /// Entries that did not count for other reasons: a stale epoch, for example.
    pub strays: u64,
    /// Entries that were none of a cluster.
    pub garbage: u64,
    /// How often entries were missing and had to be read again.
    pub missing: u64,
}
