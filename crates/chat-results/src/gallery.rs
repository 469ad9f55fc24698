//! What is known of a gallery of servers, as plain data.

use serde::{Deserialize, Serialize};

use crate::comparison::Comparison;
use crate::environment::Environment;

/// What is known of a gallery: the same server in many styles.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Gallery {
    /// Version of this structure; see [`GALLERY_VERSION`].
    pub gallery_version: u32,
    /// What was run where, and when, the last time.
    pub environment: Environment,
    /// The rows, by their names.
    pub rows: Vec<Row>,
    /// Whether a signal has ended it early.
    pub is_interrupted: bool,
}

/// A server of the gallery, and what was found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Row {
    /// Its folder, like `rust/tokio` or `wrong/rust/raw-relay`.
    pub name: String,
    /// What its manifest says.
    pub card: Card,
    /// When it was looked at, in UTC (RFC 3339).
    pub checked: String,
    /// What came of it.
    pub standing: RowStanding,
    /// The versions of what it was built with.
    pub versions: Vec<String>,
    /// What its sources are like; `None` where they could not be read.
    pub source: Option<Source>,
    /// How it was built; `None` where it was not.
    pub build: Option<Build>,
    /// How it stood the cases of the specification; `None` where they were not run.
    pub conformance: Option<Conformed>,
    /// The loads that prove it, in their order, over all repetitions.
    pub loads: Vec<Proof>,
    /// What it takes with 100 clients; `None` where that was not measured.
    pub footprint: Option<Footprint>,
    /// How it compares with the reference, which is the first server; `None` where it was not timed.
    pub comparison: Option<Comparison>,
}

impl Row {
    /// Tells whether it is on the shelf of wrong designs.
    pub fn is_wrong(&self) -> bool {
        self.name.starts_with("wrong/")
    }
}

/// What a manifest says of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Card {
    /// The style, from a closed list.
    pub style: String,
    /// On which layer it stands: `plain` or `hub`.
    pub layer: String,
    /// What one client is, in words.
    pub client: String,
    /// Where the one order is made.
    pub order: String,
    /// Which messages a client loses that does not keep up, and the bound of memory.
    pub laggards: Laggards,
    /// The page that it follows.
    pub written_as: Option<String>,
    /// What must be found: `pass`, or how it is wrong.
    pub expect: String,
    /// The right row that a wrong one is the smallest change from.
    pub twin: Option<String>,
    /// The idea behind a wrong one, and where it is found.
    pub story: Option<String>,
    /// Deviations, and what a reader who chooses must know.
    pub notes: Vec<String>,
}

/// What happens to clients that do not keep up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Laggards {
    /// Which messages they lose.
    pub policy: String,
    /// How much memory they may take. `none` is without a bound.
    pub bound: String,
}

/// What came of a row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum RowStanding {
    /// It was found as its manifest expects: right, or wrong in the way that it says.
    AsExpected,
    /// It was found otherwise.
    Otherwise {
        /// How.
        why: String,
    },
    /// It could not be built, or could not be tested to the end.
    Failed {
        /// Why not.
        why: String,
    },
    /// A tool is missing that it needs.
    Skipped {
        /// What is missing.
        why: String,
        /// The lines that install it.
        install: Vec<String>,
    },
    /// Nothing was found wrong, and not all of it was tested.
    Unproved {
        /// Why not.
        why: String,
    },
}

impl RowStanding {
    /// Tells whether the row is as its manifest expects.
    pub fn is_as_expected(&self) -> bool {
        *self == Self::AsExpected
    }
}

/// What the sources of a row are like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Source {
    /// Lines with code, without those that are empty or comments.
    pub code_lines: usize,
    /// How often `unsafe` is written, in Rust.
    pub unsafe_count: Option<usize>,
    /// How many packages it is built from, besides itself, in Rust.
    pub package_count: Option<usize>,
    /// The lines that decide, as the manifest names them.
    pub excerpts: Vec<Excerpt>,
}

/// Some lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Excerpt {
    /// The file, in the row's folder.
    pub file: String,
    /// The number of the first line, from 1.
    pub first_line: usize,
    /// The lines.
    pub text: String,
}

/// How a row was built.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Build {
    /// How long it took. What had been built before is not built again.
    pub seconds: f64,
    /// The size of the executable in bytes, where it is one file that was built.
    pub executable_bytes: Option<u64>,
}

/// How a row stood the cases of the specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Conformed {
    /// How many cases passed.
    pub passed: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// Those that failed.
    pub failed: Vec<FailedCase>,
}

/// A case that failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FailedCase {
    /// Its id.
    pub id: String,
    /// Its level: `MUST`, `SHOULD` or `INFO`.
    pub level: String,
    /// What went wrong, in a sentence.
    pub what: String,
    /// The same, with the bytes.
    pub story: String,
}

/// What a load found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Proof {
    /// Its name in one word.
    pub name: String,
    /// The load, in words.
    pub load: String,
    /// How often it was run.
    pub runs: u32,
    /// How often it found nothing wrong.
    pub passed: u32,
    /// What else was found, the first time: the class in one word, and its story.
    pub found: Option<(String, String)>,
}

/// What a server takes with 100 clients.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Footprint {
    /// The most threads that were seen.
    pub threads: u64,
    /// Resident memory before the first client, in KiB.
    pub memory_before_kib: u64,
    /// The most resident memory, in KiB.
    pub memory_peak_kib: u64,
}

/// The version of [`Gallery`] that this program writes. It grows when a field goes away or changes its
/// meaning, not for a new one.
pub const GALLERY_VERSION: u32 = 1;
