//! What happens to a laggard: one rule a policy.

use crate::log::{Cursor, Log, Pace};

/// What happens to a laggard: a subscriber that cannot be written to, because its socket is full,
/// for longer than the log lasts.
///
/// Under no policy does a subscriber lose anything that can be written to; for those, publishers
/// wait.
///
/// | Policy | The promise to a laggard | Who pays | What it costs |
/// |---|---|---|---|
/// | `Oldest` | when it reads again, it is about half a log behind | the laggard, with its oldest messages | nothing |
/// | `Newest` | what it was to read when it began to lag, it reads without a gap | the laggard, with newer messages | half of the capacity is a window for laggards |
/// | `Disconnect` | what it reads has no gap; when it cannot have that, it is told at once | the laggard, with its connection | nothing |
/// | `Block` | it loses nothing | everybody: publishers wait for the slowest | as much as the slowest does; set a timeout |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The laggard skips forward and loses the oldest messages it had not read.
    ///
    /// It resumes in the middle of what the log retains. At the oldest byte the very next publish
    /// would overrun it again, and it would lose little by little without end; the middle gives
    /// it about half a log of time.
    #[default]
    Oldest,
    /// The laggard keeps what is queued for it, and new messages pass it by until it has caught up.
    ///
    /// Half of the capacity is a window that holds what laggards have queued. Full, it is frozen:
    /// laggards read it to its end and then jump to the end of the log. There is one window:
    /// who falls behind while others read it has nothing queued and jumps at once. A
    /// window that nobody has read from for as long as the log lasts goes to the next laggard.
    Newest,
    /// The laggard's subscription ends: it is woken, and finds that it [was
    /// disconnected](crate::Subscriber::is_disconnected).
    ///
    /// All it had not read counts as dropped.
    Disconnect,
    /// Publishers wait for every subscriber, the laggard too, from its joining to its end. Nothing
    /// is lost.
    ///
    /// One that is never read again stops the hub. The hub has no clock, so it is for its users to
    /// end such a subscriber after a time.
    Block,
}

impl Policy {
    /// Returns where a subscriber goes on whose cursor the log has overrun, or `None` when it does
    /// not.
    pub(crate) fn resume(self, log: &Log) -> Option<Cursor> {
        match self {
            // Under `Block` nobody is ever overrun.
            Self::Oldest | Self::Block => Some(log.middle()),
            Self::Newest => Some(log.tail()),
            Self::Disconnect => None,
        }
    }

    /// Returns whether publishers wait for a subscriber that cannot be written to.
    pub(crate) fn pace_when_full(self) -> Pace {
        match self {
            Self::Oldest | Self::Newest | Self::Disconnect => Pace::Blocked,
            Self::Block => Pace::Ready,
        }
    }

    /// Returns what part of a log's `capacity` is a window for laggards, in bytes.
    pub(crate) fn window_len(self, capacity: usize) -> usize {
        match self {
            Self::Newest => capacity / 2,
            Self::Oldest | Self::Disconnect | Self::Block => 0,
        }
    }

    /// Tells whether a subscriber must learn at once that the log has overrun it.
    pub(crate) fn tells_overrun(self) -> bool {
        self == Self::Disconnect
    }
}
