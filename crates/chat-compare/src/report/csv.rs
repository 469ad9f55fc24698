//! A comparison as comma-separated values.

use chat_results::comparison::{Comparison, Figure, SweepPoint};

use super::{placement_title, standing_title};

/// Returns a line with the names of the columns, and one for each round of each server in each
/// workload. What was not measured is empty.
pub fn table(comparison: &Comparison) -> String {
    let names = [
        "date",
        "version",
        "host",
        "workload",
        "placement",
        "window",
        "rate_per_s",
        "server",
        "standing",
        "round",
        "position",
    ];
    let names = names.into_iter().chain(Figure::ALL.map(Figure::name));
    let mut text = line(names.map(str::to_owned));
    let environment = &comparison.environment;
    for workload in &comparison.workloads {
        for (outcome, server) in workload.outcomes.iter().zip(&comparison.servers) {
            for round in &outcome.rounds {
                let mut columns = vec![
                    environment.date.clone(),
                    environment.version.clone(),
                    environment.host.clone(),
                    workload.name.clone(),
                    placement_title(workload.placement).to_owned(),
                ];
                let (window, rate) = match workload.sweep {
                    Some(SweepPoint::Window(window)) => (Some(window), None),
                    Some(SweepPoint::Rate(rate)) => (None, Some(rate)),
                    None => (
                        workload.load.pacing.in_flight(),
                        workload.load.pacing.rate(),
                    ),
                };
                columns.push(window.map_or_else(String::new, |it| it.to_string()));
                columns.push(rate.map_or_else(String::new, |it| it.to_string()));
                columns.push(server.name.clone());
                columns.push(standing_title(&outcome.standing).to_lowercase());
                columns.push(round.number.to_string());
                columns.push(round.position.to_string());
                columns.extend(Figure::ALL.map(|figure| {
                    let value = round.figures.get(&figure);
                    value.map_or_else(String::new, f64::to_string)
                }));
                text += &line(columns);
            }
        }
    }
    text
}

fn line(columns: impl IntoIterator<Item = String>) -> String {
    let quoted = columns.into_iter().map(|column| {
        if column.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", column.replace('"', "\"\""))
        } else {
            column
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}
