//! Figures side by side: speed, cost, memory, drops and isolation.

use chat_results::{Quantity, Results};
use maud::{Markup, html};

use crate::page::{Run, by_load};
use crate::plot::round;
use crate::setting::load_in_words;

/// Shows each figure as a table with a bar for each server.
pub(crate) fn section(runs: &[Run<'_>]) -> Markup {
    if runs.is_empty() {
        return html! {};
    }
    let loads = by_load(runs);
    html! {
        section #figures aria-labelledby="figures-title" {
            h2 #figures-title { "Speed, cost and drops" }
            p { "Bars begin at zero and share the scale of their table. Where a server has several runs of a load, the bar is their median and the whisker goes from the lowest to the highest." }
            @for load in &loads {
                @if loads.len() > 1 { h3 { (load_in_words(load[0].results.load())) } }
                div.figures {
                    @for figure in FIGURES.iter().filter(|figure| load.iter().any(|run| (figure.of)(run.results).is_some())) {
                        (table(figure, &groups(figure, load)))
                    }
                }
            }
        }
    }
}

/// A figure that every run has.
struct Figure {
    name: &'static str,
    better: &'static str,
    quantity: Quantity,
    /// Whether 1 is the mark to look at, as for ratios.
    has_mark: bool,
    of: fn(&Results) -> Option<f64>,
}

/// What one server reached.
struct Group<'a> {
    run: &'a Run<'a>,
    value: f64,
    /// The lowest and the highest of its files, if there is more than one.
    span: Option<(f64, f64)>,
    count: usize,
    is_wrong: bool,
}

/// Puts the runs of one server together, which are of one load: their median and span are shown.
fn groups<'a>(figure: &Figure, runs: &'a [Run<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<(&Run<'_>, Vec<f64>, bool)> = Vec::new();
    for run in runs {
        let Some(value) = (figure.of)(run.results) else {
            continue;
        };
        let is_wrong = run.wrong().is_some();
        match groups
            .iter_mut()
            .find(|(first, ..)| first.results.asked.server == run.results.asked.server)
        {
            Some((_, values, was_wrong)) => {
                values.push(value);
                *was_wrong |= is_wrong;
            }
            None => groups.push((run, vec![value], is_wrong)),
        }
    }
    let groups = groups.into_iter().map(|(run, mut values, is_wrong)| {
        values.sort_by(f64::total_cmp);
        let (count, middle) = (values.len(), values.len() / 2);
        Group {
            run,
            value: if count % 2 == 1 {
                values[middle]
            } else {
                f64::midpoint(values[middle - 1], values[middle])
            },
            span: (count > 1).then(|| (values[0], values[count - 1])),
            count,
            is_wrong,
        }
    });
    groups.collect()
}

fn table(figure: &Figure, groups: &[Group<'_>]) -> Markup {
    let highest = groups
        .iter()
        .map(|group| group.span.map_or(group.value, |(_, high)| high));
    let max = highest.fold(if figure.has_mark { 1.0 } else { 0.0 }, f64::max);
    let has_spans = groups.iter().any(|group| group.span.is_some());
    html! {
        table.bars role="table" {
            caption { strong { (figure.name) } " — " (figure.better) }
            thead.unseen role="rowgroup" { tr role="row" {
                th scope="col" role="columnheader" { "Server" } th scope="col" role="columnheader" { "Value" }
                @if has_spans { th scope="col" role="columnheader" { "Lowest to highest" } }
                td {}
            } }
            tbody role="rowgroup" { @for group in groups { tr role="row" {
                th scope="row" role="rowheader" { (group.run.label()) }
                td.number role="cell" { (value(figure, group)) }
                @if has_spans { td.span role="cell" { (span(figure, group)) } }
                td.bar aria-hidden="true" { (bar(figure, group, max)) }
            } } }
        }
    }
}

fn value(figure: &Figure, group: &Group<'_>) -> Markup {
    let text = show(figure, group.value);
    html! {
        @if group.is_wrong { s { (text) } span.unseen { " (void: the server is wrong)" } } @else { (text) }
    }
}

fn show(figure: &Figure, value: f64) -> String {
    if figure.has_mark {
        format!("{value:.2}×")
    } else {
        figure.quantity.show(value)
    }
}

fn span(figure: &Figure, group: &Group<'_>) -> Markup {
    html! { @if let Some((low, high)) = group.span {
        (show(figure, low)) " to " (show(figure, high)) ", " (group.count) " runs"
    } }
}

/// Draws a bar, with a whisker from the lowest to the highest.
fn bar(figure: &Figure, group: &Group<'_>, max: f64) -> Markup {
    let place = |value: f64| {
        if max > 0.0 {
            round(100.0 * value / max)
        } else {
            0.0
        }
    };
    html! {
        svg class=(format!("c{}{}", group.run.colour, if group.is_wrong { " wrong" } else { "" })) viewBox="0 0 100 20" preserveAspectRatio="none" {
            rect.track x="0" y="3" width="100" height="14" {}
            rect.value x="0" y="3" width=(place(group.value)) height="14" {}
            @if figure.has_mark { path.one d=(format!("M{} 0v20", place(1.0))) {} }
            @if let Some((low, high)) = group.span.filter(|(low, high)| low < high) {
                path.whisker d=(format!("M{0} 6v8M{0} 10H{1}M{1} 6v8", place(low), place(high))) {}
            }
        }
    }
}

/// Returns the memory that the server took in the load beyond that before it, for each connection.
fn memory_per_client(results: &Results) -> Option<f64> {
    let server = results.server?;
    let clients = results.load().connection_count_max();
    let memory = server.rss_peak_kib.saturating_sub(server.rss_before_kib);
    (clients > 0).then(|| memory as f64 / clients as f64)
}

const FIGURES: [Figure; 8] = [
    Figure {
        name: "Deliveries per second",
        better: "more is better, unless there was a schedule",
        quantity: Quantity::Rate,
        has_mark: false,
        of: |results| (results.counts.delivered > 0).then_some(results.counts.deliveries_per_s),
    },
    Figure {
        name: "Processor time per delivery",
        better: "of the server; less is better",
        quantity: Quantity::Effort,
        has_mark: false,
        of: |results| results.server?.cpu_us_per_delivery,
    },
    Figure {
        name: "Memory per client",
        better: "most resident memory beyond that before the first client, log and buffers included; less is better",
        quantity: Quantity::Memory,
        has_mark: false,
        of: memory_per_client,
    },
    Figure {
        name: "Dropped",
        better: "deliveries proved lost, of all that were due; less is better",
        quantity: Quantity::Ratio,
        has_mark: false,
        of: |results| (results.counts.sent > 0).then_some(results.drops.rate),
    },
    Figure {
        name: "Isolation: deliveries",
        better: "with stalled, slow and visiting clients, as a multiple of without; 1× is perfect",
        quantity: Quantity::Ratio,
        has_mark: true,
        of: |results| results.isolation?.deliveries,
    },
    Figure {
        name: "Isolation: p99",
        better: "with such clients, as a multiple of without; 1× is perfect, less is better",
        quantity: Quantity::Ratio,
        has_mark: true,
        of: |results| results.isolation?.p99,
    },
    Figure {
        name: "Isolation: processor time",
        better: "with such clients, as a multiple of without; 1× is perfect, less is better",
        quantity: Quantity::Ratio,
        has_mark: true,
        of: |results| results.isolation?.cpu,
    },
    Figure {
        name: "Isolation: memory",
        better: "with such clients, as a multiple of without; 1× is perfect, less is better",
        quantity: Quantity::Ratio,
        has_mark: true,
        of: |results| results.isolation?.rss,
    },
];
