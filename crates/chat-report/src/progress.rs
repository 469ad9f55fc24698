//! How far a run is, for who watches it.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use chat_results::{Phase, Quantity, Tick};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::lines::tell;

/// What is shown on standard error during a run: on a terminal lines that are redrawn in place,
/// elsewhere a line now and then.
#[derive(Debug)]
pub struct Screen {
    /// What run it is, if there is more than one: it stands before everything.
    title: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Nothing is shown.
    Quiet,
    /// Lines that are redrawn, every [`REDRAW_INTERVAL`] at most.
    Terminal {
        bar: ProgressBar,
        /// When they were last drawn.
        drawn_at: Option<Instant>,
        /// Whether they stand there.
        is_shown: bool,
    },
    /// A line every [`LINE_INTERVAL`].
    Lines {
        /// When the last was printed, or the run began.
        told_at: Instant,
    },
}

impl Screen {
    /// Makes the screen of a run, on which nothing is ever shown.
    pub fn quiet() -> Self {
        Self {
            title: "",
            kind: Kind::Quiet,
        }
    }

    /// Makes the screen of a run, which has a title if there are others.
    pub fn new(title: &'static str) -> Self {
        let lines = Kind::Lines {
            told_at: Instant::now(),
        };
        if !io::stderr().is_terminal() {
            return Self { title, kind: lines };
        }
        let bar = bar();
        // Some terminals cannot go back to what they have shown.
        let kind = if bar.is_hidden() {
            lines
        } else {
            Kind::Terminal {
                bar,
                drawn_at: None,
                is_shown: false,
            }
        };
        Self { title, kind }
    }

    /// Shows what is waited for, where lines are redrawn.
    pub fn wait(&mut self, what: &'static str) {
        if let Kind::Terminal { bar, is_shown, .. } = &mut self.kind {
            bar.set_message(titled(self.title, what));
            *is_shown = true;
        }
    }

    /// Shows how far it is.
    pub fn update(&mut self, iteration: u32, iterations: u32, tick: &Tick) {
        match &mut self.kind {
            Kind::Quiet => {}
            Kind::Terminal {
                bar,
                drawn_at,
                is_shown,
            } => {
                if drawn_at.is_none_or(|drawn_at| drawn_at.elapsed() >= REDRAW_INTERVAL) {
                    (*drawn_at, *is_shown) = (Some(Instant::now()), true);
                    bar.set_message(titled(
                        self.title,
                        &shown(iteration, iterations, tick, "\n"),
                    ));
                }
            }
            Kind::Lines { told_at } => {
                if told_at.elapsed() >= LINE_INTERVAL {
                    *told_at = Instant::now();
                    tell(titled(
                        self.title,
                        &shown(iteration, iterations, tick, ", "),
                    ));
                }
            }
        }
    }

    /// Takes away what is redrawn, so that something is printed in its place. The next update but
    /// for a moment draws it again.
    pub fn aside<T>(&mut self, print: impl FnOnce() -> T) -> T {
        if let Kind::Terminal {
            bar: drawn,
            is_shown,
            ..
        } = &mut self.kind
            && std::mem::take(is_shown)
        {
            drawn.finish_and_clear();
            *drawn = bar();
        }
        print()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Kind::Terminal { bar, .. } = &self.kind {
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

/// Puts a title before a text, if there is one.
fn titled(title: &str, text: &str) -> String {
    if title.is_empty() {
        text.to_owned()
    } else {
        format!("{title}: {text}")
    }
}

/// Returns the parts of what is shown with `separator` between them.
fn shown(iteration: u32, iterations: u32, tick: &Tick, separator: &str) -> String {
    let Tick {
        phase,
        elapsed,
        open,
        count,
        lost,
        p99,
        ..
    } = tick;
    let phase = match phase {
        Phase::Join => {
            let seconds = elapsed.as_secs_f64();
            return format!(
                "iteration {iteration} out of {iterations}: clients join, {seconds:.1} s, {open} to come"
            );
        }
        Phase::Load => "load",
        Phase::Close => "closing round",
        Phase::Leave => "clients leave",
        Phase::Verdict => "looking for one order",
    };
    let seconds = count.took.as_secs_f64();
    let rate = if seconds > 0.0 {
        count.delivered as f64 / seconds
    } else {
        0.0
    };
    let mut parts = vec![
        format!("iteration {iteration} out of {iterations}: {phase}, {seconds:.1} s"),
        format!(
            "{} messages sent, {} deliveries, {}",
            count.sent,
            count.delivered,
            Quantity::Rate.show(rate)
        ),
        format!(
            "p99 {}, {lost} dropped",
            Quantity::Time.show(p99.as_secs_f64() * 1e6)
        ),
    ];
    if count.unsent > 0 {
        parts.push(format!("{} could not be sent in time", count.unsent));
    }
    parts.join(separator)
}

/// How often the lines are redrawn at most. A judgement: what an eye can follow.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// How often a line is printed where nothing is redrawn. A judgement: a log of an hour has a few
/// hundred.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use chat_results::Count;

    use super::*;

    #[test]
    fn what_is_shown_tells_how_far_it_is() {
        let count = Count {
            sent: 1000,
            delivered: 5000,
            took: Duration::from_secs(2),
            unsent: 3,
            ..Count::default()
        };
        let (elapsed, p99) = (Duration::from_secs(3), Duration::from_micros(1500));
        let tick = Tick {
            phase: Phase::Load,
            elapsed,
            open: 9,
            count,
            lost: 7,
            p99,
            p99_since: None,
        };
        assert_eq!(
            shown(2, 5, &tick, ", "),
            "iteration 2 out of 5: load, 2.0 s, 1000 messages sent, 5000 deliveries, 2.5 K/s, p99 1.5 ms, 7 dropped, \
             3 could not be sent in time"
        );
        let joining = Tick {
            phase: Phase::Join,
            ..tick
        };
        assert_eq!(
            shown(2, 5, &joining, ", "),
            "iteration 2 out of 5: clients join, 3.0 s, 9 to come"
        );
    }
}
