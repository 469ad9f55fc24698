//! What a member counted.

use std::time::Duration;

use crate::Counts;

/// What a member counted since it started, and how it is.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Figures {
    /// What the node counted.
    pub counts: Counts,
    /// The node's epoch, 0 before it is known.
    pub epoch: u64,
    /// How many bytes were accepted and have not come back.
    pub outbox_len: usize,
    /// How many entries the stream has that were not read, as far as is known.
    pub lag: u64,
    /// How many of its own batches have come back.
    pub own_batches: u64,
    /// How many bytes of messages were in them.
    pub own_bytes: u64,
    /// How long they took together, each from its first publish to its return.
    pub round_trips: Duration,
    /// How often there was a new connection after the first.
    pub reconnects: u64,
    /// How often the stream's consumer was made anew, and read on after the last entry.
    pub restarts: u64,
}

impl Figures {
    /// Returns whether the member has so much to read that clients would better go elsewhere.
    pub fn is_behind(&self) -> bool {
        self.lag > BEHIND_COUNT
    }
}

/// How many entries a member may have to read. Judgement: as many as one that joins reads.
const BEHIND_COUNT: u64 = crate::SNAPSHOT_INTERVAL;
