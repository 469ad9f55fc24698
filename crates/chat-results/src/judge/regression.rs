//! What is worse than it was, and what cannot be compared.

use crate::distribution::{Distribution, Summary};
use crate::load::Load;
use crate::results::Results;
use crate::units::Quantity;

/// Tells of each figure that is worse than it was by more than `noise`, a part of what it was, in a
/// sentence.
///
/// Drop rates are compared by their difference, which may be a percentage point: what they were is
/// often zero.
pub fn regressions(then: &Results, now: &Results, noise: f64) -> Vec<String> {
    let relative = FIGURES
        .iter()
        .filter_map(|figure| figure.regression(then, now, noise));
    let (then, now) = (then.drops.rate, now.drops.rate);
    // A difference that is just the noise is often a little more, as floating-point numbers are.
    let drops = (now - then > DROP_RATE_NOISE + f64::EPSILON).then(|| {
        let [then, now] = [then, now].map(|rate| Quantity::Ratio.show(rate));
        format!("the drop rate rose from {then} to {now}")
    });
    relative.chain(drops).collect()
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
}

impl Figure {
    fn regression(&self, then: &Results, now: &Results, noise: f64) -> Option<String> {
        let Self {
            name,
            quantity,
            better,
            find,
        } = self;
        // There is no part of nothing.
        let then = find(then).filter(|&then| then > 0.0)?;
        let Some(now) = find(now).filter(|now| now.is_finite()) else {
            return Some(format!(
                "{name} was {} and was not measured now",
                quantity.show(then)
            ));
        };
        let (is_worse, moved) = match better {
            Better::Less => (now > then * (1.0 + noise), "rose"),
            Better::More => (now < then * (1.0 - noise), "fell"),
        };
        let percent = (now / then - 1.0) * 100.0;
        is_worse.then(|| {
            format!(
                "{name} {moved} from {} to {} ({percent:+.1} %)",
                quantity.show(then),
                quantity.show(now)
            )
        })
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
    },
    Figure {
        name: "p50 of delivery",
        quantity: Quantity::Time,
        better: Better::Less,
        find: |results| delivery(results, |summary| summary.p50),
    },
    Figure {
        name: "p99 of delivery",
        quantity: Quantity::Time,
        better: Better::Less,
        find: |results| delivery(results, |summary| summary.p99),
    },
    Figure {
        name: "the server's processor time per delivery",
        quantity: Quantity::Effort,
        better: Better::Less,
        find: |results| results.server?.cpu_us_per_delivery,
    },
    Figure {
        name: "the server's peak of memory",
        quantity: Quantity::Memory,
        better: Better::Less,
        find: |results| results.server.map(|server| server.rss_peak_kib as f64),
    },
];

/// By how much a drop rate may rise: one percentage point. A judgement.
const DROP_RATE_NOISE: f64 = 0.01;

/// How much noise can be allowed for. A judgement: with more, nothing is compared.
const NOISE_PERCENT_MAX: f64 = 1000.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{BodyLens, Pacing};
    use crate::results::ServerSeen;
    use crate::sample::results;

    #[track_caller]
    fn check_regressions(change: impl FnOnce(&mut Results), expected: &[&str]) {
        let mut now = results();
        change(&mut now);
        assert_eq!(regressions(&results(), &now, 0.1), expected);
    }

    fn server(results: &mut Results) -> &mut ServerSeen {
        results.server.as_mut().unwrap()
    }

    fn summary(results: &mut Results) -> &mut Summary {
        results.latency[Distribution::Delivery].as_mut().unwrap()
    }

    #[test]
    fn what_is_worse_by_more_than_the_noise_is_told_of() {
        check_regressions(
            |now| now.counts.deliveries_per_s = 1.5e6,
            &["the rate of deliveries fell from 2 M/s to 1.5 M/s (-25.0 %)"],
        );
        check_regressions(
            |now| summary(now).p50 = 135.0,
            &["p50 of delivery rose from 90 \u{b5}s to 135 \u{b5}s (+50.0 %)"],
        );
        check_regressions(
            |now| summary(now).p99 = 5000.0,
            &["p99 of delivery rose from 4 ms to 5 ms (+25.0 %)"],
        );
        check_regressions(
            |now| server(now).cpu_us_per_delivery = Some(0.3),
            &["the server's processor time per delivery rose from 250 ns to 300 ns (+20.0 %)"],
        );
        check_regressions(
            |now| server(now).rss_peak_kib = 196_608,
            &["the server's peak of memory rose from 128 MiB to 192 MiB (+50.0 %)"],
        );
        check_regressions(
            |now| now.drops.rate = 0.0301,
            &["the drop rate rose from 2 % to 3.01 %"],
        );
    }

    #[test]
    fn noise_and_improvements_are_no_regressions() {
        check_regressions(|_| (), &[]);
        check_regressions(
            |now| {
                now.counts.deliveries_per_s = 1.81e6;
                now.drops.rate = 0.03;
                *server(now) = ServerSeen {
                    cpu_us_per_delivery: Some(0.27),
                    rss_peak_kib: 140_000,
                    ..*server(now)
                };
                *summary(now) = Summary {
                    p50: 98.0,
                    p99: 4390.0,
                    ..*summary(now)
                };
            },
            &[],
        );
        check_regressions(
            |now| {
                now.counts.deliveries_per_s = 9e6;
                now.drops.rate = 0.0;
                *server(now) = ServerSeen {
                    cpu_us_per_delivery: Some(0.01),
                    rss_peak_kib: 1,
                    ..*server(now)
                };
                *summary(now) = Summary {
                    p50: 1.0,
                    p99: 2.0,
                    ..*summary(now)
                };
            },
            &[],
        );
    }

    #[test]
    fn what_is_not_measured_any_more_is_told_of() {
        check_regressions(
            |now| now.latency[Distribution::Delivery] = None,
            &[
                "p50 of delivery was 90 \u{b5}s and was not measured now",
                "p99 of delivery was 4 ms and was not measured now",
            ],
        );
        let mut then = results();
        then.server = None;
        assert!(
            regressions(&then, &results(), 0.1).is_empty(),
            "nobody knows what it was"
        );
    }

    #[test]
    fn other_loads_cannot_be_compared() {
        let (then, mut now) = (*results().load(), *results().load());
        assert_eq!(difference(&then, &now), None);
        now.seed = 4;
        assert_eq!(difference(&then, &now), None);
        now.publishers = 4;
        now.publishers_read = false;
        now.warmup = Duration::from_millis(500);
        now.pacing = Pacing::window(7);
        now.size = BodyLens::ALL;
        now.slow = "1:10".parse().unwrap();
        let told = "publishers was 2 and is 4, reading of publishers was true and is false, \
                    warm-up was 0 and is 0.5, window was none and is 7, rate was 100000 and is none, size was 16..64 and is 8..255, \
                    slow was 0 and is 1, rate of slow clients was none and is 10";
        assert_eq!(difference(&then, &now).as_deref(), Some(told));
    }

    #[test]
    fn a_noise_margin_is_some_percent() {
        for (text, noise) in [("10", 0.1), ("7.5%", 0.075), ("0", 0.0)] {
            assert_eq!(noise_from_percent(text), Ok(noise));
        }
        for text in ["", "-1", "NaN", "inf", "1001", "ten"] {
            assert_eq!(noise_from_percent(text), Err(NoiseError), "{text}");
        }
    }
}
