//! A comparison of servers: each workload with its figures, intervals and ratios.

use chat_results::Quantity;
use chat_results::comparison::{Comparison, Figure, Outcome, Placement, Standing, Workload};
use chat_results::statistics::Estimate;
use maud::{Markup, html};

use crate::bars::{Bar, BarTable};
use crate::page::{COLOUR_COUNT, label};
use crate::setting::environment;
use crate::sweep;
use crate::text::{COMMAND_LEN_MAX, STORY_LEN_MAX, clipped, shown};

/// Shows all workloads of a comparison, which is one of several on a page.
pub(crate) fn section(number: usize, comparison: &Comparison) -> Markup {
    html! {
        section.comparison aria-label="Comparison" {
            h2 { "Comparison" }
            p {
                "Each bar is the median of " @if comparison.is_interrupted { "up to " } (comparison.rounds) " rounds in which the servers took turns; its whisker is the interval of that \
                 median at a confidence of " (percent(comparison.confidence)) ". A server is compared with the first by pairs of one round. The \
                 intervals of these ratios hold together at a confidence of " (percent(comparison.confidence)) ", each at one of "
                (percent(comparison.interval_confidence)) "; where one has 1 in it, the servers are not distinguishable."
                @if comparison.is_interrupted { strong.unsure { " A signal ended it early: rounds are missing." } }
            }
            (sweep::picture(number, comparison))
            @for workload in comparison.workloads.iter().take(WORKLOAD_COUNT_MAX) { (show(comparison, workload)) }
            h3 { "Servers that were compared" }
            dl { @for contender in comparison.servers.iter().take(SERVER_COUNT_MAX) {
                dt { bdi { (clipped(&contender.name, NAME_LEN_MAX)) } }
                dd {
                    code { (shown(&contender.command.join(" "), COMMAND_LEN_MAX)) } " (" (clipped(&contender.protocol, NAME_LEN_MAX)) ")"
                    @if !contender.settings.is_empty() { ul {
                        @for setting in contender.settings.iter().take(SETTING_COUNT_MAX) { li { (shown(setting, COMMAND_LEN_MAX)) } }
                    } }
                }
            }
            @for (name, value) in environment(&comparison.environment) {
                @if !value.is_empty() { dt { (name) } dd { (shown(&value, COMMAND_LEN_MAX)) } }
            } }
        }
    }
}

fn show(comparison: &Comparison, workload: &Workload) -> Markup {
    let rows = || {
        let names = comparison
            .servers
            .iter()
            .map(|contender| contender.name.as_str());
        names
            .zip(&workload.outcomes)
            .enumerate()
            .take(SERVER_COUNT_MAX)
    };
    let place = match workload.placement {
        Placement::AllProcessors => "on all processors",
        Placement::OneProcessor => "on one processor",
    };
    let has = |figure| {
        workload
            .outcomes
            .iter()
            .any(|outcome| outcome.medians.contains_key(&figure))
    };
    html! {
        h3 { (clipped(&workload.name, NAME_LEN_MAX)) ", " (place) }
        p { (shown(&workload.about, STORY_LEN_MAX)) " " span.none { (workload.load) "." } }
        @for concern in workload.concerns.iter().take(SETTING_COUNT_MAX) {
            p.why { strong.unsure { "? uncertain" } " — " (shown(concern, STORY_LEN_MAX)) }
        }
        ul.standings { @for (place, (name, outcome)) in rows() {
            li { (server(place, name)) ": " (standing(&outcome.standing))
                @if !outcome.medians.is_empty() { ", " span.whole { "dropped " (Quantity::Ratio.show(outcome.drop_ratio)) } }
            }
        } }
        div.figures { @for figure in Figure::ALL.into_iter().filter(|figure| has(*figure)) {
            @let bars = rows().filter_map(|(place, (name, outcome))| bar(figure, workload, place, name, outcome));
            (table(figure, bars.collect()))
        } }
    }
}

fn table(figure: Figure, bars: Vec<Bar>) -> Markup {
    let table = BarTable {
        name: figure.title(),
        about: if figure.is_better_higher() {
            "more is better"
        } else {
            "less is better"
        },
        quantity: figure.quantity(),
        is_multiple: false,
        bars,
    };
    table.render()
}

fn bar(
    figure: Figure,
    workload: &Workload,
    place: usize,
    name: &str,
    outcome: &Outcome,
) -> Option<Bar> {
    let median = outcome.medians.get(&figure)?;
    let is_wrong = matches!(outcome.standing, Standing::Wrong { .. });
    // It is of no use to know how much faster a wrong server is, and where nothing is decided a ratio would
    // look as if there were a difference.
    let is_told = !is_wrong && workload.decided.contains(&figure);
    let ratio = outcome.ratios.get(&figure).filter(|_| is_told);
    Some(Bar {
        label: server(place, name),
        colour: place % COLOUR_COUNT,
        value: median.value,
        span: median
            .interval
            .map(|interval| (interval.low, interval.high)),
        remark: ratio.map(ratio_in_words).unwrap_or_default(),
        is_wrong,
    })
}

/// Tells how a server compares with the first, and whether the difference is real.
fn ratio_in_words(ratio: &Estimate) -> String {
    let interval = ratio
        .interval
        .map(|it| format!(" ({:.2} to {:.2})", it.low, it.high));
    let text = format!(
        "{:.2}×{} the first",
        ratio.value,
        interval.unwrap_or_default()
    );
    if ratio.is_distinguishable() {
        text
    } else {
        format!("{text}: not distinguishable")
    }
}

fn server(place: usize, name: &str) -> Markup {
    label(&clipped(name, NAME_LEN_MAX), place % COLOUR_COUNT)
}

fn standing(standing: &Standing) -> Markup {
    let (class, word, why) = match standing {
        Standing::Proved => ("good", "✓ order proved", ""),
        Standing::Unproved => ("unsure", "? not all was checked", ""),
        Standing::NotRun => ("none", "– not run", ""),
        Standing::Stopped { why } => ("bad", "■ stopped", why.as_str()),
        Standing::Wrong { why } => ("bad", "✗ wrong", why.as_str()),
    };
    html! { strong class=(class) { (word) } @if !why.is_empty() { " — " (shown(why, STORY_LEN_MAX)) } }
}

fn percent(part: f64) -> String {
    let text = format!("{:.3}", 100.0 * part);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Bounds of a page, whatever a file has. Judgements.
const WORKLOAD_COUNT_MAX: usize = 24;
const SERVER_COUNT_MAX: usize = 8;
const SETTING_COUNT_MAX: usize = 12;
const NAME_LEN_MAX: usize = 40;
