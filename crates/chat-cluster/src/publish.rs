//! A publish under way.

use crate::{Envelope, MessageId};

/// What a node publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// By which the stream finds duplicates.
    pub id: MessageId,
    /// The entry.
    pub bytes: &'a [u8],
}

/// The one publish that a node has under way, or has to send again.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) id: MessageId,
    pub(crate) bytes: Vec<u8>,
    /// Whether its answer is waited for.
    pub(crate) is_sent: bool,
}

impl Flight {
    pub(crate) fn new(id: MessageId, envelope: &Envelope<'_>) -> Self {
        let mut bytes = Vec::new();
        envelope.encode(&mut bytes);
        Self {
            id,
            bytes,
            is_sent: false,
        }
    }
}
