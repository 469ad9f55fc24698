//! The most important figures of all servers.

use chat_results::{Distribution, Order, Quantity, Verdict};
use maud::{Markup, html};

use crate::page::{Conformed, Run, by_load};
use crate::text::{STORY_LEN_MAX, shown};

/// Shows all runs and reports in a table each.
pub(crate) fn section(runs: &[Run<'_>], conformances: &[Conformed<'_>]) -> Markup {
    html! {
        section #glance aria-labelledby="glance-title" {
            h2 #glance-title { "At a glance" }
            @if runs.is_empty() && conformances.is_empty() { p { "There is nothing to show." } }
            @for conformed in conformances { (conformance(conformed)) }
            @if !runs.is_empty() { (table(runs)) }
            @for run in runs { (verdict(run)) }
        }
    }
}

fn conformance(conformed: &Conformed<'_>) -> Markup {
    let report = conformed.report;
    let count = |outcome| {
        report
            .cases
            .iter()
            .filter(|case| case.outcome == outcome)
            .count()
    };
    let (class, word) = if report.passed {
        ("good", "✓ conforms")
    } else {
        ("bad", "✗ does not conform")
    };
    html! {
        p {
            strong { bdi { (conformed.name) } } ": "
            strong class=(class) { (word) }
            ". " (count("passed")) " cases passed, " (count("failed")) " failed, " (count("skipped")) " were skipped."
        }
    }
}

fn table(runs: &[Run<'_>]) -> Markup {
    let loads = by_load(runs);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Figures of all servers" {
            table {
                caption { span { "What was found. Times are those of deliveries, counted from when the message was due." } }
                thead { tr {
                    th scope="col" { "Server" } th scope="col" { "Verdict" } th scope="col" { "Order" }
                    th.number scope="col" { "Deliveries" } th.number scope="col" { "Median" }
                    th.number scope="col" { "p99" } th.number scope="col" { "Processor" }
                    th.number scope="col" { "Memory, peak" } th.number scope="col" { "Dropped" }
                } }
                @for load in &loads {
                    tbody {
                        @if loads.len() > 1 { tr.rule { th colspan="9" scope="rowgroup" { span { (load[0].results.load()) } } } }
                        @for run in load { (row(run)) }
                    }
                }
            }
        }
    }
}

fn row(run: &Run<'_>) -> Markup {
    let results = run.results;
    let delivery = results.latency[Distribution::Delivery];
    let figure = |quantity: Quantity, value: Option<f64>| match value {
        Some(value) => run.figure(&quantity.show(value)),
        None => html! { span.none { "—" } },
    };
    let server = results.server;
    html! {
        tr {
            th scope="row" { (run.label()) }
            td { (verdict_word(run)) }
            td { (order_word(&results.order)) }
            td.number { (figure(Quantity::Rate, Some(results.counts.deliveries_per_s))) }
            td.number { (figure(Quantity::Time, delivery.map(|times| times.p50))) }
            td.number { (figure(Quantity::Time, delivery.map(|times| times.p99))) }
            td.number { (figure(Quantity::Effort, server.and_then(|it| it.cpu_us_per_delivery))) }
            td.number { (figure(Quantity::Memory, server.map(|it| it.rss_peak_kib as f64))) }
            td.number { (figure(Quantity::Ratio, Some(results.drops.rate))) }
        }
    }
}

fn verdict_word(run: &Run<'_>) -> Markup {
    let (class, word) = match &run.results.verdict {
        _ if run.wrong().is_some() => ("bad", "✗ wrong"),
        Verdict::Passed => ("good", "✓ passed"),
        Verdict::Inconclusive { .. } => ("unsure", "? inconclusive"),
        Verdict::Failed { .. } => ("bad", "✗ failed"),
        Verdict::Broken { .. } => ("bad", "✗ wrong"),
        Verdict::Stopped { .. } => ("bad", "■ stopped"),
        Verdict::Interrupted => ("unsure", "■ interrupted"),
    };
    html! { strong class=(class) { (word) } }
}

fn order_word(order: &Order) -> &'static str {
    match order {
        Order::Proved { .. } => "proved",
        Order::PartlyChecked => "partly checked",
        Order::Unchecked => "not checked",
        Order::Broken { .. } => "broken",
    }
}

/// Tells why a verdict is no plain pass.
fn verdict(run: &Run<'_>) -> Markup {
    let why = match &run.results.verdict {
        _ if run.wrong().is_some() => run.wrong().into_iter().collect(),
        Verdict::Inconclusive { why } | Verdict::Stopped { why } => vec![why.clone()],
        Verdict::Failed { why } => why.clone(),
        Verdict::Interrupted => {
            vec!["A signal ended the run; the figures are true until then.".to_owned()]
        }
        _ => Vec::new(),
    };
    html! {
        @for why in why {
            p.why { (run.label()) ": " (verdict_word(run)) " — " (shown(&why, STORY_LEN_MAX)) }
        }
    }
}
