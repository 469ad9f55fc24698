//! The figures that conditions can be about.

use std::fmt;

use crate::distribution::{Distribution, Quantile};
use crate::results::{Results, ServerSeen};
use crate::units::Quantity;

/// A figure in the results.
#[derive(Clone, Copy, Debug)]
pub(super) enum Metric {
    /// One that stands alone.
    Plain(&'static Plain),
    /// A quantile of a distribution of times.
    Quantile(Distribution, Quantile),
}

impl Metric {
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some(plain) = PLAIN.iter().find(|plain| plain.name == name) {
            return Some(Self::Plain(plain));
        }
        let quantile = |name: &str| Quantile::ALL.into_iter().find(|it| it.name() == name);
        if let Some(quantile) = quantile(name) {
            return Some(Self::Quantile(Distribution::Delivery, quantile));
        }
        let (of, name) = name.split_once('.')?;
        let distribution = Distribution::named(of)?;
        Some(Self::Quantile(distribution, quantile(name)?))
    }

    pub(super) fn quantity(self) -> Quantity {
        match self {
            Self::Plain(plain) => plain.quantity,
            Self::Quantile(..) => Quantity::Time,
        }
    }

    /// Tells whether too much of it is the server's doing whatever the load tester did. Times,
    /// rates, drops and the schedule are of both.
    pub(super) fn is_server_alone(self) -> bool {
        matches!(self, Self::Plain(plain) if SERVER_ALONE.contains(&plain.name))
    }

    /// Returns the value, if there is one.
    pub(super) fn find(self, results: &Results) -> Option<f64> {
        match self {
            Self::Plain(plain) => (plain.find)(results),
            Self::Quantile(distribution, quantile) => {
                let summary = results.latency[distribution].filter(|summary| summary.count > 0)?;
                Some(quantile.of(&summary))
            }
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(plain) => f.write_str(plain.name),
            Self::Quantile(distribution, quantile) => {
                write!(f, "{}.{}", distribution.short_name(), quantile.name())
            }
        }
    }
}

/// A metric that stands alone.
#[derive(Debug)]
pub(super) struct Plain {
    name: &'static str,
    quantity: Quantity,
    find: fn(&Results) -> Option<f64>,
}

/// Names all metrics.
pub(super) fn metric_names() -> String {
    let plain = PLAIN.each_ref().map(|metric| metric.name).join(", ");
    let quantiles = Quantile::ALL.map(Quantile::name).join(", ");
    let distributions = Distribution::ALL.map(Distribution::short_name).join(", ");
    format!(
        "{plain}; {quantiles}, which are of delivery latency; and these of any of {distributions}, as in echo.p99"
    )
}

/// Returns what was seen of the server. Nothing in a process is zero, so a zero is what could not
/// be seen.
fn seen(results: &Results, find: impl Fn(&ServerSeen) -> u64) -> Option<f64> {
    results
        .server
        .as_ref()
        .map(find)
        .filter(|&value| value > 0)
        .map(|value| value as f64)
}

/// Returns what became of deliveries, if there were to be any.
fn due(results: &Results, value: f64) -> Option<f64> {
    (results.counts.sent > 0).then_some(value)
}

/// The metrics of what the server holds: a slower load tester makes none of them larger.
const SERVER_ALONE: [&str; 4] = ["rss", "rss-growth", "threads", "descriptors"];

const PLAIN: [Plain; 12] = [
    Plain {
        name: "drop",
        quantity: Quantity::Ratio,
        find: |results| due(results, results.drops.rate),
    },
    Plain {
        name: "unresolved",
        quantity: Quantity::Count,
        find: |results| due(results, results.drops.unresolved as f64),
    },
    // Without a schedule nothing can be behind it.
    Plain {
        name: "unsent",
        quantity: Quantity::Count,
        find: |results| {
            let unsent = results.counts.unsent as f64;
            results.load().has_schedule().then_some(unsent)
        },
    },
    Plain {
        name: "closed",
        quantity: Quantity::Count,
        find: |results| due(results, results.counts.closed as f64),
    },
    Plain {
        name: "rate",
        quantity: Quantity::Rate,
        find: |results| Some(results.counts.deliveries_per_s),
    },
    Plain {
        name: "cpu",
        quantity: Quantity::Effort,
        find: |results| results.server?.cpu_us_per_delivery,
    },
    Plain {
        name: "rss",
        quantity: Quantity::Memory,
        find: |results| seen(results, |server| server.rss_peak_kib),
    },
    Plain {
        name: "rss-growth",
        quantity: Quantity::Memory,
        find: |results| {
            Some(
                seen(results, |server| server.rss_after_kib)?
                    - seen(results, |server| server.rss_before_kib)?,
            )
        },
    },
    Plain {
        name: "threads",
        quantity: Quantity::Count,
        find: |results| seen(results, |server| server.threads),
    },
    Plain {
        name: "descriptors",
        quantity: Quantity::Count,
        find: |results| seen(results, |server| server.descriptors),
    },
    // The load tester's own pauses: without a limit, a run with some of them still passes.
    Plain {
        name: "paused",
        quantity: Quantity::Time,
        find: |results| due(results, results.health.paused_s * 1e6),
    },
    Plain {
        name: "untimed",
        quantity: Quantity::Count,
        find: |results| due(results, results.health.untimed_count as f64),
    },
];
