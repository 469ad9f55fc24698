//! How a load went over time.

use chat_results::{Moment, Quantity, Timeline};
use maud::{Markup, html};

use crate::page::{Detail, Run, summary};
use crate::plot::{Frame, Scale, path};

/// Shows rate, latency, drops and memory over time, a picture for each run.
pub(crate) fn section(runs: &[Run<'_>], detail: Detail) -> Markup {
    let lasting = |run: &&Run<'_>| run.results.timeline.moments.len() >= MOMENT_COUNT_MIN;
    let runs: Vec<&Run<'_>> = runs.iter().filter(lasting).collect();
    if runs.is_empty() {
        return html! {};
    }
    html! {
        section #timeline aria-labelledby="timeline-title" {
            h2 #timeline-title { "Over time" }
            p { "The load from its beginning to its end, warm-up included. Repetitions follow one another without the time between them. A gap in the line of latency is time without a delivery." }
            @for (number, run) in runs.into_iter().enumerate() {
                @let timeline = run.results.timeline.at_most(SHOWN_COUNT_MAX);
                figure {
                    figcaption { span { (run.label()) span.load { (run.results.load()) } @if run.wrong().is_some() { " " strong.bad { "✗ wrong: these figures are void" } } } }
                    (picture(run, number, &timeline, "wide", 960.0))
                    (picture(run, number, &timeline, "narrow", 358.0))
                    @if detail < Detail::Least { (table(run, &run.results.timeline.at_most(ROW_COUNT_MAX))) }
                }
            }
        }
    }
}

/// One of the lines above each other.
struct Panel {
    name: &'static str,
    quantity: Quantity,
    is_log: bool,
    of: fn(&Moment) -> Option<f64>,
}

fn picture(run: &Run<'_>, number: usize, timeline: &Timeline, class: &str, width: f64) -> Markup {
    let panels: Vec<&Panel> = shown_panels(timeline).collect();
    let end_s = timeline.moments.last().map_or(0.0, |last| last.end_s);
    let height = PANEL_HEIGHT * panels.len() as f64 + AXIS_HEIGHT;
    let id = format!("timeline-{number}-{class}");
    html! {
        svg class=(format!("{class} c{}{}", run.colour, if run.wrong().is_some() { " wrong" } else { "" }))
            role="img" aria-labelledby=(format!("{id}-title {id}-desc")) viewBox=(format!("0 0 {width} {height}")) {
            title id=(format!("{id}-title")) { "The load on " (run.name) " over time" }
            desc id=(format!("{id}-desc")) { (description(timeline)) }
            @for (place, panel) in panels.iter().enumerate() {
                @let top = PANEL_HEIGHT * place as f64;
                @let is_last = place + 1 == panels.len();
                (draw(panel, timeline, Frame {
                    width,
                    height: top + PANEL_HEIGHT,
                    left: if width > 500.0 { 76.0 } else { 64.0 },
                    right: 20.0,
                    top: top + 26.0,
                    bottom: 8.0,
                }, end_s, is_last))
            }
        }
    }
}

fn draw(panel: &Panel, timeline: &Timeline, frame: Frame, end_s: f64, is_last: bool) -> Markup {
    let values = || timeline.moments.iter().filter_map(panel.of);
    let up = if panel.is_log {
        Scale::log(values())
    } else {
        Scale::linear(values())
    };
    let across = Scale::Linear {
        max: end_s.max(f64::MIN_POSITIVE),
    };
    // A moment is a step from its beginning to its end.
    let starts = std::iter::once(0.0).chain(timeline.moments.iter().map(|moment| moment.end_s));
    let points = timeline
        .moments
        .iter()
        .zip(starts)
        .flat_map(|(moment, start_s)| {
            let y = (panel.of)(moment).map(|value| frame.y(up.place(value)));
            let at = |time_s| y.map(|y| (frame.x(across.place(time_s)), y));
            [at(start_s), at(moment.end_s)]
        });
    let show = |value: f64| panel.quantity.show(value);
    html! {
        text.panel x=(frame.left) y=(frame.top - 10.0) { (panel.name) }
        (frame.rows(up, &up.end_ticks(), show))
        @if is_last {
            (frame.columns(across, |time_s| format!("{time_s:.3}").trim_end_matches('0').trim_end_matches('.').to_owned() + " s"))
        }
        path.line d=(path(points)) {}
    }
}

/// Returns the panels that have something to show.
fn shown_panels(timeline: &Timeline) -> impl Iterator<Item = &'static Panel> {
    PANELS.iter().filter(|panel| {
        timeline
            .moments
            .iter()
            .any(|moment| (panel.of)(moment).is_some())
    })
}

/// Tells in words what the picture shows.
fn description(timeline: &Timeline) -> String {
    let sentences = shown_panels(timeline).map(|panel| {
        let values = timeline.moments.iter().filter_map(panel.of);
        let (min, max) = values.fold((f64::MAX, 0.0_f64), |(min, max), value| {
            (min.min(value), max.max(value))
        });
        let show = |value| panel.quantity.show(value);
        format!("{}: from {} to {}.", panel.name, show(min), show(max))
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn table(run: &Run<'_>, timeline: &Timeline) -> Markup {
    let panels: Vec<&Panel> = shown_panels(timeline).collect();
    html! {
        details { (summary(&format!("{} over time, {}", run.name, run.results.load())))
            div.scroll tabindex="0" role="region" aria-label=(format!("{} over time", run.name)) { table {
                caption { span { bdi { (run.name) } " over time; the times are the ends of the intervals" } }
                thead { tr {
                    th.number scope="col" { "Time" }
                    @for panel in &panels { th.number scope="col" { (panel.name) } }
                } }
                tbody { @for moment in &timeline.moments { tr {
                    th.number scope="row" { (format!("{:.1} s", moment.end_s)) }
                    @for panel in &panels {
                        td.number { @match (panel.of)(moment) {
                            Some(value) => (run.figure(&panel.quantity.show(value))),
                            None => span.none { "—" },
                        } }
                    }
                } } }
            } }
        }
    }
}

const PANELS: [Panel; 4] = [
    Panel {
        name: "Deliveries per second",
        quantity: Quantity::Rate,
        is_log: false,
        of: |moment| Some(moment.deliveries_per_s),
    },
    Panel {
        name: "p99 of the latency",
        quantity: Quantity::Time,
        is_log: true,
        of: |moment| moment.p99_us,
    },
    Panel {
        name: "Deliveries found lost",
        quantity: Quantity::Count,
        is_log: false,
        of: |moment| Some(moment.dropped as f64),
    },
    Panel {
        name: "Memory of the server",
        quantity: Quantity::Memory,
        is_log: false,
        of: |moment| moment.rss_kib.map(|memory| memory as f64),
    },
];

/// With fewer moments there is no time to look at.
const MOMENT_COUNT_MIN: usize = 4;

/// How many moments a picture has at most, and its table: what the width of a screen shows, and
/// what a reader scrolls through.
const SHOWN_COUNT_MAX: usize = 240;
const ROW_COUNT_MAX: usize = 60;

const PANEL_HEIGHT: f64 = 110.0;
const AXIS_HEIGHT: f64 = 24.0;
