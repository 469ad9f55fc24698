//! The policies: one rule for each.

use crate::log::{Cursor, Log};

/// What happens to a laggard: a subscriber whose stream does not keep up.
///
/// A subscriber *keeps up* as long as its stream takes all there is, or at least the bytes per
/// second that [`Config::with_rate`](crate::Config::with_rate) states. Under every policy,
/// publishers wait for subscribers that keep up, and those lose nothing. One that takes less for
/// longer than [`Config::with_grace`](crate::Config::with_grace) becomes a laggard. Publishers do
/// not wait for it again until it has caught up: until it has read everything in the log, or has
/// taken half of it at no less than half the speed at which messages are published.
///
/// The policy decides what a laggard gets when the log has no more room for what it has not read:
///
/// | Policy | The promise to a laggard | Who pays | The cost |
/// |---|---|---|---|
/// | `Oldest` | when it reads again, it is about half a log behind | the laggard, with its oldest messages | nothing |
/// | `Newest` | it reads what it had to read when it began to lag without a gap | the laggard, with newer messages | half of the capacity is a backlog for laggards |
/// | `Disconnect` | what it reads has no gap; when that is impossible, it is told at once | the laggard, with its connection | nothing |
/// | `Block` | it loses nothing | everybody: publishers wait for the slowest | as much as the slowest takes; set a timeout |
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
    /// Half of the capacity is a backlog that holds what laggards have to read. A full backlog is
    /// frozen: laggards read it to its end and then jump to the end of the log. There is one
    /// backlog: a subscriber that falls behind while others read it has nothing kept and jumps at
    /// once. A backlog that nobody has read from while the log turned over once goes to the next
    /// laggard.
    Newest,
    /// The laggard's subscription ends: it is woken, and finds that it [was
    /// disconnected](crate::Subscriber::is_disconnected).
    ///
    /// All it had not read counts as dropped.
    Disconnect,
    /// Publishers wait for every subscriber, laggards too, from its joining to its end. Nothing is
    /// lost.
    ///
    /// Under this policy alone, a subscriber that is never read again stops the hub. The hub has no
    /// timeout for it: end such a subscriber by dropping it.
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

    /// Returns what part of a log's `capacity` is a backlog for laggards, in bytes.
    pub(crate) fn backlog_len(self, capacity: usize) -> usize {
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
