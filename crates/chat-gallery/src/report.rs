//! A gallery as tables for people.

use std::io::{self, Write};

use chat_results::comparison::{Figure, Placement, Workload};
use chat_results::gallery::{Gallery, Row, RowStanding};
use unicode_width::UnicodeWidthStr;

/// Writes a table: a line for each row, and below why a row is not as its manifest expects.
///
/// # Errors
///
/// When `out` fails.
pub fn table(gallery: &Gallery, out: &mut impl Write) -> io::Result<()> {
    let mut lines = vec![TITLES.map(str::to_owned)];
    lines.extend(gallery.rows.iter().map(line));
    let widths: [usize; TITLES.len()] =
        std::array::from_fn(|column| lines.iter().map(|it| it[column].width()).max().unwrap_or(0));
    for line in lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.width());
            text += &match column {
                0 | 1 => format!("{cell}{pad}  "),
                _ => format!("{pad}{cell}  "),
            };
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    for row in &gallery.rows {
        if let Some(told) = told(row) {
            writeln!(out, "\n{}: {told}", row.name)?;
        }
    }
    if gallery.rows.iter().any(|row| row.comparison.is_some()) {
        writeln!(out, "\n{LEGEND}")?;
    }
    if gallery.is_interrupted {
        writeln!(out, "\nIt was interrupted: rows are missing.")?;
    }
    Ok(())
}

/// Replaces what stands between the two marks in a Markdown text by a table of the rows that are right
/// and one of the wrong designs; `None` where there are no marks.
pub fn replace_table(text: &str, gallery: &Gallery) -> Option<String> {
    let begin = text.find(MARKS[0])? + MARKS[0].len();
    let end = begin + text[begin..].find(MARKS[1])?;
    let (mut right, mut wrong) = (String::new(), String::new());
    for row in &gallery.rows {
        let cells = line(row).map(|cell| cell.replace('|', "\\|"));
        if row.is_wrong() {
            let expect = &row.card.expect;
            let twin = row.card.twin.as_deref().unwrap_or("–");
            wrong += &format!("| {} | {} | {expect} | {twin} |\n", cells[0], cells[1]);
        } else {
            right += &format!("| {} |\n", cells.join(" | "));
        }
    }
    let environment = &gallery.environment;
    let titles = TITLES.join(" | ");
    let rule = format!("|{}", "---|".repeat(TITLES.len()));
    let table = format!(
        "\n{}, {}, {} processors ({}).\n\n| {titles} |\n{rule}\n{right}\n{}\n\n| wrong design | verdict | expected | twin |\n|---|---|---|---|\n{wrong}",
        environment.date,
        environment.kernel,
        environment.processor_count,
        environment.processor,
        LEGEND,
    );
    Some(format!("{}{table}{}", &text[..begin], &text[end..]))
}

fn line(row: &Row) -> [String; TITLES.len()] {
    let source = row.source.as_ref();
    let number = |it: Option<String>| it.unwrap_or_else(|| "–".to_owned());
    [
        row.name.clone(),
        word(row).to_owned(),
        number(source.map(|it| it.code_lines.to_string())),
        number(
            source
                .and_then(|it| it.package_count)
                .map(|it| it.to_string()),
        ),
        number(
            source
                .and_then(|it| it.unsafe_count)
                .map(|it| it.to_string()),
        ),
        number(row.footprint.map(|it| it.threads.to_string())),
        number(
            row.footprint
                .map(|it| format!("{:.1}", it.memory_peak_kib as f64 / 1024.0)),
        ),
        number(ratio(row, Placement::OneProcessor, "bulk", Figure::Effort)),
        number(ratio(
            row,
            Placement::AllProcessors,
            "bulk",
            Figure::Deliveries,
        )),
        number(ratio(row, Placement::AllProcessors, "paced", Figure::P99)),
    ]
}

/// Returns a figure as a multiple of the reference's, with `~` before one that is not distinguishable.
fn ratio(row: &Row, placement: Placement, job: &str, figure: Figure) -> Option<String> {
    let workloads = &row.comparison.as_ref()?.workloads;
    let is_it = |it: &&Workload| it.placement == placement && it.name == job;
    let outcome = workloads.iter().find(is_it)?.outcomes.get(1)?;
    let estimate = outcome.ratios.get(&figure)?;
    let mark = if estimate.is_distinguishable() {
        ""
    } else {
        "~"
    };
    Some(format!("{mark}{:.2}×", estimate.value))
}

fn word(row: &Row) -> &'static str {
    match (&row.standing, row.card.expect.as_str()) {
        (RowStanding::AsExpected, "pass") => "right",
        (RowStanding::AsExpected, _) => "convicted",
        (RowStanding::Otherwise { .. }, "pass") => "WRONG",
        (RowStanding::Otherwise { .. }, _) => "NOT CONVICTED",
        (RowStanding::Failed { .. }, _) => "FAILED",
        (RowStanding::Skipped { .. }, _) => "skipped",
        (RowStanding::Unproved { .. }, _) => "unproved",
    }
}

/// Tells why a row is as it is, if that needs telling.
fn told(row: &Row) -> Option<String> {
    match &row.standing {
        RowStanding::AsExpected => {
            let mut found = row.loads.iter().filter_map(|load| load.found.as_ref());
            if let Some((class, story)) = found.find(|(class, _)| *class == row.card.expect) {
                return Some(format!("{class}: {story}"));
            }
            let case = row.conformance.as_ref()?.failed.first()?;
            Some(format!("{}: {}", case.id, case.what))
        }
        RowStanding::Skipped { why, install } => {
            let lines: String = install.iter().map(|it| format!("\n  {it}")).collect();
            Some(format!("skipped, since there is {why}{lines}"))
        }
        RowStanding::Otherwise { why }
        | RowStanding::Failed { why }
        | RowStanding::Unproved { why } => {
            let cases = row.conformance.iter().flat_map(|it| &it.failed);
            let stories: String = cases.map(|case| format!("\n{}", case.story)).collect();
            Some(format!("{why}{stories}"))
        }
    }
}

/// The lines in a Markdown text between which a table stands.
pub const MARKS: [&str; 2] = [
    "<!-- The table of `stresstest gallery --markdown` begins. -->",
    "<!-- The table of `stresstest gallery --markdown` ends. -->",
];

const TITLES: [&str; 10] = [
    "server",
    "verdict",
    "lines",
    "crates",
    "unsafe",
    "threads",
    "MiB",
    "cpu/delivery",
    "deliveries/s",
    "p99",
];

const LEGEND: &str = "\
Threads and memory are the most with 100 clients. The last three are multiples of chat-server's in the
same run: processor time per delivery in bulk on one processor, deliveries per second in bulk on all,
and p99 at 2000 messages per second on all. ~ is not distinguishable from 1.";
