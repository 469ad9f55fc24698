//! One case: what it does, and what to think of a server that fails it.

use std::fmt;

use serde::Serialize;

use crate::rules::Rule;
use crate::trial::Trial;
use crate::wrong::Wrong;

/// A case of the specification.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    id: &'static str,
    does: &'static str,
    hint: &'static str,
    level: Level,
    place: Place,
    pub(crate) start: Start,
    watches_process: bool,
    pub(crate) check: fn(&mut Trial<'_>) -> Result<(), Wrong>,
}

impl Case {
    /// Makes a case that a server must pass. The hint says what usually causes a failure.
    pub(crate) const fn must(
        id: &'static str,
        does: &'static str,
        hint: &'static str,
        check: fn(&mut Trial<'_>) -> Result<(), Wrong>,
    ) -> Self {
        Self {
            id,
            does,
            hint,
            level: Level::Must,
            place: Place::SideBySide,
            start: Start::Before,
            watches_process: false,
            check,
        }
    }

    /// Makes it a case that a good server passes.
    pub(crate) const fn should(mut self) -> Self {
        self.level = Level::Should;
        self
    }

    /// Makes it a case that only informs.
    pub(crate) const fn info(mut self) -> Self {
        self.level = Level::Info;
        self
    }

    /// Keeps other cases away while it runs.
    pub(crate) const fn alone(mut self) -> Self {
        self.place = Place::Alone;
        self
    }

    /// Leaves it to the case to start servers.
    pub(crate) const fn starts_servers(mut self) -> Self {
        self.start = Start::ByCase;
        self
    }

    /// Marks it as one that looks at the process of the server.
    pub(crate) const fn watches_process(mut self) -> Self {
        self.watches_process = true;
        self
    }

    /// Tells whether it starts, watches or ends a server, as all do that are about the executable: those
    /// of rules 1, 2 and 10, and some others.
    pub(crate) fn is_about_process(&self) -> bool {
        self.watches_process
            || self.start == Start::ByCase
            || matches!(self.rule().number(), 1 | 2 | 10)
    }

    /// Returns the name by which it is chosen, like `rule-3/empty-message`.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Returns what it does and what must come of it, in one sentence.
    pub fn does(&self) -> &'static str {
        self.does
    }

    /// Returns what usually causes a failure, in one sentence.
    pub fn hint(&self) -> &'static str {
        self.hint
    }

    /// Returns how much a failure counts.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Tells whether it may run while others do.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns the rule that it is about.
    pub fn rule(&self) -> Rule {
        Rule::of_id(self.id)
    }
}

/// How much a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The server breaks the specification.
    Must,
    /// The server keeps the specification, but users will miss something. It counts when it is
    /// asked for.
    Should,
    /// It is good to know, and never counts.
    Info,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Info => "INFO",
        })
    }
}

/// Whether a case may run while others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Others may run beside it.
    SideBySide,
    /// It looks at processor time or memory, or takes most of the machine.
    Alone,
}

/// Who starts the server of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It runs and is ready when the case begins.
    Before,
    /// The case does, in its own way.
    ByCase,
}
