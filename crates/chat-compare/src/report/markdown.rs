//! A comparison as Markdown.

use std::fmt::{Result, Write};

use chat_results::comparison::{Comparison, Standing, Workload};

use super::{SAME, compared, drops, figures, meaning, placement_title, standing_title, why};

/// Writes a comparison: a table for each workload, a row for each server.
///
/// # Errors
///
/// When `out` fails.
pub fn write(comparison: &Comparison, out: &mut impl Write) -> Result {
    let environment = &comparison.environment;
    writeln!(out, "# Comparison\n\n{}\n", meaning(comparison))?;
    writeln!(
        out,
        "{}, stresstest {}, {}, {} ({} processors)\n",
        environment.date,
        environment.version,
        environment.kernel,
        environment.processor,
        environment.processor_count
    )?;
    for server in &comparison.servers {
        writeln!(
            out,
            "- {}: `{}`",
            escaped(&server.name),
            server.command.join(" ").replace('`', "'")
        )?;
        server
            .settings
            .iter()
            .try_for_each(|it| writeln!(out, "  - {}", escaped(it)))?;
    }
    if comparison.is_interrupted {
        writeln!(
            out,
            "\n**Interrupted**: there is what was found until then."
        )?;
    }
    comparison
        .workloads
        .iter()
        .try_for_each(|workload| write_workload(comparison, workload, out))
}

fn write_workload(comparison: &Comparison, workload: &Workload, out: &mut impl Write) -> Result {
    writeln!(
        out,
        "\n## {}, {}\n\n{}\n",
        workload.name,
        placement_title(workload.placement),
        workload.about
    )?;
    let figures = figures(workload);
    write!(out, "| server | order | drops |")?;
    figures
        .iter()
        .try_for_each(|it| write!(out, " {} |", it.title()))?;
    write!(out, "\n|---|---|---|")?;
    figures.iter().try_for_each(|_| write!(out, "---:|"))?;
    writeln!(out)?;
    for (outcome, server) in workload.outcomes.iter().zip(&comparison.servers) {
        let is_wrong = matches!(outcome.standing, Standing::Wrong { .. });
        write!(
            out,
            "| {} | {} | {} |",
            escaped(&server.name),
            standing_title(&outcome.standing),
            drops(outcome)
        )?;
        for &figure in &figures {
            let Some(median) = outcome.medians.get(&figure) else {
                write!(out, " |")?;
                continue;
            };
            let value = figure.quantity().show(median.value);
            if is_wrong {
                write!(out, " ~~{value}~~ |")?;
                continue;
            }
            match compared(workload, outcome, figure).as_str() {
                "" => write!(out, " {value} |")?,
                SAME => write!(out, " {value} ({SAME}) |")?,
                ratio => write!(out, " {value} (**{ratio}**) |")?,
            }
        }
        writeln!(out)?;
    }
    writeln!(out)?;
    for (outcome, server) in workload.outcomes.iter().zip(&comparison.servers) {
        if let Some(why) = why(&outcome.standing) {
            writeln!(
                out,
                "- {} {}: {}",
                escaped(&server.name),
                standing_title(&outcome.standing),
                escaped(why)
            )?;
        }
    }
    if let Some(ceiling) = workload.ceiling_deliveries_per_s {
        writeln!(
            out,
            "- The load tester itself can do {} here.",
            chat_results::Quantity::Rate.show(ceiling)
        )?;
    }
    workload
        .concerns
        .iter()
        .try_for_each(|it| writeln!(out, "- Note: {}.", escaped(it)))
}

/// Keeps a text from ending a cell or a line.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
        .lines()
        .collect::<Vec<_>>()
        .join(" ")
}
