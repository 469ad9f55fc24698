//! One client as others see it, and how its session may end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_hub::{Monitor, SubscriberStats};
use chat_session::{EndReason, SessionError, Summary};

use crate::peer::Peer;

/// A client that is being served, seen from elsewhere.
#[derive(Debug)]
pub(crate) struct Client {
    id: u64,
    address: Peer,
    since: Instant,
    monitor: Monitor,
    published: AtomicU64,
    is_closed: AtomicBool,
}

impl Client {
    pub(crate) fn new(address: Peer, monitor: Monitor) -> Self {
        Self {
            id: CLIENT_COUNT.fetch_add(1, Ordering::Relaxed) + 1,
            address,
            since: Instant::now(),
            monitor,
            published: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Returns which client it is of all there ever were.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn address(&self) -> Peer {
        self.address
    }

    /// Returns how long it has been served.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns what was delivered to it and what was not; `None` when it is gone.
    pub(crate) fn stats(&self) -> Option<SubscriberStats> {
        self.monitor.stats()
    }

    /// Returns how many messages it has published.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub(crate) fn note_published(&self, count: u64) {
        self.published.store(count, Ordering::Relaxed);
    }

    /// Has the client left at its next turn.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client left and got everything.
    Left,
    ReadFailed,
    WriteFailed,
    /// It did not keep up, under the policy that disconnects such clients.
    Lagged,
    Stalled,
    Slow,
    /// It did not finish a message in time.
    Unfinished,
    /// The server ended and the client had not taken everything.
    Cut,
    /// Somebody asked for it.
    Closed,
    Other,
}

impl End {
    pub(crate) const ALL: [Self; 10] = [
        Self::Left,
        Self::ReadFailed,
        Self::WriteFailed,
        Self::Lagged,
        Self::Stalled,
        Self::Slow,
        Self::Unfinished,
        Self::Cut,
        Self::Closed,
        Self::Other,
    ];

    pub(crate) fn of(ended: &Result<Summary, SessionError>) -> Self {
        match ended.as_ref().map_err(SessionError::reason) {
            Ok(_) => Self::Left,
            Err(EndReason::Read(_)) => Self::ReadFailed,
            Err(EndReason::Write(_)) => Self::WriteFailed,
            Err(EndReason::Lagged) => Self::Lagged,
            Err(EndReason::Stalled(_)) => Self::Stalled,
            Err(EndReason::Slow { .. }) => Self::Slow,
            Err(_) => Self::Other,
        }
    }

    /// Returns the way as figures are labelled with it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::ReadFailed => "read_failed",
            Self::WriteFailed => "write_failed",
            Self::Lagged => "lagged",
            Self::Stalled => "stalled",
            Self::Slow => "slow",
            Self::Unfinished => "unfinished",
            Self::Cut => "cut",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }
}

static CLIENT_COUNT: AtomicU64 = AtomicU64::new(0);
