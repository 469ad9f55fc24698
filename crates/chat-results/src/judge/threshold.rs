//! Conditions on the results under which a run has failed.

use std::str::FromStr;

use crate::judge::metric::{Metric, metric_names};
use crate::judge::verdict::Complaints;
use crate::results::Results;
use crate::units::Quantity;

/// Conditions under which a run has failed, as in `drop>1%,p99>5ms`.
#[derive(Clone, Debug, Default)]
pub struct Thresholds {
    conditions: Vec<Condition>,
}

impl Thresholds {
    /// Tells of each condition that holds, in a sentence. One on something that was not measured is
    /// told of, too: nobody knows whether it holds.
    pub fn crossed(&self, results: &Results) -> Complaints {
        let mut complaints = Complaints::default();
        for condition in &self.conditions {
            if let Some(why) = condition.crossed(results) {
                if condition.metric.is_server_alone() {
                    complaints.of_server.push(why);
                } else {
                    complaints.of_both.push(why);
                }
            }
        }
        complaints
    }
}

impl FromStr for Thresholds {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let conditions = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { conditions })
    }
}

/// Why there are no [`Thresholds`] in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// There is nothing before or after a comma.
    #[error("a condition is missing: each is METRIC OPERATOR VALUE, as in `drop>1%,p99>5ms`")]
    Missing,
    /// There is no such figure.
    #[error("there is no metric `{name}`: there are {}", metric_names())]
    Metric {
        /// What was asked for.
        name: String,
    },
    /// There is no such comparison.
    #[error("`{condition}` has no operator: there are >, >=, < and <=")]
    Operator {
        /// The condition without one.
        condition: String,
    },
    /// The value does not begin with a number.
    #[error("`{condition}` has no number after the operator, such as 5 or 0.5")]
    Number {
        /// The condition without one.
        condition: String,
    },
    /// The metric is not measured in this.
    #[error("`{condition}` has no unit of {metric}: there are {}", quantity.unit_names())]
    Unit {
        /// The condition with the wrong unit.
        condition: String,
        /// What is measured.
        metric: String,
        /// In what.
        quantity: Quantity,
    },
}

/// One condition.
#[derive(Clone, Debug)]
struct Condition {
    /// As it was written.
    text: String,
    metric: Metric,
    operator: Operator,
    /// What the metric is compared with, in what its quantity is measured in.
    bound: f64,
}

impl Condition {
    fn crossed(&self, results: &Results) -> Option<String> {
        let Self {
            text,
            metric,
            operator,
            bound,
        } = self;
        // A division by nothing measured is no measurement either.
        let Some(found) = metric.find(results).filter(|found| found.is_finite()) else {
            return Some(format!("`{text}` may hold: {metric} was not measured"));
        };
        operator.holds(found, *bound).then(|| {
            format!(
                "`{text}` holds: {metric} is {}",
                metric.quantity().show(found)
            )
        })
    }
}

impl FromStr for Condition {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ThresholdError::Missing);
        }
        let (name, rest) = split_where(text, |char| {
            !(char.is_alphanumeric() || ".-_".contains(char))
        });
        let metric = Metric::named(name).ok_or_else(|| ThresholdError::Metric {
            name: name.to_owned(),
        })?;
        let (symbol, value) = split_where(rest.trim(), |char| !"<>=!~".contains(char));
        let condition = || text.to_owned();
        let operator = Operator::written(symbol).ok_or_else(|| ThresholdError::Operator {
            condition: condition(),
        })?;
        let (number, unit) =
            split_where(value.trim(), |char| !(char.is_ascii_digit() || char == '.'));
        let number = number.parse().map_err(|_| ThresholdError::Number {
            condition: condition(),
        })?;
        let quantity = metric.quantity();
        let unit_error = || ThresholdError::Unit {
            condition: condition(),
            metric: metric.to_string(),
            quantity,
        };
        let bound = quantity.read(number, unit.trim()).ok_or_else(unit_error)?;
        Ok(Self {
            text: condition(),
            metric,
            operator,
            bound,
        })
    }
}

/// How a figure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Operator {
    fn written(symbol: &str) -> Option<Self> {
        match symbol {
            ">" => Some(Self::Greater),
            ">=" => Some(Self::GreaterOrEqual),
            "<" => Some(Self::Less),
            "<=" => Some(Self::LessOrEqual),
            _ => None,
        }
    }

    fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Self::Greater => found > bound,
            Self::GreaterOrEqual => found >= bound,
            Self::Less => found < bound,
            Self::LessOrEqual => found <= bound,
        }
    }
}

/// Splits a text before the first character that `ends`.
fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::{Distribution, Latency, Summary};
    use crate::load::Pacing;
    use crate::sample::results;

    /// Each condition by itself is crossed with the sentence, or not crossed where that is empty.
    #[track_caller]
    fn check(results: &Results, expected: &[(&str, &str)]) {
        for (text, sentence) in expected {
            let crossed = text.parse::<Thresholds>().unwrap().crossed(results).all();
            assert_eq!(crossed.concat(), *sentence, "{text}");
        }
    }

    #[track_caller]
    fn check_error(text: &str, told: &str) {
        let error = text.parse::<Thresholds>().unwrap_err().to_string();
        assert!(error.contains(told), "{text:?}: {error}");
    }

    #[test]
    fn conditions_that_hold_are_told_of() {
        check(
            &results(),
            &[
                ("drop>1%", "`drop>1%` holds: drop is 2 %"),
                (" drop >= 0.02 ", "`drop >= 0.02` holds: drop is 2 %"),
                ("unresolved>0", "`unresolved>0` holds: unresolved is 3"),
                ("unsent>=7", "`unsent>=7` holds: unsent is 7"),
                ("p99>3ms", "`p99>3ms` holds: delivery.p99 is 4 ms"),
                (
                    "p99.9>7200us",
                    "`p99.9>7200us` holds: delivery.p99.9 is 7.25 ms",
                ),
                (
                    "raw.p99.9>7200\u{b5}s",
                    "`raw.p99.9>7200\u{b5}s` holds: raw.p99.9 is 7.25 ms",
                ),
                (
                    "skew.p99>0.5ms",
                    "`skew.p99>0.5ms` holds: spread.p99 is 1 ms",
                ),
                (
                    "join.p99>0.4ms",
                    "`join.p99>0.4ms` holds: join.p99 is 500 \u{b5}s",
                ),
                ("max>=2s", "`max>=2s` holds: delivery.max is 2 s"),
                ("rate<2.5M", "`rate<2.5M` holds: rate is 2 M/s"),
                ("cpu>100ns", "`cpu>100ns` holds: cpu is 250 ns"),
                ("rss>100MiB", "`rss>100MiB` holds: rss is 128 MiB"),
                (
                    "rss-growth>1MiB",
                    "`rss-growth>1MiB` holds: rss-growth is 2 MiB",
                ),
                ("threads>4", "`threads>4` holds: threads is 5"),
                (
                    "descriptors<=20",
                    "`descriptors<=20` holds: descriptors is 20",
                ),
            ],
        );
    }

    #[test]
    fn conditions_that_do_not_hold_are_not() {
        let not = [
            "drop>2%",
            "p50>90us",
            "p90<400us",
            "echo.p99>2ms",
            "last.p99>6ms",
            "spread.p99>1ms",
            "rate<2000K",
            "rss-growth<2MiB",
        ];
        check(&results(), &not.map(|text| (text, "")));
    }

    #[test]
    fn pauses_of_the_load_tester_have_limits() {
        let mut results = results();
        results.health.paused_s = 0.25;
        results.health.untimed_count = 7;
        let crossed = |text: &str| {
            let thresholds: Thresholds = text.parse().unwrap();
            thresholds.crossed(&results).all().len()
        };
        assert_eq!(crossed("paused>200ms,untimed>6"), 2);
        assert_eq!(crossed("paused>300ms,untimed>7"), 0);
    }

    #[test]
    fn every_condition_is_told_of_by_itself() {
        let thresholds: Thresholds = "drop>1%,p50>1s, cpu>1ns".parse().unwrap();
        assert_eq!(thresholds.crossed(&results()).all().len(), 2);
        assert!(Thresholds::default().crossed(&results()).all().is_empty());
    }

    #[test]
    fn what_was_not_measured_is_crossed() {
        let mut results = results();
        results.asked.load.pacing = Pacing::LOCK_STEP;
        results.counts.sent = 0;
        results.counts.deliveries_per_s = f64::NAN;
        results.latency = Latency::default();
        results.latency[Distribution::Delivery] = Some(Summary::default());
        results.server = None;
        check(
            &results,
            &[(
                "p99>5ms",
                "`p99>5ms` may hold: delivery.p99 was not measured",
            )],
        );
        let all = "drop>1,unresolved>0,unsent>0,closed>0,rate<1,cpu>1ms,\
                   rss>1GiB,rss-growth>1GiB,threads>9,descriptors>99,paused>9s,untimed>9,p50>1s,join.max>9s";
        let thresholds: Thresholds = all.parse().unwrap();
        let crossed = thresholds.crossed(&results).all();
        assert_eq!(crossed.len(), all.split(',').count());
        assert!(
            crossed
                .iter()
                .all(|sentence| sentence.contains("was not measured")),
            "{crossed:?}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_there_is() {
        check_error("", "a condition is missing");
        check_error("drop>1%,", "a condition is missing");
        check_error(
            "latency>5ms",
            "there is no metric `latency`: there are drop, unresolved, unsent, closed, rate, cpu, rss, rss-growth, ",
        );
        check_error(
            "echo.p98>5ms",
            "; p50, p90, p99, p99.9, max, which are of delivery latency; and these of any of delivery, raw, ",
        );
        check_error(
            "p99=5ms",
            "`p99=5ms` has no operator: there are >, >=, < and <=",
        );
        check_error("p99", "`p99` has no operator");
        check_error("p99>ms", "`p99>ms` has no number");
        check_error("p99>1.2.3ms", "`p99>1.2.3ms` has no number");
        check_error("p99>-1ms", "has no number");
        check_error("drop>NaN", "has no number");
        check_error(
            "p99>5",
            "`p99>5` has no unit of delivery.p99: there are \u{b5}s, us, ms, s",
        );
        check_error("drop>5ms", "has no unit of drop: there are %, none");
        check_error("threads>4K", "has no unit of threads: there are none");
    }
}
