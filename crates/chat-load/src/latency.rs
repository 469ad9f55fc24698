//! How long things took.

use std::time::Duration;

use chat_results::{Latency, Summary};
use chat_trace::{Burst, Nanos, Run, Topology};
use hdrhistogram::Histogram;

/// Distributions of times, in nanoseconds, over all repetitions of a run. Their memory does not
/// grow with what they record.
#[derive(Debug)]
pub struct Latencies {
    delivery: Histogram<u64>,
    delivery_raw: Histogram<u64>,
    echo: Histogram<u64>,
    last: Histogram<u64>,
    spread: Histogram<u64>,
    join: Histogram<u64>,
    lateness: Histogram<u64>,
}

impl Default for Latencies {
    /// Makes empty distributions.
    fn default() -> Self {
        let empty =
            Histogram::new_with_bounds(TIME_MIN, TIME_MAX, 3).expect("the bounds are in order");
        Self {
            delivery: empty.clone(),
            delivery_raw: empty.clone(),
            echo: empty.clone(),
            last: empty.clone(),
            spread: empty.clone(),
            join: empty.clone(),
            lateness: empty,
        }
    }
}

impl Latencies {
    /// Records that a run of load messages, which is of `burst`, arrived at a client.
    ///
    /// What all receivers have of a burst is known by its last message: the last delivery and the
    /// spread are that message's.
    pub fn arrived(
        &mut self,
        client: usize,
        run: Run,
        burst: &mut Burst,
        topology: Topology,
        now: Nanos,
    ) {
        if !burst.is_measured || !topology.receivers().contains(&client) {
            return;
        }
        let (time, count) = (now - burst.intended, u64::from(run.count));
        self.delivery.saturating_record_n(time, count);
        if burst.intended != burst.sent {
            self.delivery_raw
                .saturating_record_n(now - burst.sent, count);
        }
        if run.sender == client {
            self.echo.saturating_record_n(time, count);
        }
        if run.end() == burst.end() {
            let (first_arrival, arrival_count) = burst.arrived(now);
            if arrival_count as usize == topology.receivers().len() {
                self.last.saturating_record_n(time, burst.count.into());
                self.spread
                    .saturating_record_n(now - first_arrival, burst.count.into());
            }
        }
    }

    /// Records how long it took a client to join.
    pub fn joined(&mut self, time: Nanos) {
        self.join.saturating_record(time);
    }

    /// Records how late a message was sent, since there was room for it.
    pub fn was_late(&mut self, time: Nanos) {
        self.lateness.saturating_record(time);
    }

    /// Returns what there is to say.
    pub fn summary(&self) -> Latency {
        Latency {
            delivery: summary(&self.delivery),
            delivery_raw: summary(&self.delivery_raw),
            echo: summary(&self.echo),
            last: summary(&self.last),
            spread: summary(&self.spread),
            join: summary(&self.join),
        }
    }

    /// Returns how late messages were sent since there was room for them, if there was a schedule.
    pub fn lateness(&self) -> Option<Summary> {
        summary(&self.lateness)
    }

    /// Returns the 99th percentile of deliveries so far.
    pub fn delivery_p99(&self) -> Duration {
        Duration::from_nanos(self.delivery.value_at_quantile(0.99))
    }

    /// Returns all distributions that there are, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        let all = [
            ("delivery", &self.delivery),
            ("delivery_raw", &self.delivery_raw),
            ("echo", &self.echo),
            ("last", &self.last),
            ("spread", &self.spread),
            ("join", &self.join),
            ("lateness", &self.lateness),
        ];
        all.into_iter()
            .filter(|(_, histogram)| !histogram.is_empty())
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
