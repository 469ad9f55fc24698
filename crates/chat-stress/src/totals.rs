//! What the repetitions of a run add up to.

use std::time::Duration;

use chat_results::{Count, Counts, Drops, Load, Order};
use chat_trace::{Kept, Topology, Trace};

/// The sum of repetitions.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    counts: Counts,
    /// How many messages were sent, in the warm-up too.
    sent: u64,
    /// How many the schedule had that could not be sent, in the warm-up too.
    unsent: u64,
    drops: Drops,
    /// How many of the deliveries were no warm-up, and how long that took.
    measured: (u64, Duration),
    /// How many messages the load tester came too late to send.
    missed: u64,
    /// The pauses of the load tester: how many, how long, and how many times were left out.
    pauses: (u64, Duration, u64),
    /// How many deliveries there were to all clients that read.
    read: u64,
    /// Whether any message of any kind was received, without which nothing is proved.
    has_received: bool,
    /// How many messages were overtaken, as long as everything was proved.
    overtaken: u64,
    kept: Option<Kept>,
}

impl Totals {
    /// Adds what was counted in a repetition, to its end or as far as it came.
    pub(crate) fn add(&mut self, count: Count, trace: &Trace) {
        let counts = &mut self.counts;
        self.sent += count.sent;
        counts.sent += count.measured_sent;
        self.unsent += count.unsent;
        counts.unsent += count.measured_unsent;
        counts.delivered += count.measured;
        counts.delivered_bytes += count.measured_bytes;
        counts.churned += count.visited;
        counts.closed += count.closed;
        self.missed += count.missed;
        self.pauses.0 += count.pause_count;
        self.pauses.1 += count.paused;
        self.pauses.2 += count.untimed;
        self.read += count.read;
        self.has_received |= trace.evidence().recorded_count() > 0 || count.read > 0;
        self.measured.0 += count.measured;
        self.measured.1 += count.measured_time;
        self.drops.dropped += trace.receivers().lost();
        self.drops.unresolved += trace.unresolved();
        self.drops.longest_run = self.drops.longest_run.max(trace.receivers().longest_loss());
        if let Some((role, lost)) = trace.receivers().worst_loss()
            && self
                .drops
                .worst
                .as_ref()
                .is_none_or(|(_, most)| lost > *most)
        {
            self.drops.worst = Some((role.to_string(), lost));
        }
    }

    /// Notes how far a repetition was found to keep the promise.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept = self.has_received.then_some(kept);
        if let Kept::Proved { overtaken } = kept {
            self.overtaken += overtaken;
        }
    }

    /// Counts a repetition that was completed.
    pub(crate) fn complete(&mut self) {
        self.counts.repetitions += 1;
    }

    /// Returns how many messages the load tester came too late to send.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Returns the pauses of the load tester: how many, how long they were, and how many times were
    /// left out for them.
    pub(crate) fn pauses(&self) -> (u64, Duration, u64) {
        self.pauses
    }

    /// Returns how many deliveries there were to all clients that read, slow ones and visitors too:
    /// all that processor time was spent on.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Returns what was counted.
    pub(crate) fn counts(&self) -> Counts {
        let load_s = self.measured.1.as_secs_f64();
        let deliveries_per_s = if load_s > 0.0 {
            self.measured.0 as f64 / load_s
        } else {
            0.0
        };
        Counts {
            load_s,
            deliveries_per_s,
            ..self.counts.clone()
        }
    }

    /// Returns what did not arrive.
    pub(crate) fn drops(&self, topology: Topology) -> Drops {
        let due = self.sent * topology.receivers().len() as u64;
        let rate = if due > 0 {
            self.drops.dropped as f64 / due as f64
        } else {
            0.0
        };
        Drops {
            rate,
            ..self.drops.clone()
        }
    }

    /// Returns how far an order was proved, where none was broken.
    pub(crate) fn order(&self) -> Order {
        match self.kept {
            Some(Kept::Proved { .. }) => Order::Proved {
                overtaken: self.overtaken,
            },
            Some(Kept::Partly) => Order::PartlyChecked,
            Some(Kept::Unchecked) | None => Order::Unchecked,
        }
    }

    /// Returns which part of the schedule was sent, from 0 to 1, if there was one.
    pub(crate) fn achieved(&self, load: &Load) -> Option<f64> {
        let due = self.sent + self.unsent;
        (load.has_schedule() && due > 0).then(|| self.sent as f64 / due as f64)
    }
}
