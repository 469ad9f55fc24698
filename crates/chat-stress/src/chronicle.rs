//! How the load goes over time.

use std::time::Duration;

use chat_results::{INTERVAL_S, Moment, Phase, Tick, Timeline};

/// Makes a timeline of the ticks of the load.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    pub(crate) timeline: Timeline,
    /// How long the loads of all repetitions before took.
    before: Duration,
    /// What had been counted at the end of the last moment of this repetition.
    took: Duration,
    delivered: u64,
    lost: u64,
    /// The highest 99th percentile of the ticks since then.
    p99: Option<Duration>,
}

impl Chronicle {
    /// Notes a tick in the load, or the first one after it.
    pub(crate) fn tick(&mut self, tick: &Tick, rss_kib: Option<u64>) {
        self.p99 = self.p99.max(tick.p99_since);
        let time = tick.count.took.saturating_sub(self.took);
        let is_over = tick.phase != Phase::Load;
        if !time.is_zero() && (is_over || time.as_secs_f64() >= MOMENT_MIN_S) {
            let delivered = tick.count.delivered.saturating_sub(self.delivered);
            self.timeline.push(Moment {
                end_s: (self.before + tick.count.took).as_secs_f64(),
                deliveries_per_s: delivered as f64 / time.as_secs_f64(),
                p99_us: self.p99.take().map(|p99| p99.as_secs_f64() * 1e6),
                dropped: tick.lost.saturating_sub(self.lost),
                rss_kib,
            });
            (self.took, self.delivered) = (tick.count.took, tick.count.delivered);
            self.lost = tick.lost;
        }
        if is_over {
            self.before += tick.count.took;
            (self.took, self.delivered, self.lost) = (Duration::ZERO, 0, 0);
            self.p99 = None;
        }
    }
}

/// How long a moment lasts at least, in seconds: two ticks, which never are exactly on time.
const MOMENT_MIN_S: f64 = 0.9 * INTERVAL_S;

#[cfg(test)]
mod tests {
    use chat_results::Count;

    use super::*;

    fn tick(phase: Phase, took_ms: u64, delivered: u64, lost: u64, p99_ms: u64) -> Tick {
        Tick {
            phase,
            elapsed: Duration::ZERO,
            open: 0,
            count: Count {
                delivered,
                took: Duration::from_millis(took_ms),
                ..Count::default()
            },
            lost,
            p99: Duration::ZERO,
            p99_since: (p99_ms > 0).then(|| Duration::from_millis(p99_ms)),
        }
    }

    #[test]
    fn a_moment_has_what_came_since_the_one_before() {
        let mut chronicle = Chronicle::default();
        for tick in [
            tick(Phase::Load, 50, 100, 0, 7),
            tick(Phase::Load, 100, 300, 0, 3),
            tick(Phase::Load, 200, 300, 5, 0),
            tick(Phase::Close, 250, 400, 5, 1),
        ] {
            chronicle.tick(&tick, Some(9));
        }
        // The next repetition counts from zero again.
        chronicle.tick(&tick(Phase::Load, 100, 50, 2, 4), None);
        let moment = |end_s, deliveries_per_s, p99_us, dropped, rss_kib| Moment {
            end_s,
            deliveries_per_s,
            p99_us,
            dropped,
            rss_kib,
        };
        assert_eq!(
            chronicle.timeline.moments,
            [
                moment(0.1, 3000.0, Some(7000.0), 0, Some(9)),
                moment(0.2, 0.0, None, 5, Some(9)),
                moment(0.25, 2000.0, Some(1000.0), 0, Some(9)),
                moment(0.35, 500.0, Some(4000.0), 2, None),
            ]
        );
    }
}
