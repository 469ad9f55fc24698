//! What came of a suite.

mod json;
mod junit;
mod text;

use std::io;
use std::time::Duration;

use crate::case::{Case, Level};
use crate::runner::counts;
use crate::story::Sent;
use crate::suite::Suite;

/// What came of a suite. Displayed, it is a text for people.
#[derive(Debug)]
pub struct Report {
    server: String,
    is_strict: bool,
    results: Vec<CaseResult>,
    took: Duration,
}

impl Report {
    pub(crate) fn new(suite: &Suite, results: Vec<CaseResult>, took: Duration) -> Self {
        Self {
            server: suite.target().to_string(),
            is_strict: suite.is_strict(),
            results,
            took,
        }
    }

    /// Returns what came of each case, in the order of the rules.
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// Tells whether no failure counts. Skipped cases are no failures.
    pub fn has_passed(&self) -> bool {
        !self
            .results
            .iter()
            .any(|result| result.counts(self.is_strict))
    }

    /// Returns how long all cases took together.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Returns how many cases passed, failed and were skipped.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for result in &self.results {
            match (&result.outcome, result.case.level()) {
                (Outcome::Passed, _) => counts.passed += 1,
                (Outcome::Skipped { .. }, _) => counts.skipped += 1,
                (Outcome::Failed(_), Level::Must) => counts.failed_must += 1,
                (Outcome::Failed(_), Level::Should) => counts.failed_should += 1,
                (Outcome::Failed(_), Level::Info) => counts.failed_info += 1,
            }
        }
        counts
    }

    /// Writes the report as JUnit XML, a test suite for each rule.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_junit(&self, out: impl io::Write) -> io::Result<()> {
        junit::write(self, out)
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_json(&self, out: impl io::Write) -> io::Result<()> {
        json::write(self, out)
    }
}

/// What came of one case.
#[derive(Debug)]
#[non_exhaustive]
pub struct CaseResult {
    /// The case.
    pub case: &'static Case,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, with the start and the end of its servers.
    pub took: Duration,
}

impl CaseResult {
    /// Tells whether it is a failure that counts.
    pub fn counts(&self, is_strict: bool) -> bool {
        matches!(self.outcome, Outcome::Failed(_)) && counts(self.case.level(), is_strict)
    }
}

/// What came of a case.
#[derive(Debug)]
pub enum Outcome {
    /// The server did what it should.
    Passed,
    /// It did something else.
    Failed(Box<Failure>),
    /// Here and now the case says nothing.
    Skipped {
        /// The reason.
        why: String,
    },
}

/// What the server did instead of what it should.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What happened, in a sentence.
    pub what: String,
    /// What clients sent last.
    pub sent: Vec<Sent>,
    /// The bytes that were expected, if it was bytes.
    pub expected: Vec<u8>,
    /// The bytes that arrived from where the expected ones should stand.
    pub received: Vec<u8>,
    /// Where the two differ first.
    pub difference_offset: Option<usize>,
    /// The server's last lines on standard error.
    pub stderr: Vec<String>,
    /// What usually causes it, in a sentence.
    pub hint: &'static str,
}

/// How many cases came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed, of the level [`Must`](Level::Must).
    pub failed_must: usize,
    /// Failed, of the level [`Should`](Level::Should).
    pub failed_should: usize,
    /// Failed, of the level [`Info`](Level::Info).
    pub failed_info: usize,
    /// Skipped.
    pub skipped: usize,
}
