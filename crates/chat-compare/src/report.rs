//! The forms in which a comparison is shown and kept.

pub mod csv;
pub mod json;
pub mod markdown;
pub mod table;

use chat_results::comparison::{Comparison, Figure, Outcome, Placement, Standing, Workload};
use chat_results::statistics::Estimate;

/// Returns the exit code of a program that made a comparison: the worst that applies, as for a
/// single run.
pub fn exit_code(comparison: &Comparison) -> u8 {
    let outcomes = comparison.workloads.iter().flat_map(|it| &it.outcomes);
    let any = |is: fn(&Standing) -> bool| outcomes.clone().any(|it| is(&it.standing));
    if any(|it| matches!(it, Standing::Wrong { .. })) {
        EXIT_BROKEN
    } else if comparison.is_interrupted {
        EXIT_INTERRUPTED
    } else if any(|it| matches!(it, Standing::Stopped { .. })) {
        EXIT_STOPPED
    } else {
        outcomes.clone().next().map_or(EXIT_INTERRUPTED, |_| 0)
    }
}

fn placement_title(placement: Placement) -> &'static str {
    match placement {
        Placement::AllProcessors => "all processors",
        Placement::OneProcessor => "one processor",
    }
}

/// Returns the figures of a workload that any server has, those that are decided first.
fn figures(workload: &Workload) -> Vec<Figure> {
    let decided = workload.decided.iter().copied();
    let others = Figure::ALL
        .into_iter()
        .filter(|it| !workload.decided.contains(it));
    let is_there = |figure: &Figure| {
        workload
            .outcomes
            .iter()
            .any(|it| it.medians.contains_key(figure))
    };
    decided.chain(others).filter(is_there).collect()
}

/// Tells how a figure of a server compares with that of the first.
fn compared(workload: &Workload, outcome: &Outcome, figure: Figure) -> String {
    let Some(ratio) = outcome.ratios.get(&figure) else {
        return String::new();
    };
    if !workload.decided.contains(&figure) {
        return String::new();
    }
    if ratio.is_distinguishable() {
        shown_ratio(ratio)
    } else {
        SAME.to_owned()
    }
}

/// Shows a ratio and its interval.
fn shown_ratio(ratio: &Estimate) -> String {
    let show = |value: f64| match value {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    let times = format!("{}x", show(ratio.value));
    ratio.interval.map_or(times.clone(), |interval| {
        format!("{times} {}..{}", show(interval.low), show(interval.high))
    })
}

/// Tells in one or two words what a server's standing is.
fn standing_title(standing: &Standing) -> &'static str {
    match standing {
        Standing::Proved => "proved",
        Standing::Unproved => "unproved",
        Standing::NotRun => "not run",
        Standing::Stopped { .. } => "STOPPED",
        Standing::Wrong { .. } => "WRONG",
    }
}

/// Tells of a server's drops. Of one on which nothing was measured there is nothing to tell.
fn drops(outcome: &Outcome) -> String {
    if outcome.medians.is_empty() {
        "-".to_owned()
    } else if outcome.drop_ratio == 0.0 {
        "no drops".to_owned()
    } else {
        let drops = chat_results::Quantity::Ratio.show(outcome.drop_ratio);
        format!("{drops} dropped")
    }
}

fn why(standing: &Standing) -> Option<&str> {
    match standing {
        Standing::Stopped { why } | Standing::Wrong { why } => Some(why),
        _ => None,
    }
}

/// Tells what all intervals say together.
fn meaning(comparison: &Comparison) -> String {
    if comparison.decided_count == 0 {
        return "One server is compared with nobody.".to_owned();
    }
    let up_to = if comparison.is_interrupted {
        "up to "
    } else {
        ""
    };
    format!(
        "Ratios are to {}: medians of pairs of {up_to}{} rounds. All {} intervals hold together at {} %; where one has 1 in it, the servers are not distinguishable.",
        comparison.servers.first().map_or("nobody", |it| &it.name),
        comparison.rounds,
        comparison.decided_count,
        100.0 * comparison.confidence
    )
}

const SAME: &str = "not distinguishable";

/// Exit codes, as of a single run.
const EXIT_STOPPED: u8 = 1;
const EXIT_BROKEN: u8 = 3;
const EXIT_INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests;
