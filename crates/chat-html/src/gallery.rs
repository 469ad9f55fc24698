//! A gallery: a table of its rows, and what is known of each.

use chat_results::Quantity;
use chat_results::comparison::{Comparison, Figure, Outcome, Placement, Standing, Workload};
use chat_results::gallery::{Card, Gallery, Row, RowStanding};
use maud::{Markup, html};

use crate::setting::environment;
use crate::text::{COMMAND_LEN_MAX, STORY_LEN_MAX, clipped, shown};

/// Shows a gallery.
pub(crate) fn section(gallery: &Gallery) -> Markup {
    let rows = || gallery.rows.iter().take(ROW_COUNT_MAX);
    html! {
        section #gallery aria-label="Gallery" {
            h2 { "The same server in many styles" }
            @if gallery.is_interrupted { p { strong.unsure { "A signal ended it early: rows are missing." } } }
            (table(&rows().filter(|row| !row.is_wrong()).collect::<Vec<_>>()))
            h2 { "Row by row" }
            @for row in rows().filter(|row| !row.is_wrong()) { (page_of_row(row, gallery)) }
            h2 { "Wrong designs" }
            p { "Each is a small change of a right row, and was to be convicted." }
            @for row in rows().filter(|row| row.is_wrong()) { (page_of_row(row, gallery)) }
            h2 { "Machine" }
            dl { @for (name, value) in environment(&gallery.environment) {
                @if !value.is_empty() { dt { (name) } dd { (shown(&value, COMMAND_LEN_MAX)) } }
            } }
        }
    }
}

fn table(rows: &[&Row]) -> Markup {
    html! {
        p {
            "Threads and memory are the most with 100 clients. The last four are multiples of the reference's, from \
             rounds in which both took turns; ≈ is not distinguishable from it. CPU is processor time per delivery in \
             bulk on one processor; Bulk and Many are deliveries per second on all, with 8 and with 100 clients; p99 is \
             that at 2000 messages per second."
        }
        div.scroll tabindex="0" role="region" aria-label="Rows of the gallery" {
            table {
                caption { span { "Rows that are to be right" } }
                thead { tr {
                    th scope="col" { "Row" } th scope="col" { "Verdict" } th scope="col" { "Style" } th scope="col" { "Layer" }
                    @for title in TITLES { th.number scope="col" { (title) } }
                } }
                tbody { @for row in rows { tr {
                    th scope="row" { bdi { (clipped(&row.name, NAME_LEN_MAX)) } }
                    td { (verdict(row)) }
                    td { (clipped(&row.card.style, NAME_LEN_MAX)) } td { (clipped(&row.card.layer, NAME_LEN_MAX)) }
                    @for figure in figures(row) { td.number { (figure.unwrap_or_else(|| "–".to_owned())) } }
                } } }
            }
        }
    }
}

fn figures(row: &Row) -> [Option<String>; TITLES.len()] {
    let source = row.source.as_ref();
    let memory = row
        .footprint
        .map(|it| Quantity::Memory.show(it.memory_peak_kib as f64));
    let (one, all) = (Placement::OneProcessor, Placement::AllProcessors);
    [
        source.map(|it| it.code_lines.to_string()),
        source
            .and_then(|it| it.package_count)
            .map(|it| it.to_string()),
        source
            .and_then(|it| it.unsafe_count)
            .map(|it| it.to_string()),
        row.footprint.map(|it| it.threads.to_string()),
        memory,
        ratio(row, one, "bulk", Figure::Effort),
        ratio(row, all, "bulk", Figure::Deliveries),
        ratio(row, all, "paced", Figure::P99),
        ratio(row, all, "many-clients", Figure::Deliveries),
    ]
}

/// Returns a figure of a load as a multiple of the reference's.
fn ratio(row: &Row, placement: Placement, job: &str, figure: Figure) -> Option<String> {
    let workloads = &row.comparison.as_ref()?.workloads;
    let is_it = |it: &&Workload| it.placement == placement && it.name == job;
    let outcome = workloads.iter().find(is_it)?.outcomes.get(1)?;
    let estimate = outcome.ratios.get(&figure)?;
    let mark = if estimate.is_distinguishable() {
        ""
    } else {
        "≈ "
    };
    Some(format!("{mark}{:.2}×", estimate.value))
}

fn verdict(row: &Row) -> Markup {
    let is_right = row.card.expect == "pass";
    html! { @match &row.standing {
        RowStanding::AsExpected if is_right => { span.good { "✓ right" } }
        RowStanding::AsExpected => { span.good { "✓ convicted" } }
        RowStanding::Otherwise { .. } if is_right => { span.bad { "✗ wrong" } }
        RowStanding::Otherwise { .. } => { span.bad { "✗ not convicted" } }
        RowStanding::Failed { .. } => { span.bad { "✗ failed" } }
        RowStanding::Skipped { .. } => { span.unsure { "– skipped" } }
        RowStanding::Unproved { .. } => { span.unsure { "? unproved" } }
    } }
}

/// Shows all that is known of a row.
fn page_of_row(row: &Row, gallery: &Gallery) -> Markup {
    let card = &row.card;
    html! {
        details {
            summary { strong { bdi { (clipped(&row.name, NAME_LEN_MAX)) } } ": " (verdict(row)) }
            @if let Some(why) = why(&row.standing) { pre.failure { (shown(why, STORY_LEN_MAX)) } }
            @if let Some(story) = &card.story { p { (shown(story, STORY_LEN_MAX)) } }
            dl {
                @for (name, value) in facts(card) { @if !value.is_empty() { dt { (name) } dd { (shown(value, STORY_LEN_MAX)) } } }
                @if let Some(pair) = pair(row, gallery) { dt { "Beside it" } dd { (pair) } }
                @if !row.versions.is_empty() { dt { "Built with" } dd { (shown(&row.versions.join("; "), COMMAND_LEN_MAX)) } }
                @if let Some(build) = &row.build {
                    dt { "Build" } dd { (format!("{:.1} s", build.seconds))
                        @if let Some(bytes) = build.executable_bytes { ", an executable of " (Quantity::Memory.show(bytes as f64 / 1024.0)) } }
                }
                @if let Some(conformed) = &row.conformance { dt { "Cases" } dd {
                    (conformed.passed) " passed, " (conformed.failed.len()) " failed, " (conformed.skipped) " skipped"
                } }
                @for load in row.loads.iter().take(LOAD_COUNT_MAX) { dt { "Load " (clipped(&load.name, NAME_LEN_MAX)) } dd {
                    (load.passed) " of " (load.runs) " runs passed: " (shown(&load.load, COMMAND_LEN_MAX))
                    @if let Some((class, story)) = &load.found { br; strong { (clipped(class, NAME_LEN_MAX)) } ": " (shown(story, STORY_LEN_MAX)) }
                } }
                dt { "Looked at" } dd { (clipped(&row.checked, NAME_LEN_MAX)) }
            }
            @if !card.notes.is_empty() { ul { @for note in card.notes.iter().take(NOTE_COUNT_MAX) { li { (shown(note, STORY_LEN_MAX)) } } } }
            @if let Some(source) = &row.source { @for excerpt in source.excerpts.iter().take(EXCERPT_COUNT_MAX) {
                p { code { (shown(&excerpt.file, COMMAND_LEN_MAX)) } ", from line " (excerpt.first_line) }
                pre { (shown(&excerpt.text, EXCERPT_LEN_MAX)) }
            } }
            @if let Some(conformed) = &row.conformance { @for case in conformed.failed.iter().take(CASE_COUNT_MAX) {
                pre.failure { (shown(&case.story, STORY_LEN_MAX)) }
            } }
            @if let Some(comparison) = &row.comparison { (medians(&row.name, comparison)) }
        }
    }
}

fn facts(card: &Card) -> [(&'static str, &str); 7] {
    [
        ("A client is", &card.client),
        ("Order", &card.order),
        ("Laggards lose", &card.laggards.policy),
        ("Bound", &card.laggards.bound),
        ("Written as", card.written_as.as_deref().unwrap_or_default()),
        ("Change of", card.twin.as_deref().unwrap_or_default()),
        (
            "Expected",
            if card.expect == "pass" {
                ""
            } else {
                &card.expect
            },
        ),
    ]
}

/// Names the row of the same style on the other layer.
fn pair<'a>(row: &Row, gallery: &'a Gallery) -> Option<&'a str> {
    let other = match row.name.strip_suffix("-hub") {
        Some(plain) => plain.to_owned(),
        None => format!("{}-hub", row.name),
    };
    gallery
        .rows
        .iter()
        .map(|row| row.name.as_str())
        .find(|name| *name == other)
}

fn why(standing: &RowStanding) -> Option<&str> {
    match standing {
        RowStanding::AsExpected => None,
        RowStanding::Otherwise { why }
        | RowStanding::Failed { why }
        | RowStanding::Skipped { why, .. }
        | RowStanding::Unproved { why } => Some(why),
    }
}

/// Shows the figures of a row and of the reference.
fn medians(name: &str, comparison: &Comparison) -> Markup {
    let label = format!("Figures of {name}");
    let figure = |outcome: Option<&Outcome>, figure: Figure| {
        let outcome = outcome.filter(|it| !matches!(it.standing, Standing::Wrong { .. }))?;
        let median = outcome.medians.get(&figure)?;
        Some(figure.quantity().show(median.value))
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label=(shown(&label, COMMAND_LEN_MAX)) {
            table {
                caption { span { "Medians of " (comparison.rounds) " rounds, of this row and of the reference." } }
                thead { tr { th scope="col" { "Load" } th scope="col" { "Figure" } th.number scope="col" { "This row" } th.number scope="col" { "Reference" } } }
                tbody { @for workload in comparison.workloads.iter().take(LOAD_COUNT_MAX) { @for decided in &workload.decided { tr {
                    th scope="row" { (clipped(&workload.name, NAME_LEN_MAX)) ", "
                        @match workload.placement { Placement::OneProcessor => { "one processor" } Placement::AllProcessors => { "all" } } }
                    td { (decided.title()) }
                    td.number { (figure(workload.outcomes.get(1), *decided).unwrap_or_else(|| "–".to_owned())) }
                    td.number { (figure(workload.outcomes.first(), *decided).unwrap_or_else(|| "–".to_owned())) }
                } } } }
            }
        }
    }
}

const TITLES: [&str; 9] = [
    "Lines", "Packages", "Unsafe", "Threads", "Memory", "CPU", "Bulk", "p99", "Many",
];

/// How much of a file is shown, whatever it has. Judgements.
const ROW_COUNT_MAX: usize = 100;
const LOAD_COUNT_MAX: usize = 20;
const NOTE_COUNT_MAX: usize = 20;
const EXCERPT_COUNT_MAX: usize = 5;
const EXCERPT_LEN_MAX: usize = 8000;
const CASE_COUNT_MAX: usize = 20;
const NAME_LEN_MAX: usize = 48;
