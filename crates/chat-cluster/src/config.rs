//! What a node is told at its start.

use crate::{NodeId, Token};

/// What a node is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The node's name. No two nodes may have one: the later takes over and the earlier ends.
    pub id: NodeId,
    /// A number drawn by chance for this start.
    pub token: Token,
    /// The most bytes that are accepted from clients and have not come back from the stream. With
    /// less than 256 there may be no room for a message.
    pub outbox_len_max: usize,
}
