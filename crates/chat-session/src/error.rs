//! The counts of a session, and the reason of its end.

use std::error::Error;
use std::fmt;
use std::io;

use chat_hub::WriteError;

/// The counts of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many messages the client published.
    pub published: u64,
    /// How many messages the client's stream has taken, one that was begun included.
    pub delivered: u64,
    /// How many messages the client lost because it did not keep up.
    pub dropped: u64,
}

/// Says that a session ended before everything was delivered: why, and what it did until then.
#[derive(Debug)]
pub struct SessionError {
    reason: EndReason,
    summary: Summary,
}

/// Why a session ended before everything was delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// The stream could not be read: as a rule the client reset the connection.
    #[error("cannot read from the client")]
    Read(#[source] io::Error),
    /// The stream could not be written to: as a rule the client is gone.
    #[error("cannot write to the client")]
    Write(#[source] io::Error),
    /// The client did not keep up, and the hub's policy is to disconnect such clients.
    #[error("the client did not keep up, and the policy is to disconnect")]
    Lagged,
    /// The client took nothing for too long.
    #[error("the client took nothing for {0:?}")]
    Stalled(std::time::Duration),
    /// The client took too little for too long.
    #[error("the client took less than {rate_min} bytes per second")]
    Slow {
        /// How many bytes per second it had to take at least.
        rate_min: u64,
    },
}

impl SessionError {
    pub(crate) fn new(reason: EndReason, summary: Summary) -> Self {
        Self { reason, summary }
    }

    /// Returns why the session ended.
    pub fn reason(&self) -> &EndReason {
        &self.reason
    }

    /// Returns what the session did until then.
    pub fn summary(&self) -> Summary {
        self.summary
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for SessionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}

impl EndReason {
    pub(crate) fn of_write(error: WriteError) -> Self {
        match error {
            WriteError::Io(error) => Self::Write(error),
            _ => Self::Lagged,
        }
    }
}
