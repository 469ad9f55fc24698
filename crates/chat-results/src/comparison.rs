//! What a comparison of servers found, as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::distribution::Summary;
use crate::environment::Environment;
use crate::load::Load;
use crate::statistics::Estimate;
use crate::units::Quantity;

/// What a comparison of servers found, or as far as it came. `schema/comparison.json` describes it in
/// files.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Comparison {
    /// Version of this structure; see [`COMPARISON_VERSION`].
    pub comparison_version: u32,
    /// What was compared where, and when.
    pub environment: Environment,
    /// At which confidence all ratios that are decided hold together, from 0 to 1.
    pub confidence: f64,
    /// How many ratios are decided.
    pub decided_count: usize,
    /// The confidence of each of their intervals.
    pub interval_confidence: f64,
    /// How many rounds were asked for.
    pub rounds: u32,
    /// What decides the order in rounds, and the bodies of messages. A text: few readers of JSON
    /// keep a number of 64 bits.
    pub seed: String,
    /// The servers. The others are compared with the first.
    pub servers: Vec<Contender>,
    /// What was asked of them, and what came of it.
    pub workloads: Vec<Workload>,
    /// Whether a signal has ended it early: there may be fewer rounds, and workloads without any.
    pub is_interrupted: bool,
}

/// A server that is compared.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Contender {
    /// Its name.
    pub name: String,
    /// How it was started, or where it ran.
    pub command: Vec<String>,
    /// The protocol that it speaks, like `chat`.
    pub protocol: String,
    /// How it was set up to make the comparison fair, a sentence for each setting.
    pub settings: Vec<String>,
}

/// Where the load tester and the servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// On all processors.
    AllProcessors,
    /// Both on the same processor.
    OneProcessor,
}

/// A load that all servers got.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Workload {
    /// Its name in one word, like `bulk`.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// Where everything ran.
    pub placement: Placement,
    /// The load of each round, but for its seed.
    pub load: Load,
    /// Which point of a sweep it is, if it is one.
    pub sweep: Option<SweepPoint>,
    /// Deliveries per second that the load tester can do at most with this load here.
    pub ceiling_deliveries_per_s: Option<f64>,
    /// The figures about which it is decided whether servers differ. The others are shown only.
    pub decided: Vec<Figure>,
    /// What came of it, for each server in their order.
    pub outcomes: Vec<Outcome>,
    /// Why the figures may tell of this machine more than of the servers, in sentences.
    pub concerns: Vec<String>,
}

/// A point of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "of", content = "value", rename_all = "kebab-case")]
pub enum SweepPoint {
    /// Messages in flight per publisher.
    Window(u32),
    /// Messages per second of all publishers together.
    Rate(f64),
}

/// What came of a workload on one server.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Outcome {
    /// What came of each round.
    pub rounds: Vec<Round>,
    /// The median over the rounds of each figure that was measured.
    pub medians: BTreeMap<Figure, Estimate>,
    /// Each figure as a multiple of that of the first server, from pairs of rounds. Empty for the
    /// first server.
    pub ratios: BTreeMap<Figure, Estimate>,
    /// Whether it did what it promises.
    pub standing: Standing,
    /// Deliveries that were dropped, as a part of all that were due.
    pub drop_ratio: f64,
}

/// Whether a server did what it promises, the worst that applies.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Standing {
    /// One order explains what every client received, in every round.
    Proved,
    /// Nothing was found wrong, and not everything was checked.
    Unproved,
    /// No round was run.
    NotRun,
    /// Rounds could not be completed.
    Stopped {
        /// Why not, of the first.
        why: String,
    },
    /// It broke the specification. Its figures count for nothing.
    Wrong {
        /// How, the first time.
        why: String,
    },
}

/// One run of a workload on one server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Round {
    /// Which round it was, from 0.
    pub number: u32,
    /// How many servers had their turn before it in the round.
    pub position: u32,
    /// What was measured.
    pub figures: BTreeMap<Figure, f64>,
    /// The latency of deliveries, if there was any, in microseconds.
    pub delivery: Option<Summary>,
    /// Why there is nothing, or no more.
    pub failure: Option<String>,
}

/// A figure that servers are compared by. Its name in files has the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[non_exhaustive]
pub enum Figure {
    /// Deliveries per second.
    #[serde(rename = "deliveries_per_s")]
    Deliveries,
    /// The median latency of deliveries.
    #[serde(rename = "p50_us")]
    P50,
    /// The 99th percentile of the latency of deliveries.
    #[serde(rename = "p99_us")]
    P99,
    /// The median time from connecting to the first message.
    #[serde(rename = "join_p50_us")]
    JoinP50,
    /// Processor time of the server per delivery.
    #[serde(rename = "cpu_us_per_delivery")]
    Effort,
    /// The most resident memory of the server beyond that at its start, per client.
    #[serde(rename = "memory_per_client_kib")]
    MemoryPerClient,
}

impl Figure {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Deliveries,
        Self::P50,
        Self::P99,
        Self::JoinP50,
        Self::Effort,
        Self::MemoryPerClient,
    ];

    /// Returns its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries_per_s",
            Self::P50 => "p50_us",
            Self::P99 => "p99_us",
            Self::JoinP50 => "join_p50_us",
            Self::Effort => "cpu_us_per_delivery",
            Self::MemoryPerClient => "memory_per_client_kib",
        }
    }

    /// Returns its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries per second",
            Self::P50 => "p50 of delivery",
            Self::P99 => "p99 of delivery",
            Self::JoinP50 => "p50 of joining",
            Self::Effort => "processor time per delivery",
            Self::MemoryPerClient => "memory per client",
        }
    }

    /// Returns what it measures.
    pub fn quantity(self) -> Quantity {
        match self {
            Self::Deliveries => Quantity::Rate,
            Self::P50 | Self::P99 | Self::JoinP50 => Quantity::Time,
            Self::Effort => Quantity::Effort,
            Self::MemoryPerClient => Quantity::Memory,
        }
    }

    /// Tells whether more of it is better.
    pub fn is_better_higher(self) -> bool {
        self == Self::Deliveries
    }
}

/// The version of [`Comparison`] that this program writes. It grows when a field goes away or
/// changes its meaning, not for a new one.
pub const COMPARISON_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_same_name_everywhere() {
        for figure in Figure::ALL {
            let value = serde_json::to_value(figure).unwrap();
            assert_eq!(value, figure.name());
        }
    }
}
