//! The points of a sweep: throughput against latency.

use chat_results::Quantity;
use chat_results::comparison::{Comparison, Figure, Standing, SweepPoint, Workload};
use maud::{Markup, html};

use crate::page::{COLOUR_COUNT, summary};
use crate::plot::{Frame, Scale, apart, path, round};
use crate::text::clipped;

/// Shows how latency grows with throughput, if the comparison has a sweep; the bars above have the
/// figures of each point.
pub(crate) fn picture(number: usize, comparison: &Comparison) -> Markup {
    let lines = lines(comparison);
    if lines.iter().all(|line| line.points.len() < 2) {
        return html! {};
    }
    html! {
        h3 { "Throughput and latency" }
        p {
            "A dot for each point of the sweep, joined in their order: how much each server delivered, and how late. Further right and \
             lower is better. The bars below have the figures."
        }
        figure {
            (draw(&lines, &WIDE, &format!("sweep-{number}-wide"), "wide", 24))
            (draw(&lines, &NARROW, &format!("sweep-{number}-narrow"), "narrow", 14))
            figcaption.unseen { "p99 of the latency by deliveries per second" }
            (table(&lines))
        }
    }
}

/// What a server reached at the points of a sweep.
struct Line {
    name: String,
    colour: usize,
    is_wrong: bool,
    points: Vec<Point>,
}

struct Point {
    name: String,
    deliveries_per_s: f64,
    p99_us: f64,
}

fn lines(comparison: &Comparison) -> Vec<Line> {
    let points = || {
        comparison
            .workloads
            .iter()
            .filter(|workload| workload.sweep.is_some())
    };
    // A picture is of one placement: that of the first point.
    let first = points().next().map(|workload| workload.placement);
    let points = || points().filter(|workload| Some(workload.placement) == first);
    let servers = comparison.servers.iter().enumerate().take(COLOUR_COUNT);
    let lines = servers.map(|(place, contender)| {
        let outcomes = || points().filter_map(|workload| workload.outcomes.get(place));
        Line {
            name: contender.name.clone(),
            colour: place,
            is_wrong: outcomes().any(|it| matches!(it.standing, Standing::Wrong { .. })),
            points: points()
                .take(POINT_COUNT_MAX)
                .filter_map(|workload| point(workload, place))
                .collect(),
        }
    });
    lines.collect()
}

fn point(workload: &Workload, place: usize) -> Option<Point> {
    let medians = &workload.outcomes.get(place)?.medians;
    let name = match workload.sweep? {
        SweepPoint::Window(window) => format!("{window} in flight"),
        SweepPoint::Rate(rate) => format!("{rate} messages per second"),
    };
    Some(Point {
        name,
        deliveries_per_s: medians.get(&Figure::Deliveries)?.value,
        p99_us: medians.get(&Figure::P99)?.value,
    })
}

fn draw(lines: &[Line], frame: &Frame, id: &str, class: &str, name_len: usize) -> Markup {
    let points = || lines.iter().flat_map(|line| &line.points);
    let across = Scale::linear(points().map(|point| point.deliveries_per_s));
    let up = Scale::log(points().map(|point| point.p99_us));
    let place = |point: &Point| {
        (
            frame.x(across.place(point.deliveries_per_s)),
            frame.y(up.place(point.p99_us)),
        )
    };
    let ends = lines
        .iter()
        .map(|line| line.points.last().map_or(0.0, |last| place(last).1));
    let heights = apart(&ends.collect::<Vec<_>>(), 15.0, frame.height - frame.bottom);
    html! {
        svg class=(class) role="img" aria-labelledby=(format!("{id}-title {id}-desc")) viewBox=(format!("0 0 {} {}", frame.width, frame.height)) {
            title id=(format!("{id}-title")) { "p99 of the latency by deliveries per second" }
            desc id=(format!("{id}-desc")) { (description(lines)) }
            (frame.rows(up, &up.ticks(), |time| Quantity::Time.show(time)))
            (frame.columns(across, |rate| Quantity::Rate.show(rate)))
            text.axis x=(frame.left) y=(frame.top - 12.0) { "p99 of a delivery" }
            text.axis x=(frame.width - frame.right) y=(frame.height - 6.0) text-anchor="end" { "deliveries per second" }
            @for (line, height) in lines.iter().zip(heights).filter(|(line, _)| !line.points.is_empty()) {
                g class=(format!("c{}{}", line.colour, if line.is_wrong { " wrong" } else { "" })) {
                    path.line d=(path(line.points.iter().map(|point| Some(place(point))))) {}
                    @for point in &line.points {
                        @let (x, y) = place(point);
                        circle.end cx=(round(x)) cy=(round(y)) r="3.5" {}
                    }
                    @if let Some((x, y)) = line.points.last().map(place) {
                        path.leader d=(format!("M{} {}L{} {}", round(x + 5.0), round(y), frame.width - frame.right + 8.0, round(height))) {}
                    }
                    text.series x=(frame.width - frame.right + 12.0) y=(round(height + 4.0)) { (clipped(&line.name, name_len)) }
                }
            }
        }
    }
}

/// Tells in words what the picture shows.
fn description(lines: &[Line]) -> String {
    let sentences = lines.iter().filter_map(|line| {
        let last = line.points.last()?;
        let wrong = if line.is_wrong {
            " (void: the server is wrong)"
        } else {
            ""
        };
        Some(format!(
            "{}{wrong}: {} at {} and a p99 of {}.",
            clipped(&line.name, NAME_LEN_MAX),
            last.name,
            Quantity::Rate.show(last.deliveries_per_s),
            Quantity::Time.show(last.p99_us)
        ))
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn table(lines: &[Line]) -> Markup {
    html! {
        details { (summary("throughput and latency"))
            div.scroll tabindex="0" role="region" aria-label="Throughput and latency" { table {
                caption { span { "Deliveries per second, and the p99 of their latency" } }
                thead { tr {
                    th scope="col" { "Server" } th scope="col" { "Point" }
                    th.number scope="col" { "Deliveries" } th.number scope="col" { "p99" }
                } }
                tbody { @for line in lines { @for point in &line.points { tr {
                    th scope="row" { bdi { (clipped(&line.name, NAME_LEN_MAX)) } @if line.is_wrong { strong.bad { " ✗ wrong" } } }
                    td { (point.name) }
                    td.number { (figure(line, &Quantity::Rate.show(point.deliveries_per_s))) }
                    td.number { (figure(line, &Quantity::Time.show(point.p99_us))) }
                } } } }
            } }
        }
    }
}

fn figure(line: &Line, text: &str) -> Markup {
    html! { @if line.is_wrong { s { (text) } } @else { (text) } }
}

/// How many points a line has at most, whatever a file has.
const POINT_COUNT_MAX: usize = 24;
const NAME_LEN_MAX: usize = 40;

const WIDE: Frame = Frame::wide(360.0);

const NARROW: Frame = Frame::narrow(300.0);
