//! Faults for a cluster of chat servers over NATS JetStream, and the proof that the order was kept.
//!
//! A [`Cluster`] is three servers of NATS and some chat servers, all started here on the loopback. A
//! [`Fault`] happens to it: a server is killed, frozen, cut off or restarted, and comes back. All the
//! time a [`Crowd`] talks and listens on all chat servers. [`judge()`] holds what it saw to the promise:
//! one order of all messages over the clients of all servers; each client misses nothing while it is
//! connected; and what a client got back of its own, all get, once. The [`dump`] of the stream is the
//! witness: it has what counts, in its order.
//!
//! A chat server that fails by itself during a [`Trial`] is started again, as a service manager does. Its
//! clients come back like those of one that was killed, and are owed as much; the trial tells of each such
//! [`Exit`].
//!
//! # What it does not do
//!
//! It measures no speed, but for the longest silence: how long a client that listens got nothing, though
//! others talked. It needs the executable of NATS, which [`find_nats`] looks for.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod body;
mod cluster;
mod crowd;
mod dir;
mod disk;
mod dump;
mod fault;
mod judge;
mod keeper;
mod member;
mod monitor;
mod nats;
mod nodes;
mod ports;
mod process;
mod trial;

pub use chat_target::guard;
pub use cluster::{Cluster, Settings};
pub use crowd::{Crowd, Seen};
pub use disk::Disks;
pub use dump::{Dump, dump};
pub use fault::Fault;
pub use judge::{Facts, judge};
pub use keeper::Exit;
pub use member::Session;
pub use monitor::StreamStatus;
pub use nats::{Nats, find_nats};
pub use nodes::{Nodes, find_faketime};
pub use trial::{Trial, TrialError};

/// Why a cluster could not be brought up, or did not come back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A server could not be started, or ended.
    #[error("{who}: {source}")]
    Server {
        /// Which server.
        who: String,
        /// Why.
        source: chat_target::ServerError,
    },
    /// The system gave no directory, port or connection.
    #[error("{what}: {source}")]
    Io {
        /// What it was for.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Something did not happen in time.
    #[error("{what} took longer than {} s", WAIT.as_secs())]
    Late {
        /// What did not happen.
        what: String,
    },
    /// A chat server ended by itself, and is not started again.
    #[error("{0}")]
    Exited(Exit),
    /// A server did not end as it should when it was asked to.
    #[error("{who} did not end with code 0: {how}")]
    Unclean {
        /// Which server.
        who: String,
        /// How it ended instead.
        how: String,
    },
    /// The stream tells something else than it should.
    #[error("the stream cannot be read: {0}")]
    Stream(String),
}

impl ClusterError {
    /// Makes the error of something that the system did not do.
    pub(crate) fn io(what: &'static str) -> impl Fn(std::io::Error) -> Self + Copy {
        move |source| Self::Io { what, source }
    }
}

/// How long anything of a cluster may take. A judgement: an election takes seconds, and a busy machine
/// has several at a time.
pub(crate) const WAIT: std::time::Duration = std::time::Duration::from_secs(90);

/// How often something is looked at that does not tell of itself.
pub(crate) const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(20);

/// Waits until something is there.
pub(crate) fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, ClusterError> {
    wait_until(what, || Ok(look()))
}

/// Waits until something is there, or turns out to be out of reach.
pub(crate) fn wait_until<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, ClusterError>,
) -> Result<T, ClusterError> {
    let deadline = std::time::Instant::now() + WAIT;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if std::time::Instant::now() >= deadline {
            return Err(ClusterError::Late {
                what: what.to_owned(),
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
