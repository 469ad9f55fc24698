//! Cases of the specification: a column for each server, and how cases failed.

use maud::{Markup, html};

use crate::conformance::{Case, CaseFailure};
use crate::page::{Conformed, Detail};
use crate::text::{STORY_LEN_MAX, clipped, shown};

/// Shows which server passes which case.
pub(crate) fn section(conformances: &[Conformed<'_>], detail: Detail) -> Markup {
    if conformances.is_empty() {
        return html! {};
    }
    html! {
        section #specification aria-labelledby="specification-title" {
            h2 #specification-title { "The specification, case by case" }
            p.key {
                span.good { "✓ passed" } " " span.bad { "✗ failed" } " "
                span.unsure { "! failed, and does not count" } " " span.none { "– not run" }
            }
            (table(conformances, detail))
            @for conformed in conformances.iter().filter(|_| detail != Detail::Least) {
                @let failed = conformed.report.cases.iter().filter(|case| case.failure.is_some());
                @for case in failed.take(FAILURE_COUNT_MAX) { (failure(conformed, case, detail)) }
            }
        }
    }
}

fn table(conformances: &[Conformed<'_>], detail: Detail) -> Markup {
    let is_brief = detail == Detail::Least;
    let mut cases = all_cases(conformances);
    if is_brief {
        cases.truncate(BRIEF_CASE_COUNT_MAX);
    }
    let id_len_max = if is_brief {
        BRIEF_ID_LEN_MAX
    } else {
        LINE_LEN_MAX
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Cases by server" {
            table.matrix {
                caption { span { (cases.len()) " cases on " (conformances.len()) @if conformances.len() == 1 { " server" } @else { " servers" } } }
                thead { tr {
                    th scope="col" { "Case" } th scope="col" { "Level" }
                    @for conformed in conformances { th.mark scope="col" { bdi { (conformed.name) } } }
                } }
                @for (place, case) in cases.iter().enumerate() {
                    @if place == 0 || cases[place - 1].rule != case.rule {
                        tr.rule { th colspan=(conformances.len() + 2) scope="colgroup" {
                            "Rule " (case.rule) ": " (clipped(&case.rule_name, LINE_LEN_MAX))
                        } }
                    }
                    tr {
                        th scope="row" title=[(!is_brief).then(|| clipped(&case.does, LINE_LEN_MAX))] { code { (clipped(short_id(&case.id), id_len_max)) } }
                        td.level { (clipped(&case.level, 12)) }
                        @for conformed in conformances {
                            td.mark { (mark(conformed, &case.id)) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the cases that any report has, in the order of their rules.
fn all_cases<'a>(conformances: &[Conformed<'a>]) -> Vec<&'a Case> {
    let mut cases: Vec<&Case> = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for conformed in conformances {
        let new = conformed
            .report
            .cases
            .iter()
            .filter(|case| ids.insert(&case.id));
        cases.extend(new.take(CASE_COUNT_MAX));
    }
    cases.truncate(CASE_COUNT_MAX);
    cases.sort_by_key(|case| case.rule);
    cases
}

fn mark(conformed: &Conformed<'_>, id: &str) -> Markup {
    let case = conformed.report.cases.iter().find(|case| case.id == id);
    let (class, sign, word) = match case.map(|case| (case.outcome.as_str(), case.level.as_str())) {
        Some(("passed", _)) => ("good", "✓", "passed"),
        Some(("failed", level)) if counts(level, conformed.report.strict) => ("bad", "✗", "failed"),
        Some(("failed", _)) => ("unsure", "!", "failed, and does not count"),
        _ => ("none", "–", "not run"),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) } span.unseen { (word) } } }
}

/// Tells whether a failure of a case of this level counts.
fn counts(level: &str, is_strict: bool) -> bool {
    match level.to_ascii_lowercase().as_str() {
        "must" => true,
        "should" => is_strict,
        _ => false,
    }
}

fn failure(conformed: &Conformed<'_>, case: &Case, detail: Detail) -> Markup {
    let Some(failure) = &case.failure else {
        return html! {};
    };
    html! {
        details.failure {
            summary { bdi { (conformed.name) } " fails " code { (clipped(&case.id, LINE_LEN_MAX)) } ": " (clipped(&failure.what, LINE_LEN_MAX)) }
            p { (clipped(&case.does, STORY_LEN_MAX)) }
            p { (shown(&failure.what, STORY_LEN_MAX)) }
            @if !failure.hint.is_empty() { p { em { "Usually: " } (shown(&failure.hint, STORY_LEN_MAX)) } }
            @if detail == Detail::All { (bytes(failure)) }
        }
    }
}

fn bytes(failure: &CaseFailure) -> Markup {
    html! {
        dl {
            @for sent in failure.sent.iter().take(SENDER_COUNT_MAX) {
                dt { "Client " (sent.client) " sent " (sent.total_len) " bytes, the last of them" }
                dd { pre { (hex(&sent.last_hex)) } }
            }
            @for (name, bytes) in [("Expected", &failure.expected_hex), ("Received", &failure.received_hex)] {
                @if !bytes.is_empty() { dt { (name) } dd { pre { (hex(bytes)) } } }
            }
            @if let Some(offset) = failure.difference_offset { dt { "First difference" } dd { "at byte " (offset) } }
            @if !failure.stderr.is_empty() {
                dt { "The server's last lines on standard error" }
                dd { pre {
                    @for line in failure.stderr.iter().take(STDERR_LINE_COUNT_MAX) { (clipped(line, LINE_LEN_MAX)) "\n" }
                } }
            }
        }
    }
}

/// Puts spaces between bytes.
fn hex(digits: &str) -> String {
    let chars: Vec<char> = shown(digits, HEX_LEN_MAX).chars().collect();
    let bytes = chars.chunks(2).map(|byte| byte.iter().collect::<String>());
    bytes.collect::<Vec<_>>().join(" ")
}

/// Returns an id without its rule, which the row above has.
fn short_id(id: &str) -> &str {
    id.split_once('/').map_or(id, |(_, case)| case)
}

/// Bounds of a page, whatever a file has. Judgements: a report of `stresstest` stays below them.
const CASE_COUNT_MAX: usize = 500;
const BRIEF_CASE_COUNT_MAX: usize = 200;
const BRIEF_ID_LEN_MAX: usize = 60;
const FAILURE_COUNT_MAX: usize = 40;
const SENDER_COUNT_MAX: usize = 8;
const STDERR_LINE_COUNT_MAX: usize = 20;
const HEX_LEN_MAX: usize = 512;
const LINE_LEN_MAX: usize = 200;
