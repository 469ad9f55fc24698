//! How long things took.

use std::collections::BTreeMap;
use std::time::Duration;

use chat_results::{CurvePoint, Distribution, Latency, Summary};
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
    /// Deliveries since the last tick. Two digits: it is looked through twenty times a second.
    recent: Histogram<u64>,
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
            recent: Histogram::new_with_bounds(TIME_MIN, TIME_MAX, 2)
                .expect("the bounds are in order"),
        }
    }
}

impl Latencies {
    /// Records that a run of load messages arrived at a client that is to receive it.
    pub(crate) fn arrived(&mut self, client: usize, run: Run, now: Nanos) {
        let Times { intended, sent, .. } = run.times;
        let (time, count) = (now - intended, u64::from(run.count));
        self.record(Distribution::Delivery, time, count);
        self.recent.saturating_record_n(time, count);
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

    /// Returns the 99th percentile of deliveries since this was called last, if there was one.
    pub(crate) fn take_recent_p99(&mut self) -> Option<Duration> {
        let p99 = self.recent.value_at_quantile(0.99);
        let was_any = !self.recent.is_empty();
        self.recent.reset();
        was_any.then(|| Duration::from_nanos(p99))
    }

    /// Returns the percentile curves of deliveries, with and without correction, by name.
    pub fn curves(&self) -> BTreeMap<String, Vec<CurvePoint>> {
        [Distribution::Delivery, Distribution::Uncorrected]
            .into_iter()
            .filter(|&of| !self.of[of as usize].is_empty())
            .map(|of| (of.name().to_owned(), curve(&self.of[of as usize])))
            .collect()
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

/// Returns the points of a distribution's curve, as dense at its end as at its beginning: each is a
/// step nearer to 100 %, up to the last single value.
fn curve(histogram: &Histogram<u64>) -> Vec<CurvePoint> {
    let parts = (0..CURVE_POINT_COUNT_MAX)
        .map(|step| 10_f64.powf(-f64::from(step) / CURVE_POINTS_PER_DECADE))
        .take_while(|part| part * histogram.len() as f64 >= 1.0);
    let points = parts.map(|part| CurvePoint {
        percentile: 100.0 * (1.0 - part),
        time_us: histogram.value_at_quantile(1.0 - part) as f64 / 1e3,
    });
    points.collect()
}

/// How many points a curve has from 90 % to 99 %, and so on. A judgement: it looks round.
const CURVE_POINTS_PER_DECADE: f64 = 8.0;

/// How many points a curve has at most: up to 99.999999 %.
const CURVE_POINT_COUNT_MAX: u32 = 65;

/// The shortest and the longest time that are told apart from shorter and longer ones, in
/// nanoseconds. A judgement: a microsecond is less than any system call pair, a minute more than
/// anybody waits.
const TIME_MIN: Nanos = 1_000;
const TIME_MAX: Nanos = 60_000_000_000;
