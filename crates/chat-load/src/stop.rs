//! Why a repetition ends early.

use std::time::Duration;
use std::{fmt, io};

/// Why a repetition ended early.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The promise is broken; the trace tells how.
    #[error("the promise is broken, and the check of the whole run does not find it")]
    Broken,
    /// A signal asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The server has ended.
    #[error("the server ended")]
    ServerEnded,
    /// The server closed a connection.
    #[error("the server closed the connection of {who}{advice}")]
    Closed {
        /// Whose.
        who: String,
        /// What may be the reason, if there is a guess.
        advice: &'static str,
    },
    /// The server closed the connection of a client that kept up, or broke it off.
    #[error("the server {} the connection of {who} under load, though that client kept up{}", if source.is_none() { "closed" } else { "broke off" }, why(source.as_ref()))]
    CutOff {
        /// Whose.
        who: String,
        /// What the system said, if the connection failed.
        source: Option<io::Error>,
    },
    /// A connection failed.
    #[error("the connection of {who} failed: {source}")]
    Connection {
        /// Whose.
        who: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing went on for too long.
    #[error("{0}")]
    Unresolved(Unresolved),
    /// The server sent nobody anything for too long.
    #[error("the server hangs, or drops everything: it has sent nothing to anybody for {} s, though it was sent messages; {state}", timeout.as_secs())]
    Hung {
        /// For how long.
        timeout: Duration,
        /// How far it had come, in words.
        state: String,
    },
    /// The server does not accept a connection.
    #[error("the server does not accept connections: {who} is not connected, after {} s", timeout.as_secs())]
    NotConnected {
        /// Whose.
        who: String,
        /// How long it had.
        timeout: Duration,
    },
    /// The server does not finish a handshake of TLS.
    #[error("there was no handshake of TLS: the server has answered {who} for {} s with nothing, or not with all; does it speak TLS there?", timeout.as_secs())]
    NoHandshake {
        /// Whom.
        who: String,
        /// How long it had.
        timeout: Duration,
    },
    /// Waiting failed.
    #[error("cannot wait for sockets: {0}")]
    Wait(io::Error),
}

fn why(source: Option<&io::Error>) -> String {
    source.map_or_else(String::new, |source| format!(": {source}"))
}

/// What could not be proved, told for people.
#[derive(Debug)]
pub struct Unresolved {
    // Invariant: shown.len() <= UNRESOLVED_SHOWN_MAX and shown.len() <= count.
    shown: Vec<String>,
    count: usize,
    timeout: Duration,
}

impl Unresolved {
    /// Makes an empty list of what did not happen within `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self {
            shown: Vec::new(),
            count: 0,
            timeout,
        }
    }

    /// Adds what `tell` tells, which is not asked when the list is long enough for people.
    pub fn push(&mut self, tell: impl FnOnce() -> String) {
        if self.shown.len() < UNRESOLVED_SHOWN_MAX {
            self.shown.push(tell());
        }
        self.count += 1;
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nothing went on for {} s, and this is unresolved:",
            self.timeout.as_secs()
        )?;
        for line in &self.shown {
            write!(f, "\n  {line}")?;
        }
        if self.count > self.shown.len() {
            write!(f, "\n  and {} more", self.count - self.shown.len())?;
        }
        Ok(())
    }
}

/// How many unresolved things are named; the rest are counted.
const UNRESOLVED_SHOWN_MAX: usize = 8;
