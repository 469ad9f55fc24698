//! Figures side by side: speed, cost, memory, drops and isolation.

use chat_results::statistics::median;
use chat_results::{Quantity, Results};
use maud::{Markup, html};

use crate::bars::{Bar, BarTable};
use crate::page::{Run, by_load};

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
                @if loads.len() > 1 { h3 { (load[0].results.load()) } }
                div.figures {
                    @for figure in FIGURES.iter().filter(|figure| load.iter().any(|run| (figure.of)(run.results).is_some())) {
                        (figure.table(load))
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

impl Figure {
    /// Puts the runs of one server together, which are of one load: their median and span are
    /// shown.
    fn table(&self, runs: &[Run<'_>]) -> Markup {
        let mut servers: Vec<(&Run<'_>, Vec<f64>, bool)> = Vec::new();
        for run in runs {
            let Some(value) = (self.of)(run.results) else {
                continue;
            };
            let is_wrong = run.wrong().is_some();
            let server = &run.results.asked.server;
            match servers
                .iter_mut()
                .find(|(first, ..)| first.results.asked.server == *server)
            {
                Some((_, values, was_wrong)) => {
                    values.push(value);
                    *was_wrong |= is_wrong;
                }
                None => servers.push((run, vec![value], is_wrong)),
            }
        }
        let bars = servers.into_iter().map(|(run, values, is_wrong)| {
            let is_repeated = values.len() > 1;
            let low = values.iter().copied().fold(f64::MAX, f64::min);
            let high = values.iter().copied().fold(0.0, f64::max);
            Bar {
                label: run.label(),
                colour: run.colour,
                value: median(&values).unwrap_or_default(),
                span: is_repeated.then_some((low, high)),
                remark: if is_repeated {
                    format!("{} runs", values.len())
                } else {
                    String::new()
                },
                is_wrong,
            }
        });
        let table = BarTable {
            name: self.name,
            about: self.better,
            quantity: self.quantity,
            is_multiple: self.has_mark,
            bars: bars.collect(),
        };
        table.render()
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
