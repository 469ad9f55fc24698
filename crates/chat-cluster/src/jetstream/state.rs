//! How a member is, and how it ends.

use std::sync::Arc;
use std::time::Instant;

use super::{RefuseError, SecretError};
use crate::{Ended, JoinError};

/// How a member is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// It is no part of the cluster yet: clients may not come.
    Joining {
        /// What kept it from joining when it tried last.
        trouble: Option<String>,
    },
    /// It delivers and accepts.
    Serving,
    /// The stream is away: nothing is delivered until it is back, and then everything.
    Away {
        /// Since when.
        since: Instant,
        /// What is known of the reason.
        trouble: String,
    },
    /// Its life is over.
    Ended(Arc<End>),
}

/// Says how the life of a member ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// It has left, and everything that it had accepted has come back.
    #[error("the node has left the cluster")]
    Left,
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Credentials or certificates are no good.
    #[error("cannot log in to NATS: {0}")]
    Login(String),
    /// NATS does not let this client do something that it has to.
    #[error("NATS does not permit what a node has to do: {0}")]
    Permission(String),
    /// There was nobody to join with in time.
    #[error("cannot join the cluster: {0}")]
    Unreachable(String),
    /// The stream cannot be created.
    #[error("cannot create the stream: {0}")]
    Create(String),
    /// The stream would not keep the promise.
    #[error(transparent)]
    Refused(#[from] RefuseError),
    /// The stream does not tell what counts.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// What the stream says ends the node.
    #[error(transparent)]
    Node(#[from] Ended),
    /// Nobody takes what it delivers.
    #[error("nobody takes deliveries any more")]
    Dropped,
    /// The thread has no runtime.
    #[error("cannot start what the client of NATS runs on: {0}")]
    Runtime(#[from] std::io::Error),
}

impl End {
    /// Returns what kept a node from joining. That it did is known.
    pub(super) fn trouble(&self) -> String {
        match self {
            Self::Unreachable(why) => why.clone(),
            end => end.to_string(),
        }
    }
}

impl State {
    /// Returns whether clients may come.
    pub fn is_serving(&self) -> bool {
        matches!(self, Self::Serving)
    }

    /// Returns how the member's life ended, if it did.
    pub fn end(&self) -> Option<&End> {
        match self {
            Self::Ended(end) => Some(end),
            _ => None,
        }
    }
}
