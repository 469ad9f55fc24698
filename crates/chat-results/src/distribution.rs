//! The distributions of times that a run has, and the points of them that are told.
//!
//! This is the one list of them: what records, prints, writes and judges them goes through it.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize, Serializer};

/// A distribution of times that a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distribution {
    /// From when a message was to be sent, by the schedule, to each delivery.
    Delivery,
    /// From when it was really sent. There is none without a schedule, since then both are the
    /// same.
    Uncorrected,
    /// To the delivery to the sender itself.
    Echo,
    /// To the delivery to the last client. Messages that some client lost have none.
    TimeToAll,
    /// From the first to the last delivery of a message.
    Skew,
    /// From connecting to the echo of the hello message, of every client.
    Join,
}

impl Distribution {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Delivery,
        Self::Uncorrected,
        Self::Echo,
        Self::TimeToAll,
        Self::Skew,
        Self::Join,
    ];

    /// Returns its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Uncorrected => "delivery_raw",
            Self::Echo => "echo",
            Self::TimeToAll => "last",
            Self::Skew => "spread",
            Self::Join => "join",
        }
    }

    /// Returns its name in thresholds, where it is typed.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Uncorrected => "raw",
            other => other.name(),
        }
    }

    /// Returns the one that is called so in a threshold.
    pub fn named(name: &str) -> Option<Self> {
        let field_name = |distribution| match distribution {
            Self::Uncorrected => "uncorrected",
            Self::TimeToAll => "time-to-all",
            Self::Skew => "skew",
            other => other.short_name(),
        };
        let mut all = Self::ALL.into_iter();
        all.find(|&distribution| {
            [distribution.short_name(), field_name(distribution)].contains(&name)
        })
    }

    /// Returns its name in tables, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Uncorrected => "  uncorrected",
            Self::Echo => "  to the sender",
            Self::TimeToAll => "  time to all clients",
            Self::Skew => "skew, first to last",
            Self::Join => "joining",
        }
    }
}

/// A distribution of times, in microseconds, which the names in files say. Values have three
/// significant digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Summary {
    /// How many values there are.
    pub count: u64,
    /// The shortest.
    #[serde(rename = "min_us")]
    pub min: f64,
    /// The mean.
    #[serde(rename = "mean_us")]
    pub mean: f64,
    /// The median.
    #[serde(rename = "p50_us")]
    pub p50: f64,
    /// Nine of ten are no longer than this.
    #[serde(rename = "p90_us")]
    pub p90: f64,
    /// 99 of 100 are no longer than this.
    #[serde(rename = "p99_us")]
    pub p99: f64,
    /// 999 of 1000 are no longer than this.
    #[serde(rename = "p99_9_us")]
    pub p99_9: f64,
    /// The longest.
    #[serde(rename = "max_us")]
    pub max: f64,
}

/// A point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quantile {
    /// The median.
    P50,
    /// Nine of ten are no longer than this.
    P90,
    /// 99 of 100 are no longer than this.
    P99,
    /// 999 of 1000 are no longer than this.
    P99_9,
    /// The longest.
    Max,
}

impl Quantile {
    /// All of them, from short to long.
    pub const ALL: [Self; 5] = [Self::P50, Self::P90, Self::P99, Self::P99_9, Self::Max];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P99_9 => "p99.9",
            Self::Max => "max",
        }
    }

    /// Returns the value, in microseconds.
    pub fn of(self, summary: &Summary) -> f64 {
        match self {
            Self::P50 => summary.p50,
            Self::P90 => summary.p90,
            Self::P99 => summary.p99,
            Self::P99_9 => summary.p99_9,
            Self::Max => summary.max,
        }
    }
}

/// How long things took: a summary of each [`Distribution`], or `None` where it does not apply or
/// nothing was measured. Indexed by the distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "BTreeMap<String, Option<Summary>>")]
pub struct Latency([Option<Summary>; Distribution::ALL.len()]);

impl Latency {
    /// Makes one of what `summary` returns for each distribution.
    pub fn of(summary: impl FnMut(Distribution) -> Option<Summary>) -> Self {
        Self(Distribution::ALL.map(summary))
    }

    /// Returns all distributions, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = (Distribution, Option<Summary>)> {
        Distribution::ALL.into_iter().zip(self.0)
    }
}

impl Index<Distribution> for Latency {
    type Output = Option<Summary>;

    fn index(&self, distribution: Distribution) -> &Option<Summary> {
        &self.0[distribution as usize]
    }
}

impl IndexMut<Distribution> for Latency {
    fn index_mut(&mut self, distribution: Distribution) -> &mut Option<Summary> {
        &mut self.0[distribution as usize]
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(of, summary)| (of.name(), summary)))
    }
}

impl From<BTreeMap<String, Option<Summary>>> for Latency {
    /// Names that are unknown are passed over, as other fields of files are.
    fn from(named: BTreeMap<String, Option<Summary>>) -> Self {
        Self::of(|distribution| named.get(distribution.name()).copied().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_stands_where_its_number_says() {
        for (place, distribution) in Distribution::ALL.into_iter().enumerate() {
            assert_eq!(distribution as usize, place);
        }
    }
}
