//! How long things took.

use std::time::Duration;

use chat_results::{Distribution, Latency, Summary};
use chat_trace::{Burst, Nanos, Run, Times};
use hdrhistogram::Histogram;

/// Distributions of times, in nanoseconds, over all repetitions of a run. Their memory does not
/// grow with what they record.
#[derive(Debug)]
pub struct Latencies {
    of: [Histogram<u64>; Distribution::ALL.len()],
    lateness: Histogram<u64>,
    /// Deliveries as they were when [`Latencies::delivery_since`] was asked last.
    told: Histogram<u64>,
}

impl Default for Latencies {
    /// Makes empty distributions.
    fn default() -> Self {
        let empty =
            Histogram::new_with_bounds(TIME_MIN, TIME_MAX, 3).expect("the bounds are in order");
        Self {
            of: Distribution::ALL.map(|_| empty.clone()),
            lateness: empty.clone(),
            told: empty,
        }
    }
}

impl Latencies {
    /// Records that a run of load messages arrived at a client that is to receive it.
    pub(crate) fn arrived(&mut self, client: usize, run: Run, now: Nanos) {
        let Times { intended, sent, .. } = run.times;
        let (time, count) = (now - intended, u64::from(run.count));
        self.record(Distribution::Delivery, time, count);
        if intended != sent {
            self.record(Distribution::Uncorrected, now - sent, count);
        }
        if run.sender == client {
            self.record(Distribution::Echo, time, count);
        }
    }

    /// Records that the last message of a burst arrived at one of the clients that are to receive
    /// it, which are `receiver_count`.
    ///
    /// What all receivers have of a burst is known by its last message: the last delivery and the
    /// spread are that message's.
    pub(crate) fn ended(&mut self, burst: &mut Burst, receiver_count: usize, now: Nanos) {
        let (first_arrival, arrival_count) = burst.arrived(now);
        if arrival_count as usize == receiver_count {
            let count = burst.count.into();
            self.record(Distribution::TimeToAll, now - burst.intended, count);
            self.record(Distribution::Skew, now - first_arrival, count);
        }
    }

    /// Records how long it took a client to join.
    pub(crate) fn joined(&mut self, time: Nanos) {
        self.record(Distribution::Join, time, 1);
    }

    /// Records how late a message was sent, since there was room for it.
    pub(crate) fn was_late(&mut self, time: Nanos) {
        self.lateness.saturating_record(time);
    }

    /// Returns what there is to say.
    pub fn summary(&self) -> Latency {
        Latency::of(|distribution| summary(&self.of[distribution as usize]))
    }

    /// Returns how late messages were sent since there was room for them, if there was a schedule.
    pub fn lateness(&self) -> Option<Summary> {
        summary(&self.lateness)
    }

    /// Returns the 99th percentile of deliveries so far.
    pub fn delivery_p99(&self) -> Duration {
        Duration::from_nanos(self.of[Distribution::Delivery as usize].value_at_quantile(0.99))
    }

    /// Returns what there is to say of the deliveries since this was asked last, if there were any.
    pub fn delivery_since(&mut self) -> Option<Summary> {
        let all = &self.of[Distribution::Delivery as usize];
        let mut since = all.clone();
        since.subtract(&self.told).ok()?;
        self.told.clone_from(all);
        summary(&since)
    }

    /// Returns all distributions that there are, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        let latencies = Distribution::ALL
            .map(Distribution::name)
            .into_iter()
            .zip(&self.of);
        latencies
            .chain([("lateness", &self.lateness)])
            .filter(|(_, histogram)| !histogram.is_empty())
    }

    fn record(&mut self, distribution: Distribution, time: Nanos, count: u64) {
        self.of[distribution as usize].saturating_record_n(time, count);
    }
}

fn summary(histogram: &Histogram<u64>) -> Option<Summary> {
    if histogram.is_empty() {
        return None;
    }
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    Some(Summary {
        count: histogram.len(),
        min: histogram.min() as f64 / 1e3,
        mean: histogram.mean() / 1e3,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        max: histogram.max() as f64 / 1e3,
    })
}

/// The shortest and the longest time that are told apart from shorter and longer ones, in
/// nanoseconds. A judgement: a microsecond is less than any system call pair, a minute more than
/// anybody waits.
const TIME_MIN: Nanos = 1_000;
const TIME_MAX: Nanos = 60_000_000_000;
