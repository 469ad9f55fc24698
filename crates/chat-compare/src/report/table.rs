//! A comparison for a terminal of 60 columns or more.

use std::io::{self, Write};

use chat_results::comparison::{Comparison, Figure, Outcome, Standing, Workload};
use console::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{compared, drops, figures, meaning, placement_title, standing_title, why};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Styling {
    /// Text that is struck through, by ECMA-48.
    Ansi,
    /// Plain text.
    Plain,
}

/// Writes a comparison: bars for each figure, and a throughput-latency curve for a sweep. Figures of a
/// wrong server have no bar; they are struck through, or called void in plain text.
///
/// # Errors
///
/// When `out` fails.
pub fn write(comparison: &Comparison, styling: Styling, out: &mut impl Write) -> io::Result<()> {
    for workload in &comparison.workloads {
        write_workload(comparison, workload, styling, out)?;
    }
    write_curve(comparison, styling, out)?;
    wrapped(&meaning(comparison), "", out)?;
    if comparison.is_interrupted {
        wrapped("Interrupted: there is what was found until then.", "", out)?;
    }
    Ok(())
}

fn write_workload(
    comparison: &Comparison,
    workload: &Workload,
    styling: Styling,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        out,
        "{}, {}",
        workload.name,
        placement_title(workload.placement)
    )?;
    wrapped(&workload.about, "  ", out)?;
    let servers = || workload.outcomes.iter().zip(&comparison.servers);
    for figure in figures(workload) {
        writeln!(out, "  {}", figure.title())?;
        let medians = workload
            .outcomes
            .iter()
            .filter(|it| counts(it))
            .filter_map(|it| it.medians.get(&figure));
        let most = medians.map(|it| it.value).fold(0.0, f64::max);
        for (outcome, server) in servers() {
            let line = figure_line(&server.name, workload, outcome, (figure, most), styling);
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    for (outcome, server) in servers() {
        let (name, title) = (
            cell(&server.name, NAME_WIDTH),
            standing_title(&outcome.standing),
        );
        if outcome.medians.is_empty() {
            writeln!(out, "  {name} {title}")?;
        } else {
            writeln!(out, "  {name} {title}, {}", drops(outcome))?;
        }
        if let Some(why) = why(&outcome.standing) {
            wrapped(why, "      ", out)?;
        }
    }
    if let Some(ceiling) = workload.ceiling_deliveries_per_s {
        let ceiling = Figure::Deliveries.quantity().show(ceiling);
        wrapped(
            &format!("The load tester itself can do {ceiling} here."),
            "  ",
            out,
        )?;
    }
    workload
        .concerns
        .iter()
        .try_for_each(|it| wrapped(&format!("Note: {it}."), "  ", out))?;
    writeln!(out)
}

/// Tells whether a server's figures count for anything.
fn counts(outcome: &Outcome) -> bool {
    !matches!(outcome.standing, Standing::Wrong { .. })
}

fn figure_line(
    name: &str,
    workload: &Workload,
    outcome: &Outcome,
    (figure, most): (Figure, f64),
    styling: Styling,
) -> String {
    let name = cell(name, NAME_WIDTH);
    let Some(median) = outcome.medians.get(&figure) else {
        return format!("  {name} {:BAR_WIDTH$} {:>VALUE_WIDTH$}", "", "-");
    };
    let value = figure.quantity().show(median.value);
    if !counts(outcome) {
        let value = struck(&value, VALUE_WIDTH, styling);
        let void = match styling {
            Styling::Ansi => "",
            Styling::Plain => ": void",
        };
        return format!("  {name} {:BAR_WIDTH$} {value} WRONG{void}", "");
    }
    let bar = bar(median.value / most);
    format!(
        "  {name} {bar:BAR_WIDTH$} {value:>VALUE_WIDTH$} {}",
        compared(workload, outcome, figure)
    )
}

/// Strikes a text through and puts it at the right of its column, which is not struck through.
fn struck(text: &str, width: usize, styling: Styling) -> String {
    let style = Style::new().strikethrough();
    let style = style.force_styling(styling == Styling::Ansi);
    let room = " ".repeat(width.saturating_sub(text.width()));
    format!("{room}{}", style.apply_to(text))
}

/// Draws a part of the longest bar, in eighths of a character.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 0 and the width of a bar, and a cast of a float saturates"
)]
fn bar(part: f64) -> String {
    let eighths = (part.clamp(0.0, 1.0) * 8.0 * BAR_WIDTH as f64).round() as usize;
    let mut bar = "\u{2588}".repeat(eighths / 8);
    bar.extend(EIGHTHS.get(eighths % 8).filter(|it| **it != ' '));
    if bar.is_empty() {
        bar.push(EIGHTHS[1]);
    }
    bar
}

/// Writes throughput and latency of each server at each point of a sweep.
fn write_curve(comparison: &Comparison, styling: Styling, out: &mut impl Write) -> io::Result<()> {
    let points = || comparison.workloads.iter().filter(|it| it.sweep.is_some());
    if points().next().is_none() {
        return Ok(());
    }
    writeln!(out, "throughput and latency")?;
    for (place, server) in comparison.servers.iter().enumerate() {
        writeln!(out, "  {}", cell(&server.name, 2 * NAME_WIDTH).trim_end())?;
        for workload in points() {
            let outcome = &workload.outcomes[place];
            let show = |figure: Figure, width: usize| {
                let median = outcome.medians.get(&figure);
                let text =
                    median.map_or_else(|| "-".to_owned(), |it| figure.quantity().show(it.value));
                if counts(outcome) {
                    format!("{text:>width$}")
                } else {
                    struck(&text, width, styling)
                }
            };
            let wrong = if counts(outcome) { "" } else { " WRONG" };
            writeln!(
                out,
                "  {} {} p50 {} p99 {}{wrong}",
                cell(&workload.name, NAME_WIDTH),
                show(Figure::Deliveries, VALUE_WIDTH),
                show(Figure::P50, TIME_WIDTH),
                show(Figure::P99, TIME_WIDTH)
            )?;
        }
    }
    writeln!(out)
}

/// Cuts or fills a text to a width.
fn cell(text: &str, width: usize) -> String {
    let mut cell = String::new();
    for char in text.chars().filter(|it| !it.is_control()) {
        if cell.width() + char.width().unwrap_or(0) > width {
            break;
        }
        cell.push(char);
    }
    cell.extend(std::iter::repeat_n(' ', width - cell.width()));
    cell
}

/// Writes a text in lines of the terminal's width.
fn wrapped(text: &str, indent: &str, out: &mut impl Write) -> io::Result<()> {
    for whole in text.lines() {
        let mut line = indent.to_owned();
        for word in whole.split_whitespace() {
            if line.width() > indent.len() && line.width() + 1 + word.width() > WIDTH {
                writeln!(out, "{line}")?;
                indent.clone_into(&mut line);
            }
            if line.width() > indent.len() {
                line.push(' ');
            }
            line += word;
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Widths in characters: of a line, which the smallest terminals have, and of names, bars, values and times.
const WIDTH: usize = 60;
const NAME_WIDTH: usize = 12;
const BAR_WIDTH: usize = 12;
const VALUE_WIDTH: usize = 11;
const TIME_WIDTH: usize = 9;

/// Parts of a character that is full.
const EIGHTHS: [char; 8] = [
    ' ', '\u{258f}', '\u{258e}', '\u{258d}', '\u{258c}', '\u{258b}', '\u{258a}', '\u{2589}',
];
