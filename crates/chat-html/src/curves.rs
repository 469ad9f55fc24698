//! Latencies by percentile.

use chat_results::{CurvePoint, Distribution, Quantity};
use maud::{Markup, html};

use crate::page::{Detail, Run, by_load, summary};
use crate::plot::{Frame, Scale, apart, nines, path, round};
use crate::text::clipped;

/// Shows how long deliveries took, up to the slowest ones.
pub(crate) fn section(runs: &[Run<'_>], detail: Detail) -> Markup {
    let has_curves = |run: &Run<'_>| !run.results.curves.is_empty();
    if !runs.iter().any(has_curves) {
        return html! {};
    }
    let loads = by_load(runs);
    html! {
        section #latency aria-labelledby="latency-title" {
            h2 #latency-title { "Latency" }
            p {
                "How long deliveries took, counted from when the message was due. Each step to the right is a tenth of the deliveries \
                 that are left, so the slowest ones have as much room as the others. Lower is better."
            }
            @for (number, load) in loads.iter().enumerate() {
                @if loads.len() > 1 { h3 { (load[0].results.load()) } }
                (figure(number, load, detail))
            }
        }
    }
}

/// Shows the curves of all runs of a load.
fn figure(number: usize, runs: &[Run<'_>], detail: Detail) -> Markup {
    let mut lines: Vec<Line<'_>> = runs.iter().flat_map(lines).collect();
    if lines.len() > LINE_COUNT_MAX {
        lines.retain(|line| !line.is_dashed);
    }
    if lines.is_empty() {
        return html! { p { "These runs have no curves." } };
    }
    html! {
        @if lines.iter().any(|line| line.is_dashed) {
            p { "Dashed lines are uncorrected: they count from when the message was really sent, and so hide the time in which nobody could send." }
        }
        figure {
            (picture(&lines, &WIDE, &format!("latency-{number}-wide"), "wide", 24))
            (picture(&lines, &NARROW, &format!("latency-{number}-narrow"), "narrow", 14))
            figcaption.unseen { "Latency of deliveries by percentile" }
            @if detail < Detail::Least { (table(&lines)) }
        }
    }
}

/// A curve of a run.
struct Line<'a> {
    run: &'a Run<'a>,
    name: String,
    is_dashed: bool,
    points: &'a [CurvePoint],
}

fn lines<'a>(run: &'a Run<'a>) -> Vec<Line<'a>> {
    let of = |distribution: Distribution, is_dashed, suffix: &str| {
        let points = run.results.curves.get(distribution.name())?;
        (!points.is_empty()).then(|| Line {
            run,
            name: format!("{}{suffix}", run.name),
            is_dashed,
            points: &points[..points.len().min(POINT_COUNT_MAX)],
        })
    };
    [
        of(Distribution::Delivery, false, ""),
        of(Distribution::Uncorrected, true, ", uncorrected"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn picture(lines: &[Line<'_>], frame: &Frame, id: &str, class: &str, name_len: usize) -> Markup {
    let points = || lines.iter().flat_map(|line| line.points);
    let reached = points().map(|point| nines(point.percentile));
    let across = Scale::Nines {
        count: (reached.fold(1.0, f64::max) - 1e-9).ceil(),
    };
    let up = Scale::log(points().map(|point| point.time_us));
    let ends = lines.iter().map(|line| {
        line.points
            .last()
            .map_or(0.0, |last| frame.y(up.place(last.time_us)))
    });
    let heights = apart(&ends.collect::<Vec<_>>(), 15.0, frame.height - frame.bottom);
    html! {
        svg class=(class) role="img" aria-labelledby=(format!("{id}-title {id}-desc")) viewBox=(format!("0 0 {} {}", frame.width, frame.height)) {
            title id=(format!("{id}-title")) { "Latency of deliveries by percentile" }
            desc id=(format!("{id}-desc")) { (description(lines)) }
            (frame.rows(up, &up.ticks(), |time| Quantity::Time.show(time)))
            (frame.columns(across, percent))
            text.axis x=(frame.left) y=(frame.top - 12.0) { "time of a delivery" }
            text.axis x=(frame.width - frame.right) y=(frame.height - 6.0) text-anchor="end" { "percentile of deliveries" }
            @for (line, height) in lines.iter().zip(heights) {
                @let place = |point: &CurvePoint| Some((frame.x(across.place(point.percentile)), frame.y(up.place(point.time_us))));
                g class=(format!("c{}{}{}", line.run.colour, if line.is_dashed { " dashed" } else { "" }, if line.run.wrong().is_some() { " wrong" } else { "" })) {
                    path.line d=(path(line.points.iter().map(place))) {}
                    @if let Some((x, y)) = line.points.last().and_then(place) {
                        circle.end cx=(round(x)) cy=(round(y)) r="3.5" {}
                        path.leader d=(format!("M{} {}L{} {}", round(x + 5.0), round(y), frame.width - frame.right + 8.0, round(height))) {}
                    }
                    text.series x=(frame.width - frame.right + 12.0) y=(round(height + 4.0)) { (clipped(&line.name.replace(", run ", " #"), name_len)) }
                }
            }
        }
    }
}

/// Tells in words what the picture shows.
fn description(lines: &[Line<'_>]) -> String {
    let sentences = lines.iter().map(|line| {
        let at = |percentile| Quantity::Time.show(at(line.points, percentile));
        let wrong = if line.run.wrong().is_some() {
            " (void: the server is wrong)"
        } else {
            ""
        };
        format!(
            "{}{wrong}: median {}, 99 % within {}.",
            line.name,
            at(50.0),
            at(99.0)
        )
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn table(lines: &[Line<'_>]) -> Markup {
    let reached = lines.iter().filter_map(|line| line.points.last());
    let max = reached.map(|point| point.percentile).fold(0.0, f64::max);
    let rows = PERCENTILES
        .into_iter()
        .filter(|percentile| *percentile <= max + 1e-9);
    let load = lines
        .first()
        .map(|line| line.run.results.load().to_string());
    html! {
        details { (summary(&format!("latency, {}", load.unwrap_or_default())))
            div.scroll tabindex="0" role="region" aria-label="Latency by percentile" { table {
                caption { span { "Latency of deliveries by percentile" } }
                thead { tr {
                    th.number scope="col" { "Percentile" }
                    @for line in lines { th.number scope="col" { bdi { (line.name) } } }
                } }
                tbody { @for percentile in rows { tr {
                    th.number scope="row" { (percent(percentile)) }
                    @for line in lines {
                        td.number { (line.run.figure(&Quantity::Time.show(at(line.points, percentile)))) }
                    }
                } } }
            } }
        }
    }
}

/// Returns the first value that is not below a percentile, or the largest.
fn at(points: &[CurvePoint], percentile: f64) -> f64 {
    let reached = points
        .iter()
        .find(|point| point.percentile >= percentile - 1e-9);
    reached.or(points.last()).map_or(0.0, |point| point.time_us)
}

fn percent(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The rows of the table.
const PERCENTILES: [f64; 9] = [0.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999];

/// With more lines, those without correction are left out: the table of a file has them.
const LINE_COUNT_MAX: usize = 6;

/// How many points a curve may have, whatever a file has.
const POINT_COUNT_MAX: usize = 200;

const WIDE: Frame = Frame::wide(400.0);

const NARROW: Frame = Frame::narrow(320.0);
