//! What is worse than it was, and what cannot be compared.

use crate::distribution::{Distribution, Summary};
use crate::load::Load;
use crate::results::{Repetition, Results};
use crate::statistics::{each_of, independent_ratio};
use crate::units::Quantity;

/// Tells of each figure that is worse than it was, in a sentence. See [`compare`].
pub fn regressions(then: &Results, now: &Results, noise: f64) -> Vec<String> {
    let compared = compare(then, now, noise).into_iter();
    let worse = compared.filter(|it| it.change == Change::Worse);
    worse.map(|it| it.told).collect()
}

/// Compares the figures of a run with those of an earlier one.
///
/// Where both have repetitions enough, a figure has changed when the interval of the ratio of the two is
/// beyond `noise`, a part of what it was, as a whole. All intervals hold together at
/// [`CONFIDENCE`], so of 40 comparisons of a server with itself at most one is a false alarm, as long as the machine
/// has not changed by more than `noise`. Without repetitions, nobody knows how much the figures differ from run to
/// run, and only what is beyond [`SINGLE_FACTOR`] has changed. Memory is a single figure in either
/// case, and below a resolution, no figure has changed.
///
/// Drop rates are compared by their difference, which may be a percentage point: what they were is
/// often zero.
pub fn compare(then: &Results, now: &Results, noise: f64) -> Vec<Compared> {
    let mut compared: Vec<_> = FIGURES
        .iter()
        .filter_map(|figure| figure.compare(then, now, noise))
        .collect();
    let (then, now) = (then.drops.rate, now.drops.rate);
    let [shown_then, shown_now] = [then, now].map(|rate| Quantity::Ratio.show(rate));
    // A difference that is just the noise is often a little more, as floating-point numbers are.
    compared.push(if now - then > DROP_RATE_NOISE + f64::EPSILON {
        Compared {
            change: Change::Worse,
            told: format!("the drop rate rose from {shown_then} to {shown_now}"),
        }
    } else {
        Compared {
            change: Change::None,
            told: format!("the drop rate was {shown_then} and is {shown_now}"),
        }
    });
    compared
}

/// How a figure compares with an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// How it has changed.
    pub change: Change,
    /// The same in a sentence.
    pub told: String,
}

/// How a figure has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is better.
    Better,
    /// It is not distinguishable from what it was.
    None,
    /// It is worse.
    Worse,
}

/// Tells by what two loads differ, so that the results of neither can be worse than those of the
/// other, if they do.
///
/// Another server is no difference, for comparing servers is what this is for, nor is another seed.
pub fn difference(then: &Load, now: &Load) -> Option<String> {
    let [then, now] = [then, now].map(differing_parts);
    let differences: Vec<_> = then
        .iter()
        .zip(&now)
        .filter(|((_, then), (_, now))| then != now)
        .map(|((what, then), (_, now))| format!("{what} was {then} and is {now}"))
        .collect();
    (!differences.is_empty()).then(|| differences.join(", "))
}

/// Reads a noise margin in percent and returns it as a part, for [`regressions`].
pub fn noise_from_percent(text: &str) -> Result<f64, NoiseError> {
    let percent: f64 = text
        .strip_suffix('%')
        .unwrap_or(text)
        .trim_end()
        .parse()
        .map_err(|_| NoiseError)?;
    if (0.0..=NOISE_PERCENT_MAX).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err(NoiseError)
    }
}

/// A text is no noise margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a noise margin is a number of percent from 0 to {NOISE_PERCENT_MAX}")]
pub struct NoiseError;

/// A figure that is compared.
struct Figure {
    name: &'static str,
    quantity: Quantity,
    better: Better,
    find: fn(&Results) -> Option<f64>,
    /// The same of one repetition, if it has it.
    sample: fn(&Repetition) -> Option<f64>,
    /// By how much it changes at least; less is below what can be measured.
    resolution: f64,
}

impl Figure {
    fn compare(&self, then: &Results, now: &Results, noise: f64) -> Option<Compared> {
        let Self { name, quantity, .. } = self;
        // There is no part of nothing.
        let was = (self.find)(then).filter(|&then| then > 0.0)?;
        let Some(is) = (self.find)(now).filter(|now| now.is_finite()) else {
            // It took less than can be measured.
            let is_below = *quantity == Quantity::Effort;
            return Some(Compared {
                change: if is_below {
                    Change::None
                } else {
                    Change::Worse
                },
                told: format!("{name} was {} and was not measured now", quantity.show(was)),
            });
        };
        let change = self.change(then, now, [was, is], noise);
        let [shown_was, shown_is] = [was, is].map(|value| quantity.show(value));
        let told = match change {
            Change::None => {
                format!("{name} was {shown_was} and is {shown_is}: not distinguishable")
            }
            _ => format!(
                "{name} {} from {shown_was} to {shown_is} ({})",
                if is > was { "rose" } else { "fell" },
                times(is / was)
            ),
        };
        Some(Compared { change, told })
    }

    fn change(&self, then: &Results, now: &Results, [was, is]: [f64; 2], noise: f64) -> Change {
        if (is - was).abs() < self.resolution {
            return Change::None;
        }
        let samples = |results: &Results| -> Vec<f64> {
            results.samples.iter().filter_map(self.sample).collect()
        };
        let (firsts, others) = (samples(then), samples(now));
        let confidence = each_of(FIGURES.len(), CONFIDENCE);
        let interval =
            independent_ratio(&firsts, &others, confidence).and_then(|estimate| estimate.interval);
        let (low, high, noise) = match interval {
            Some(interval) => (interval.low, interval.high, noise),
            None if self.quantity == Quantity::Memory => (is / was, is / was, noise),
            None => (is / was, is / was, noise.max(SINGLE_FACTOR - 1.0)),
        };
        let is_better_higher = matches!(self.better, Better::More);
        // Down as much as up: half as many is as far as twice as many.
        if low > 1.0 + noise {
            if is_better_higher {
                Change::Better
            } else {
                Change::Worse
            }
        } else if high < 1.0 / (1.0 + noise) {
            if is_better_higher {
                Change::Worse
            } else {
                Change::Better
            }
        } else {
            Change::None
        }
    }
}

/// Shows a ratio as people say it.
fn times(ratio: f64) -> String {
    if ratio >= 2.0 {
        let digits = usize::from(ratio < 10.0);
        format!("{ratio:.digits$} times")
    } else {
        format!("{:+.1} %", (ratio - 1.0) * 100.0)
    }
}

/// Which way is better.
enum Better {
    Less,
    More,
}

/// Lists by what loads differ, each with its name.
fn differing_parts(load: &Load) -> Vec<(&'static str, String)> {
    // Named one by one, so that a new field is thought of here.
    let Load {
        publishers,
        subscribers,
        publishers_read,
        repetitions,
        messages,
        duration,
        warmup,
        pacing,
        size,
        stalled,
        slow,
        churn,
        connect_rate,
        cuts,
        check,
        seed: _,
        timeout: _,
    } = load;
    let [min, max] = size.bounds();
    let slow_rate = (slow.count > 0).then_some(slow.bytes_per_s);
    vec![
        ("publishers", publishers.to_string()),
        ("subscribers", subscribers.to_string()),
        ("reading of publishers", publishers_read.to_string()),
        ("repetitions", repetitions.to_string()),
        ("messages", or_none(*messages)),
        ("duration", or_none(duration.map(|it| it.as_secs_f64()))),
        ("warm-up", warmup.as_secs_f64().to_string()),
        ("window", or_none(pacing.in_flight())),
        ("rate", or_none(pacing.rate())),
        ("size", format!("{min}..{max}")),
        ("stalled", stalled.to_string()),
        ("slow", slow.count.to_string()),
        ("rate of slow clients", or_none(slow_rate)),
        ("churn", churn.to_string()),
        ("connect rate", or_none(*connect_rate)),
        ("cut writes", cuts.to_string()),
        ("check", check.word().to_owned()),
    ]
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn delivery(results: &Results, quantile: impl Fn(&Summary) -> f64) -> Option<f64> {
    results.latency[Distribution::Delivery]
        .as_ref()
        .filter(|summary| summary.count > 0)
        .map(quantile)
}

const FIGURES: [Figure; 5] = [
    Figure {
        name: "the rate of deliveries",
        quantity: Quantity::Rate,
        better: Better::More,
        find: |results| Some(results.counts.deliveries_per_s),
        sample: |it| it.deliveries_per_s,
        resolution: 0.0,
    },
    Figure {
        name: "p50 of delivery",
        quantity: Quantity::Time,
        better: Better::Less,
        find: |results| delivery(results, |summary| summary.p50),
        sample: |it| it.p50_us,
        resolution: TIME_RESOLUTION_US,
    },
    Figure {
        name: "p99 of delivery",
        quantity: Quantity::Time,
        better: Better::Less,
        find: |results| delivery(results, |summary| summary.p99),
        sample: |it| it.p99_us,
        resolution: TIME_RESOLUTION_US,
    },
    Figure {
        name: "the server's processor time per delivery",
        quantity: Quantity::Effort,
        better: Better::Less,
        find: |results| {
            let cpu = results.server?.cpu_us_per_delivery?;
            // At idle rates it is a few ticks of the system's clock.
            (cpu * results.counts.delivered as f64 >= CPU_RESOLUTION_US).then_some(cpu)
        },
        sample: |it| it.cpu_us_per_delivery,
        resolution: 0.0,
    },
    Figure {
        name: "the server's peak of memory",
        quantity: Quantity::Memory,
        better: Better::Less,
        find: |results| results.server.map(|server| server.rss_peak_kib as f64),
        sample: |_| None,
        resolution: MEMORY_RESOLUTION_KIB,
    },
];

/// At which confidence all comparisons with a baseline hold together: one false alarm in 40.
pub const CONFIDENCE: f64 = 0.975;

/// By which factor a figure differs at least from which a single repetition tells of a change. A judgement:
/// single runs of the same server on a busy machine differ by up to half of that.
pub const SINGLE_FACTOR: f64 = 4.0;

/// By how much a latency differs at least, in microseconds. A judgement: a system call takes as long.
const TIME_RESOLUTION_US: f64 = 5.0;

/// By how much memory differs at least, in KiB. A judgement: an allocator keeps as much, or does not.
const MEMORY_RESOLUTION_KIB: f64 = 4096.0;

/// How much processor time a server takes at least, in microseconds, from which that per delivery is told: ten
/// ticks of the system's clock.
pub const CPU_RESOLUTION_US: f64 = 100_000.0;

/// By how much a drop rate may rise: one percentage point. A judgement.
const DROP_RATE_NOISE: f64 = 0.01;

/// How much noise can be allowed for. A judgement: with more, nothing is compared.
const NOISE_PERCENT_MAX: f64 = 1000.0;

#[cfg(test)]
mod tests;
