//! How far a run is, for who watches it.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::load::{Phase, Tick};
use crate::quantity::Quantity;
use crate::report::tell;

/// What is shown on standard error during a run: on a terminal lines that are redrawn in place, elsewhere a line now and then.
#[derive(Debug)]
pub(crate) enum Screen {
    /// Nothing is shown.
    Quiet,
    /// Lines that are redrawn, every [`REDRAW_INTERVAL`] at most.
    Terminal {
        bar: ProgressBar,
        /// When they were last drawn, if they stand there.
        drawn_at: Option<Instant>,
    },
    /// A line every [`LINE_INTERVAL`].
    Lines {
        /// When the last was printed, or the run began.
        told_at: Instant,
    },
}

impl Screen {
    /// Makes the screen of a run.
    pub(crate) fn new(is_quiet: bool) -> Self {
        if is_quiet {
            return Self::Quiet;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines { told_at: Instant::now() };
        }
        let bar = bar();
        // Some terminals cannot go back to what they have shown.
        if bar.is_hidden() { Self::Lines { told_at: Instant::now() } } else { Self::Terminal { bar, drawn_at: None } }
    }

    /// Shows how far it is.
    pub(crate) fn update(&mut self, iteration: u32, iterations: u32, tick: &Tick) {
        match self {
            Self::Quiet => {}
            Self::Terminal { bar, drawn_at } => {
                if drawn_at.is_none_or(|drawn_at| drawn_at.elapsed() >= REDRAW_INTERVAL) {
                    *drawn_at = Some(Instant::now());
                    bar.set_message(shown(iteration, iterations, tick, "\n"));
                }
            }
            Self::Lines { told_at } => {
                if told_at.elapsed() >= LINE_INTERVAL {
                    *told_at = Instant::now();
                    tell(shown(iteration, iterations, tick, ", "));
                }
            }
        }
    }

    /// Takes away what is redrawn, so that something is printed in its place. The next update but for a moment draws it again.
    pub(crate) fn aside<T>(&mut self, print: impl FnOnce() -> T) -> T {
        if let Self::Terminal { bar: drawn, drawn_at } = self
            && drawn_at.is_some()
        {
            drawn.finish_and_clear();
            (*drawn, *drawn_at) = (bar(), Some(Instant::now()));
        }
        print()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Terminal { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

/// Makes lines that can be redrawn.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is right"));
    bar
}

/// Returns the parts of what is shown with `separator` between them.
fn shown(iteration: u32, iterations: u32, tick: &Tick, separator: &str) -> String {
    let Tick { phase, count, lost, p99 } = tick;
    let phase = match phase {
        Phase::Join => "clients join",
        Phase::Load => "load",
        Phase::Close => "closing round",
        Phase::Leave => "clients leave",
    };
    let seconds = count.took.as_secs_f64();
    let rate = if seconds > 0.0 { count.delivered as f64 / seconds } else { 0.0 };
    let mut parts = vec![
        format!("iteration {iteration} out of {iterations}: {phase}, {seconds:.1} s"),
        format!("{} messages sent, {} deliveries, {}", count.sent, count.delivered, Quantity::Rate.show(rate)),
        format!("p99 {}, {lost} dropped", Quantity::Time.show(p99.as_secs_f64() * 1e6)),
    ];
    if count.unsent > 0 {
        parts.push(format!("{} could not be sent in time", count.unsent));
    }
    parts.join(separator)
}

/// How often the lines are redrawn at most. A judgement: what an eye can follow.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// How often a line is printed where nothing is redrawn. A judgement: a log of an hour has a few hundred.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Count;

    #[test]
    fn what_is_shown_tells_how_far_it_is() {
        let count = Count { sent: 1000, delivered: 5000, took: Duration::from_secs(2), unsent: 3, ..Count::default() };
        let tick = Tick { phase: Phase::Load, count, lost: 7, p99: Duration::from_micros(1500) };
        assert_eq!(
            shown(2, 5, &tick, ", "),
            "iteration 2 out of 5: load, 2.0 s, 1000 messages sent, 5000 deliveries, 2.5 K/s, p99 1.5 ms, 7 dropped, \
             3 could not be sent in time"
        );
    }
}
