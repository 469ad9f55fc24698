//! What a run found. Everything that is printed, stored, judged and compared afterwards is derived
//! from this, and from nothing else.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::distribution::{Distribution, Latency};
use crate::environment::Environment;
use crate::health::Health;
use crate::load::Load;
use crate::timeline::{CurvePoint, Timeline};

/// What a run found, over all its repetitions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Results {
    /// Version of this structure; see [`VERSION`].
    pub version: u32,
    /// What was asked for. In files it is called `load`.
    #[serde(rename = "load")]
    pub asked: Asked,
    /// What happened, in numbers.
    pub counts: Counts,
    /// What did not arrive.
    pub drops: Drops,
    /// How long things took.
    pub latency: Latency,
    /// Whether there is one order of all messages.
    pub order: Order,
    /// The server, seen from outside; `None` when it runs elsewhere.
    pub server: Option<ServerSeen>,
    /// How well the load tester itself did.
    pub health: Health,
    /// How much publishers and subscribers suffer from the other clients, by `--isolation`.
    pub isolation: Option<Isolation>,
    /// The rules of the specification that the server broke, but for those of the order.
    #[serde(default)]
    pub violations: Vec<Violation>,
    /// What a run of this kind does not test of the specification, in sentences.
    #[serde(default)]
    pub not_tested: Vec<String>,
    /// The figures of each repetition that was completed, where there was more than one.
    #[serde(default)]
    pub samples: Vec<Repetition>,
    /// How the load went over time.
    #[serde(default)]
    pub timeline: Timeline,
    /// The percentile curves of the latencies, by the names of the distributions.
    #[serde(default)]
    pub curves: BTreeMap<String, Vec<CurvePoint>>,
    /// What it comes to.
    pub verdict: Verdict,
}

/// The figures of one repetition. `None` was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Repetition {
    /// Deliveries per second.
    pub deliveries_per_s: Option<f64>,
    /// The median latency of deliveries, in microseconds.
    pub p50_us: Option<f64>,
    /// The 99th percentile of the latency of deliveries, in microseconds.
    pub p99_us: Option<f64>,
    /// Processor time of the server per delivery, in microseconds.
    pub cpu_us_per_delivery: Option<f64>,
}

/// A rule of the specification that a server broke.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Violation {
    /// The number of the rule, from 1 to 10.
    pub rule: u8,
    /// How it was broken.
    pub story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server breaks rule {}: {}", self.rule, self.story)
    }
}

/// What was tested, and what was asked of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Asked {
    /// The executable with its arguments, or the address that was connected to; of several servers,
    /// all of them.
    pub server: String,
    /// How many servers there were that promise one order together, over which the clients were spread
    /// in turn. Older files have none of more than one.
    #[serde(default = "one_server")]
    pub server_count: u32,
    /// What was run where, and when.
    pub environment: Environment,
    /// What was asked of it.
    #[serde(flatten)]
    pub load: Load,
}

fn one_server() -> u32 {
    1
}

impl Results {
    /// Returns what was asked of the server.
    pub fn load(&self) -> &Load {
        &self.asked.load
    }
}

/// What happened, in numbers, after the warm-up. Deliveries are those of load messages to publishers
/// and subscribers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Counts {
    /// How many repetitions were completed.
    pub repetitions: u32,
    /// How many load messages were sent.
    pub sent: u64,
    /// How many load messages the schedule had and nobody could send.
    pub unsent: u64,
    /// How many deliveries there were.
    pub delivered: u64,
    /// How many bytes these had, headers included.
    pub delivered_bytes: u64,
    /// How long the load took, in seconds.
    pub load_s: f64,
    /// Deliveries a second, over that time.
    pub deliveries_per_s: f64,
    /// How many clients joined and left meanwhile.
    pub churned: u64,
    /// How many connections of stalled, slow and visiting clients the server closed.
    pub closed: u64,
}

/// What did not arrive, of all messages that were sent, in the warm-up too, times the number of
/// clients that are to receive them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Drops {
    /// How many deliveries are proved not to come, by later messages of the same sender.
    pub dropped: u64,
    /// `dropped` as a part of all deliveries that were due, from 0 to 1.
    pub rate: f64,
    /// How many messages of one publisher in a row a client lost at most.
    pub longest_run: u64,
    /// The client that lost most, in words, and how many it lost.
    pub worst: Option<(String, u64)>,
    /// How many deliveries neither came nor are proved not to come.
    pub unresolved: u64,
}

/// Whether there is one order of all messages.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Order {
    /// One order explains what every client saw; so it was proved.
    Proved {
        /// How many messages were received behind one that was sent only after they had arrived
        /// elsewhere, by the client that received most. The specification does not forbid
        /// it.
        overtaken: u64,
    },
    /// Content and the order of each sender's messages were checked, but not whether all clients
    /// agree.
    PartlyChecked,
    /// Nothing was checked.
    Unchecked,
    /// There is no such order.
    Broken {
        /// Which repetition it was.
        iteration: u32,
        /// The class of the violation, in one word.
        class: String,
        /// Who received what.
        story: String,
    },
}

impl Order {
    /// Returns which of these it is, as in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Proved { .. } => "proved",
            Self::PartlyChecked => "partly-checked",
            Self::Unchecked => "unchecked",
            Self::Broken { .. } => "broken",
        }
    }
}

/// The server, seen from outside, or several servers together. Memory is in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ServerSeen {
    /// Processor time a delivery to any client that reads, in the load and its warm-up, in
    /// microseconds; `None` without a delivery, or when it died.
    pub cpu_us_per_delivery: Option<f64>,
    /// How many processors it kept busy in the load, on average; `None` when it died, so that
    /// nobody knows.
    pub cpus: Option<f64>,
    /// Resident memory before the first client joined.
    pub rss_before_kib: u64,
    /// The most resident memory there was.
    pub rss_peak_kib: u64,
    /// Resident memory after the last client had left.
    pub rss_after_kib: u64,
    /// The most threads that were seen.
    pub threads: u64,
    /// The most open files that were seen.
    pub descriptors: u64,
}

impl ServerSeen {
    /// Returns this and what was seen of another server together. The most that was seen of each was
    /// not always at the same time, so the sums of these are upper bounds.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
        Self {
            cpu_us_per_delivery: sum(self.cpu_us_per_delivery, other.cpu_us_per_delivery),
            cpus: sum(self.cpus, other.cpus),
            rss_before_kib: self.rss_before_kib + other.rss_before_kib,
            rss_peak_kib: self.rss_peak_kib + other.rss_peak_kib,
            rss_after_kib: self.rss_after_kib + other.rss_after_kib,
            threads: self.threads + other.threads,
            descriptors: self.descriptors + other.descriptors,
        }
    }
}

/// A run with stalled, slow and visiting clients as a multiple of the same run without. 1 is
/// perfect isolation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Isolation {
    /// Deliveries a second to publishers and subscribers.
    pub deliveries: Option<f64>,
    /// The 99th percentile of the latency of their deliveries.
    pub p99: Option<f64>,
    /// Processor time of the server a delivery.
    pub cpu: Option<f64>,
    /// The most resident memory of the server.
    pub rss: Option<f64>,
}

impl Isolation {
    /// Compares two runs.
    pub fn new(without: &Results, with: &Results) -> Self {
        let ratio = |of: fn(&Results) -> Option<f64>| {
            let (without, with) = (of(without)?, of(with)?);
            (without > 0.0).then(|| with / without)
        };
        Self {
            deliveries: ratio(|results| Some(results.counts.deliveries_per_s)),
            p99: ratio(|results| Some(results.latency[Distribution::Delivery]?.p99)),
            cpu: ratio(|results| results.server?.cpu_us_per_delivery),
            rss: ratio(|results| Some(results.server?.rss_peak_kib as f64)),
        }
    }
}

/// What a run comes to; the worst that applies.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Verdict {
    /// The server kept the specification, and all thresholds.
    Passed,
    /// What the figures tell is uncertain.
    Inconclusive {
        /// Why it is.
        why: String,
    },
    /// Thresholds were crossed, or it is worse than the baseline.
    Failed {
        /// Why, a sentence for each reason.
        why: Vec<String>,
    },
    /// The server broke the specification.
    Broken {
        /// How.
        why: String,
    },
    /// The run could not be completed.
    Stopped {
        /// Why not.
        why: String,
    },
    /// A signal ended the run; what there is, is true.
    Interrupted,
}

impl Verdict {
    /// Returns which of these it is, as in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Inconclusive { .. } => "inconclusive",
            Self::Failed { .. } => "failed",
            Self::Broken { .. } => "broken",
            Self::Stopped { .. } => "stopped",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns the exit code of a program that has come to this.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Stopped { .. } => 1,
            Self::Broken { .. } => 3,
            Self::Failed { .. } => 4,
            Self::Inconclusive { .. } => 5,
            // 128 and the number of SIGINT, as shells have it.
            Self::Interrupted => 130,
        }
    }
}

/// The version of [`Results`] that this program writes. It grows when a field goes away or changes
/// its meaning, not for a new one.
pub const VERSION: u32 = 2;
