//! The machine that a run is on, and the moment.

use serde::{Deserialize, Serialize};

/// What was run where, and when: figures of different ones are not to be compared without thought.
/// What the system does not tell is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Environment {
    /// When the run began, in UTC (RFC 3339).
    pub date: String,
    /// The version of the load tester.
    pub version: String,
    /// The commit of the repository that the load tester was started in, with `-dirty` behind it where
    /// files have changed since.
    #[serde(default)]
    pub commit: String,
    /// The command line of the load tester.
    pub command: Vec<String>,
    /// The name of the machine.
    pub host: String,
    /// The kernel, and its version.
    pub kernel: String,
    /// The model of the processors.
    pub processor: String,
    /// How many processors this process may use.
    pub processor_count: usize,
}
