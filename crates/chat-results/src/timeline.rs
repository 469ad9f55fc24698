//! How a run went over time, and the shape of its distributions: what pictures are made of.

use serde::{Deserialize, Serialize};

/// How the load of a run went over time.
///
/// It has a bounded number of moments: where a run lasts longer, neighbours are made one, and the
/// interval doubles.
///
/// Invariant: there are at most [`MOMENT_COUNT_MAX`] moments.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Timeline {
    /// How long a moment lasts, in seconds. The last one of a repetition may be shorter.
    pub interval_s: f64,
    /// The moments, in order. Those of later repetitions follow, as if there were no time between.
    pub moments: Vec<Moment>,
}

impl Default for Timeline {
    /// Makes one without a moment.
    fn default() -> Self {
        Self {
            interval_s: INTERVAL_S,
            moments: Vec::new(),
        }
    }
}

impl Timeline {
    /// Adds a moment. Amortised over all, this takes constant time.
    pub fn push(&mut self, moment: Moment) {
        self.moments.push(moment);
        if self.moments.len() > MOMENT_COUNT_MAX {
            let mut start_s = 0.0;
            let pairs = self.moments.chunks(2).map(|pair| {
                let merged = Moment::merged(start_s, pair);
                start_s = merged.end_s;
                merged
            });
            self.moments = pairs.collect();
            self.interval_s *= 2.0;
        }
        debug_assert!(self.moments.len() <= MOMENT_COUNT_MAX);
    }

    /// Returns a timeline of the same run with at most `count` moments.
    #[must_use]
    pub fn at_most(&self, count: usize) -> Self {
        let mut shorter = self.clone();
        let size = self.moments.len().div_ceil(count.max(1)).max(1);
        let mut start_s = 0.0;
        shorter.moments = Vec::new();
        for part in self.moments.chunks(size) {
            let merged = Moment::merged(start_s, part);
            start_s = merged.end_s;
            shorter.moments.push(merged);
        }
        shorter.interval_s *= size as f64;
        shorter
    }
}

/// A short part of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Moment {
    /// When it ended, in seconds of load.
    pub end_s: f64,
    /// Deliveries a second in it.
    pub deliveries_per_s: f64,
    /// The 99th percentile of the latency of its deliveries, in microseconds: of each twentieth of
    /// a second or so, and the highest of those. `None` without a delivery.
    pub p99_us: Option<f64>,
    /// How many deliveries became known to be lost in it.
    pub dropped: u64,
    /// Resident memory of the server at its end, in KiB, and the most of it where moments were made
    /// one. `None` when the server runs elsewhere.
    pub rss_kib: Option<u64>,
}

impl Moment {
    /// Makes one of neighbours, the first of which began at `start_s`.
    fn merged(start_s: f64, parts: &[Self]) -> Self {
        let mut from_s = start_s;
        let mut delivered = 0.0;
        let mut merged = Self::default();
        for part in parts {
            delivered += part.deliveries_per_s * (part.end_s - from_s);
            from_s = part.end_s;
            merged.p99_us = larger(merged.p99_us, part.p99_us, f64::max);
            merged.rss_kib = larger(merged.rss_kib, part.rss_kib, u64::max);
            merged.dropped += part.dropped;
        }
        merged.end_s = from_s;
        let took = from_s - start_s;
        merged.deliveries_per_s = if took > 0.0 { delivered / took } else { 0.0 };
        merged
    }
}

/// A point of a distribution's percentile curve.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct CurvePoint {
    /// Which part of all values is no longer than this, in percent.
    pub percentile: f64,
    /// The value, in microseconds.
    pub time_us: f64,
}

fn larger<T>(one: Option<T>, other: Option<T>, max: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(max(one, other)),
        (one, other) => one.or(other),
    }
}

/// How long a moment lasts at least, in seconds. A judgement: long enough for a percentile, short
/// enough to see a pause.
pub const INTERVAL_S: f64 = 0.1;

/// How many moments there are at most: one for each tenth of a second of a minute. A judgement: a
/// screen shows no more.
pub const MOMENT_COUNT_MAX: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(end_s: f64, deliveries_per_s: f64, dropped: u64) -> Moment {
        Moment {
            end_s,
            deliveries_per_s,
            p99_us: (dropped > 0).then_some(10.0 * dropped as f64),
            dropped,
            rss_kib: Some(dropped),
        }
    }

    #[test]
    fn moments_are_made_one_without_losing_a_delivery_or_a_drop() {
        let parts = [
            moment(1.5, 100.0, 3),
            moment(2.0, 300.0, 0),
            moment(4.0, 0.0, 1),
        ];
        let merged = Moment::merged(1.0, &parts);
        let expected = Moment {
            end_s: 4.0,
            deliveries_per_s: 200.0 / 3.0,
            p99_us: Some(30.0),
            dropped: 4,
            rss_kib: Some(3),
        };
        assert_eq!(merged, expected);
    }

    #[test]
    fn a_timeline_stays_short_and_keeps_its_sums() {
        let mut timeline = Timeline::default();
        for number in 1..=5_000 {
            timeline.push(moment(f64::from(number) * 0.1, 10.0, 1));
            assert!(timeline.moments.len() <= MOMENT_COUNT_MAX);
        }
        for timeline in [timeline.at_most(7), timeline] {
            let moments = &timeline.moments;
            assert_eq!(moments.iter().map(|it| it.dropped).sum::<u64>(), 5_000);
            assert_eq!(moments.last().map(|it| it.end_s), Some(500.0));
            for moment in moments {
                assert!((moment.deliveries_per_s - 10.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_timeline_that_is_cut_to_any_length_has_no_more_moments() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.at_most(0), timeline);
        (1..=10).for_each(|number| timeline.push(moment(f64::from(number), 1.0, 0)));
        for count in 1..12 {
            let moments = timeline.at_most(count).moments;
            assert!((1..=count).contains(&moments.len()), "{count}");
        }
    }
}
