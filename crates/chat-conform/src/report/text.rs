//! A report for people.

use std::fmt::{self, Display};

use crate::case::Level;
use crate::report::{CaseResult, Failure, Outcome, Report};
use crate::rules::Rule;
use crate::story::HexDump;

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in Rule::all() {
            let of_rule = || {
                self.results()
                    .iter()
                    .filter(move |result| result.case.rule() == rule)
            };
            if of_rule().next().is_some() {
                writeln!(f, "Rule {}: {}", rule.number(), rule.name())?;
                of_rule().try_for_each(|result| result.fmt(f))?;
            }
        }
        let counts = self.counts();
        let total = self.results().len();
        write!(f, "{total} cases in {:.1} s: ", self.took().as_secs_f64())?;
        write!(f, "{} passed", counts.passed)?;
        for (count, what) in [
            (counts.failed_must, "failed (MUST)"),
            (counts.failed_should, "failed (SHOULD)"),
            (counts.failed_info, "noted (INFO)"),
            (counts.skipped, "skipped"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        writeln!(f)
    }
}

impl Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.case.id();
        match &self.outcome {
            Outcome::Passed => {
                writeln!(f, "  ok    {id:<ID_WIDTH$} {:>6} ms", self.took.as_millis())
            }
            Outcome::Skipped { why } => writeln!(f, "  skip  {id:<ID_WIDTH$} {why}"),
            Outcome::Failed(failure) => {
                // What never counts is no alarm.
                let is_note = self.case.level() == Level::Info;
                let word = if is_note { "note" } else { "FAIL" };
                writeln!(f, "  {word}  {id:<ID_WIDTH$} {}", self.case.level())?;
                paragraph(f, "does", self.case.does())?;
                paragraph(f, "rule", self.case.rule().words())?;
                failure.fmt(f)
            }
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        paragraph(f, "wrong", &self.what)?;
        for sent in &self.sent {
            let (client, len) = (sent.client, sent.total_len);
            let last = sent.last_bytes.len();
            if len > last as u64 {
                writeln!(f, "    client {client} sent {len} bytes, at last")?;
            } else {
                writeln!(f, "    client {client} sent {len} bytes")?;
            }
            dump(f, &sent.last_bytes, last)?;
        }
        let pos = self.difference_offset.unwrap_or(usize::MAX);
        if !self.expected.is_empty() {
            writeln!(f, "    expected")?;
            dump(f, &self.expected, pos)?;
        }
        if !self.expected.is_empty() || !self.received.is_empty() {
            writeln!(f, "    received")?;
            dump(f, &self.received, pos)?;
        }
        if let Some(pos) = self.difference_offset {
            writeln!(f, "    the first difference is at byte {pos}")?;
        }
        if !self.stderr.is_empty() {
            writeln!(f, "    the server's last lines on stderr")?;
            let skipped = self.stderr.len().saturating_sub(STDERR_LINES_MAX);
            for line in &self.stderr[skipped..] {
                writeln!(f, "      {line}")?;
            }
        }
        paragraph(f, "usually", self.hint)
    }
}

/// Writes a text under a name, in lines that fit on a terminal.
fn paragraph(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    write!(f, "    {name:<9}")?;
    let mut column = 0;
    for word in text.split_whitespace() {
        if column > 0 && column + word.len() >= TEXT_WIDTH {
            write!(f, "\n    {:<9}", "")?;
            column = 0;
        }
        write!(f, " {word}")?;
        column += 1 + word.len();
    }
    writeln!(f)
}

fn dump(f: &mut fmt::Formatter<'_>, bytes: &[u8], pos: usize) -> fmt::Result {
    let dump = HexDump {
        bytes,
        pos: pos.min(bytes.len()),
        indent: "      ",
    };
    dump.fmt(f)
}

/// How wide the column of ids is: the longest fits.
const ID_WIDTH: usize = 48;

/// How wide texts are, beside their names. A judgement: a terminal of 80 columns.
const TEXT_WIDTH: usize = 66;

/// How many lines of the server's are shown. A judgement: a panic without its backtrace.
const STDERR_LINES_MAX: usize = 10;
