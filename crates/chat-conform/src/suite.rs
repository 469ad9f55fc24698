//! Which cases run on which server, and how.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use chat_target::{Interrupt, ServerError, raise_descriptor_limit};

use crate::case::Case;
use crate::cases;
use crate::glob;
use crate::report::{CaseResult, Report};
use crate::runner;
use crate::trial::{Servers, Target};
use crate::wire::Patience;

/// The cases that run on one server, and how.
///
/// All cases run unless some are chosen.
///
/// # Examples
///
/// ```
/// use chat_conform::Suite;
///
/// let suite = Suite::new("./my-server").only(["rule-3/*", "rule-8/*"])?.strict(true);
/// assert_eq!(suite.cases().len(), 24);
///
/// let error = Suite::new("./my-server").only(["rule-3/nothing-like-it"]).unwrap_err();
/// assert_eq!(error.to_string(), "no case has an id like rule-3/nothing-like-it");
/// # Ok::<(), chat_conform::SuiteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Suite {
    target: Target,
    cases: Vec<&'static Case>,
    is_strict: bool,
    fails_fast: bool,
    jobs: usize,
}

impl Suite {
    /// Makes a suite of all cases for the server that `executable` is: a path, or a name that is
    /// looked up in `PATH`.
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        Self {
            target: Target {
                executable: executable.into(),
                args: Vec::new(),
                servers: Servers::One,
                patience: Patience {
                    time: PATIENCE,
                    interrupt: Interrupt::never(),
                },
            },
            cases: cases::all().collect(),
            is_strict: false,
            fails_fast: false,
            jobs: default_jobs(),
        }
    }

    /// Makes a suite for servers that run already and promise one order together; one is enough. The
    /// clients of a case connect to them in turn, and cases run one after the other. Those that start,
    /// watch or end a server are skipped. Nobody else may use the servers meanwhile.
    pub fn running(addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut suite = Self::new("").jobs(1);
        suite.target.servers = Servers::Running(addrs.into_iter().collect());
        suite
    }

    /// Has each case start a group of `count` servers that promise one order together, as
    /// [`Launch::group`](chat_target::Launch::group) says, and its clients connect to them in turn. Cases
    /// that watch or end a server are skipped then.
    #[must_use]
    pub fn group_of(mut self, count: u16) -> Self {
        self.target.servers = Servers::Group(count);
        self
    }

    /// Sets what the server is given before the address.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.target.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Chooses the cases whose ids match one of `globs`. In a glob, `*` stands for any characters
    /// and `?` for one.
    ///
    /// # Errors
    ///
    /// When a glob matches no id.
    pub fn only<'a>(
        mut self,
        globs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SuiteError> {
        let globs: Vec<&str> = globs.into_iter().collect();
        let matches = |glob: &str, case: &Case| glob::matches(glob, case.id());
        if let Some(glob) = globs
            .iter()
            .find(|glob| !cases::all().any(|case| matches(glob, case)))
        {
            return Err(SuiteError::NoSuchCase {
                glob: (*glob).to_owned(),
            });
        }
        self.cases = cases::all()
            .filter(|case| globs.iter().any(|glob| matches(glob, case)))
            .collect();
        Ok(self)
    }

    /// Leaves out the cases whose ids match one of `globs`.
    #[must_use]
    pub fn except<'a>(mut self, globs: impl IntoIterator<Item = &'a str>) -> Self {
        for glob in globs {
            self.cases.retain(|case| !glob::matches(glob, case.id()));
        }
        self
    }

    /// Sets whether failures of the level [`Should`](crate::Level::Should) count.
    #[must_use]
    pub fn strict(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }

    /// Sets whether no further case begins after a failure that counts.
    #[must_use]
    pub fn fail_fast(mut self, fails_fast: bool) -> Self {
        self.fails_fast = fails_fast;
        self
    }

    /// Sets how long anything that a case waits for may take; 20 s is the default. A right server
    /// never needs it, so it is for slow machines.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.target.patience.time = time;
        self
    }

    /// Sets how many cases run side by side at most. On servers that run already, it is one.
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// Sets what may end the suite early: cases that have not begun then are skipped.
    #[must_use]
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.target.patience.interrupt = interrupt;
        self
    }

    /// Returns the cases that are chosen, in order.
    pub fn cases(&self) -> impl ExactSizeIterator<Item = &'static Case> {
        self.cases.iter().copied()
    }

    /// Runs the cases. Each has a server of its own, whose whole process group ends with the case.
    ///
    /// # Errors
    ///
    /// When the executable cannot be started.
    pub fn run(&self) -> Result<Report, SuiteError> {
        self.run_with(&|_| {})
    }

    /// Runs the cases, and tells of each as soon as it is over.
    ///
    /// # Errors
    ///
    /// When the executable cannot be started.
    pub fn run_with(&self, tell: &(dyn Fn(&CaseResult) + Sync)) -> Result<Report, SuiteError> {
        // Servers inherit it, and some cases have a thousand clients.
        raise_descriptor_limit();
        runner::run(self, tell)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    pub(crate) fn fails_fast(&self) -> bool {
        self.fails_fast
    }

    pub(crate) fn job_count(&self) -> usize {
        match self.target.servers {
            Servers::Running(_) => 1,
            Servers::One | Servers::Group(_) => self.jobs,
        }
    }
}

/// Why a suite has no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// A glob chooses nothing.
    #[error("no case has an id like {glob}")]
    NoSuchCase {
        /// The glob.
        glob: String,
    },
    /// The executable cannot be started.
    #[error(transparent)]
    Start(ServerError),
}

/// How many cases run side by side. Most of them wait most of the time.
fn default_jobs() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (2 * processors).clamp(2, JOBS_MAX)
}

/// How long anything may take. A judgement: a right server on a machine that is busy with other
/// things needs some tenths of a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many cases run side by side at most. A judgement.
const JOBS_MAX: usize = 8;
