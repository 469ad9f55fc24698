//! The report of `stresstest conform`, as it is kept.

use serde::Deserialize;

/// The report of the cases of the specification on one server.
#[derive(Clone, Debug, Deserialize)]
pub struct Conformance {
    /// The executable with its arguments.
    pub server: String,
    /// Whether failures of the level SHOULD count.
    pub strict: bool,
    /// Whether nothing failed that counts.
    pub passed: bool,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// A case, and what came of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its id, like `rule-3/empty-message`.
    pub id: String,
    /// The number of its rule.
    pub rule: u32,
    /// What the rule is about.
    pub rule_name: String,
    /// `must`, `should` or another level.
    pub level: String,
    /// What it does.
    pub does: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// Why it did not run, if it did not.
    #[serde(default)]
    pub why_skipped: Option<String>,
    /// How it failed, if it did.
    #[serde(default)]
    pub failure: Option<CaseFailure>,
}

/// How a case failed.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseFailure {
    /// What was wrong.
    pub what: String,
    /// What clients sent.
    #[serde(default)]
    pub sent: Vec<SentBytes>,
    /// The bytes that should have come, in hexadecimal.
    #[serde(default)]
    pub expected_hex: String,
    /// The bytes that came, in hexadecimal.
    #[serde(default)]
    pub received_hex: String,
    /// Where they first differ, in bytes.
    #[serde(default)]
    pub difference_offset: Option<u64>,
    /// The server's last lines on standard error.
    #[serde(default)]
    pub stderr: Vec<String>,
    /// What usually causes it.
    #[serde(default)]
    pub hint: String,
}

/// What a client sent.
#[derive(Clone, Debug, Deserialize)]
pub struct SentBytes {
    /// The number of the client.
    pub client: u64,
    /// How many bytes it sent in all.
    pub total_len: u64,
    /// The last of them, in hexadecimal.
    pub last_hex: String,
}
