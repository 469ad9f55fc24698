//! A report as JSON.

use std::io;

use serde::Serialize;

use crate::case::Level;
use crate::report::{CaseResult, Counts, Failure, Outcome, Report};

pub(super) fn write(report: &Report, mut out: impl io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &Written::from(report))?;
    writeln!(out)
}

/// A report as it is written. Bytes are hexadecimal, units are in the names.
#[derive(Serialize)]
struct Written<'a> {
    schema_version: u32,
    server: &'a str,
    strict: bool,
    passed: bool,
    took_s: f64,
    counts: Counts,
    cases: Vec<WrittenCase<'a>>,
}

impl<'a> From<&'a Report> for Written<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            server: &report.server,
            strict: report.is_strict,
            passed: report.has_passed(),
            took_s: report.took().as_secs_f64(),
            counts: report.counts(),
            cases: report.results().iter().map(WrittenCase::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct WrittenCase<'a> {
    id: &'a str,
    rule: usize,
    rule_name: &'a str,
    rule_words: &'a str,
    level: Level,
    does: &'a str,
    took_s: f64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_skipped: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<WrittenFailure<'a>>,
}

impl<'a> From<&'a CaseResult> for WrittenCase<'a> {
    fn from(result: &'a CaseResult) -> Self {
        let (outcome, why_skipped, failure) = match &result.outcome {
            Outcome::Passed => ("passed", None, None),
            Outcome::Skipped { why } => ("skipped", Some(why.as_str()), None),
            Outcome::Failed(failure) => ("failed", None, Some(WrittenFailure::from(&**failure))),
        };
        let rule = result.case.rule();
        Self {
            id: result.case.id(),
            rule: rule.number(),
            rule_name: rule.name(),
            rule_words: rule.words(),
            level: result.case.level(),
            does: result.case.does(),
            took_s: result.took.as_secs_f64(),
            outcome,
            why_skipped,
            failure,
        }
    }
}

#[derive(Serialize)]
struct WrittenFailure<'a> {
    what: &'a str,
    sent: Vec<WrittenSent>,
    expected_hex: String,
    received_hex: String,
    difference_offset: Option<usize>,
    stderr: &'a [String],
    hint: &'a str,
}

impl<'a> From<&'a Failure> for WrittenFailure<'a> {
    fn from(failure: &'a Failure) -> Self {
        let sent = failure.sent.iter().map(|sent| WrittenSent {
            client: sent.client,
            total_len: sent.total_len,
            last_hex: hex(&sent.last_bytes),
        });
        Self {
            what: &failure.what,
            sent: sent.collect(),
            expected_hex: hex(&failure.expected),
            received_hex: hex(&failure.received),
            difference_offset: failure.difference_offset,
            stderr: &failure.stderr,
            hint: failure.hint,
        }
    }
}

#[derive(Serialize)]
struct WrittenSent {
    client: usize,
    total_len: u64,
    last_hex: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The version of what is written. It changes when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;
