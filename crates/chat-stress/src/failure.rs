//! Why a run did not pass.

use std::io;
use std::path::PathBuf;

use chat_load::Stop;
use chat_results::{Verdict, Violation};
use chat_target::ServerError;
use chat_trace::{Conviction, Kept};

use crate::limits::LoadError;

/// Why a run did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// There can be no such load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The server is at fault, but not for an order.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The target is a group that has nobody in it.
    #[error("a group of servers needs at least one")]
    NoServer,
    /// The promise is broken.
    #[error("iteration {iteration}: {conviction}")]
    Broken {
        /// Which repetition it was.
        iteration: u32,
        /// How it was broken.
        conviction: Conviction,
    },
    /// The server broke rules of the specification that are not about the order.
    #[error("{}{}", sentences(violations), besides(ended.as_deref()))]
    Misbehaved {
        /// The rules, and how they were broken.
        violations: Vec<Violation>,
        /// Why the run ended early besides, if it did.
        ended: Option<Box<Self>>,
    },
    /// A repetition could not be completed.
    #[error("iteration {iteration}: {stop}")]
    Stopped {
        /// Which repetition it was.
        iteration: u32,
        /// Why.
        stop: Stop,
    },
    /// A signal asked to stop.
    #[error(
        "interrupted in iteration {iteration}, in which {delivered} messages out of {sent} sent had been received{kept}"
    )]
    Interrupted {
        /// Which repetition it was.
        iteration: u32,
        /// How many deliveries there had been to publishers' own subscribers.
        delivered: u64,
        /// How many of them were due.
        sent: u64,
        /// How far the promise was found to be kept until then.
        kept: Kept,
    },
    /// There may not be that many connections.
    #[error("{needed} open files are needed, and the limit is {limit} (see `ulimit -Hn`)")]
    Descriptors {
        /// How many descriptors the connections and the rest need.
        needed: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The system gives nothing to wait with.
    #[error("cannot set up waiting: {0}")]
    Poll(io::Error),
    /// This program does not find itself.
    #[error("cannot find this program, to calibrate it: {0}")]
    Unfindable(io::Error),
    /// The limits of this program could not be measured, so nothing else was.
    #[error("cannot calibrate, which is to run on the null broadcaster first: {0}")]
    Calibrate(Box<Self>),
    /// The run did not pass in the short second load.
    #[error("with many messages in flight: {0}")]
    InFlight(Box<Self>),
    /// A file could not be begun that the run was to write.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The observer could not print.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

fn sentences(violations: &[Violation]) -> String {
    let sentences: Vec<_> = violations.iter().map(Violation::to_string).collect();
    sentences.join("; ")
}

fn besides(ended: Option<&Failure>) -> String {
    ended.map_or_else(String::new, |ended| format!("; besides, {ended}"))
}

impl Failure {
    /// Makes the failure of a run that ended like this and found these violations, if there are any.
    /// A broken rule outweighs all but a broken promise, which tells more.
    pub(crate) fn with_violations(ended: Option<Self>, violations: &[Violation]) -> Option<Self> {
        if violations.is_empty() || matches!(ended, Some(Self::Broken { .. })) {
            return ended;
        }
        // The violation tells already that a client was cut off.
        let ended = ended.filter(|it| !it.is_closed_pipe() && it.cut_off().is_none());
        Some(Self::Misbehaved {
            violations: violations.to_vec(),
            ended: ended.map(Box::new),
        })
    }

    /// Returns why a client that kept up lost its connection, if the run ended for that.
    pub(crate) fn cut_off(&self) -> Option<&Stop> {
        match self {
            Self::Stopped { stop, .. } if matches!(stop, Stop::CutOff { .. }) => Some(stop),
            _ => None,
        }
    }

    /// Tells whether the run came to its end, and the order promise was kept.
    pub(crate) fn is_about_rules_alone(&self) -> bool {
        matches!(self, Self::Misbehaved { ended: None, .. })
    }

    /// Returns what a run comes to that ended with this.
    pub fn verdict(&self) -> Verdict {
        let why = self.to_string();
        match self {
            // Whoever read standard output has had enough, and what was found until then stands.
            _ if self.is_closed_pipe() => Verdict::Passed,
            Self::Broken { .. } | Self::Misbehaved { .. } => Verdict::Broken { why },
            Self::InFlight(failure) => match failure.verdict() {
                Verdict::Broken { .. } => Verdict::Broken { why },
                Verdict::Inconclusive { .. } => Verdict::Inconclusive { why },
                Verdict::Stopped { .. } => Verdict::Stopped { why },
                verdict => verdict,
            },
            Self::Interrupted { .. } | Self::Server(ServerError::Interrupted) => {
                Verdict::Interrupted
            }
            Self::Calibrate(failure) if failure.verdict() == Verdict::Interrupted => {
                Verdict::Interrupted
            }
            Self::Stopped {
                stop: Stop::Unresolved(_),
                ..
            } => Verdict::Inconclusive { why },
            _ => Verdict::Stopped { why },
        }
    }

    /// Tells whether whoever read what the observer prints has had enough. That is a normal end.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Tells whether the bodies that were sent may have to do with it, so that it is worth while to send
    /// the same again.
    pub fn depends_on_seed(&self) -> bool {
        match self {
            Self::InFlight(failure) => failure.depends_on_seed(),
            Self::Misbehaved { ended, .. } => {
                ended.as_ref().is_some_and(|ended| ended.depends_on_seed())
            }
            // Which messages overtake each other, the seed does not decide.
            Self::Broken { conviction, .. } => ["corrupt", "phantom"].contains(&conviction.class),
            Self::Server(ServerError::Died { .. }) => true,
            _ => false,
        }
    }
}
