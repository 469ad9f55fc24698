//! How well the load tester itself did.

use serde::{Deserialize, Serialize};

use crate::distribution::Summary;

/// How well the load tester itself did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Health {
    /// Sent messages as a part of what the schedule had, from 0 to 1; `None` without a schedule.
    pub achieved: Option<f64>,
    /// How many of the messages that could not be sent in time there was room for: the load tester
    /// itself came too late.
    pub missed: u64,
    /// How late messages were sent, but for the time in which the server took none; `None` without
    /// a schedule.
    pub lateness: Option<Summary>,
    /// How much of one processor the load tester's one thread took in the load, from 0 to 1.
    pub cpu: f64,
    /// Processor time of the load tester a delivery, in microseconds; `None` without a delivery.
    pub cpu_us_per_delivery: Option<f64>,
    /// Deliveries a second that the load tester has processor time for, by a run on the null
    /// broadcaster: what it can do at most here. By `--calibrate`.
    pub ceiling: Option<f64>,
    /// Why the figures tell of the load tester rather than of the server, in words, if they do.
    pub bound_by: Option<String>,
    /// How long the load was looked at, in seconds: the warm-up is part of it.
    #[serde(default)]
    pub observed_s: f64,
    /// How many pauses the load tester made in the load that lasted about a tenth of a second or more: it was stopped,
    /// had no processor, or something it called did not return. No timeout counts them.
    #[serde(default)]
    pub pause_count: u64,
    /// How long these were, in seconds, at least.
    #[serde(default)]
    pub paused_s: f64,
    /// How many times of deliveries and joins are in no distribution, since a pause is part of them.
    #[serde(default)]
    pub untimed_count: u64,
    /// What the load tester waited for in the load.
    #[serde(default)]
    pub processor_wait: ProcessorWait,
    /// What the deliveries per second were limited by; `None` without `--calibrate`.
    #[serde(default)]
    pub limit: Option<Limit>,
    /// Deliveries per second as a part of `ceiling`; `None` without `--calibrate`.
    #[serde(default)]
    pub ceiling_used_ratio: Option<f64>,
}

/// How long processors were not there for those that could have used them. `None` where the system
/// does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ProcessorWait {
    /// How long the load tester was ready to run and had no processor, in seconds.
    pub run_delay_s: Option<f64>,
    /// How long a hypervisor kept a processor from this machine, in seconds, averaged over the
    /// processors.
    pub steal_s: Option<f64>,
    /// How long anybody on this machine, the server too, waited for a processor, in seconds.
    pub pressure_s: Option<f64>,
}

impl ProcessorWait {
    /// Returns this and a later wait together.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        let sum = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
        Self {
            run_delay_s: sum(self.run_delay_s, later.run_delay_s),
            steal_s: sum(self.steal_s, later.steal_s),
            pressure_s: sum(self.pressure_s, later.pressure_s),
        }
    }
}

/// What the deliveries per second of a run were limited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Limit {
    /// The server: the load tester could have done more, and waited for it.
    Server,
    /// The load tester.
    LoadTester,
    /// The schedule, which was kept: neither was at its limit.
    Schedule,
}

impl Limit {
    /// Returns its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "the server",
            Self::LoadTester => "the load tester",
            Self::Schedule => "the schedule, which was kept",
        }
    }
}
