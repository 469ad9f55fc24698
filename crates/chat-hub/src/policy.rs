//! What happens to a laggard: one rule a policy.

use crate::log::{Cursor, Log};

/// What happens to a laggard: a subscriber that the log has overrun, because its socket took nothing for longer than the log lasts.
///
/// A policy never touches a subscriber that can be written to; for those, publishers wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The laggard skips forward and loses the oldest messages it had not read.
    ///
    /// It resumes in the middle of what the log retains. At the oldest byte the very next publish would overrun it again, and it
    /// would lose little by little without end; the middle gives it about half a log of time.
    #[default]
    Oldest,
}

impl Policy {
    /// Returns where a subscriber goes on whose cursor the log has overrun.
    pub(crate) fn resume(self, log: &Log) -> Cursor {
        match self {
            Self::Oldest => log.middle(),
        }
    }
}
