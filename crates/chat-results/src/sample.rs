use std::collections::BTreeMap;
use std::time::Duration;

use crate::distribution::{Distribution, Latency, Summary};
use crate::environment::Environment;
use crate::health::Health;
use crate::load::{BodyLens, Load, Pacing};
use crate::results::{Asked, Counts, Drops, Order, Results, ServerSeen, VERSION, Verdict};
use crate::timeline::{CurvePoint, Moment, Timeline};

/// Returns the results of a run in which everything was measured.
pub fn results() -> Results {
    let summary = Summary {
        count: 1000,
        min: 10.0,
        mean: 100.0,
        p50: 90.0,
        p90: 400.0,
        p99: 4000.0,
        p99_9: 7250.0,
        max: 2e6,
    };
    let latency = Latency::of(|distribution| {
        let p99 = match distribution {
            Distribution::Uncorrected => 3000.0,
            Distribution::Echo => 2000.0,
            Distribution::TimeToAll => 6000.0,
            Distribution::Skew => 1000.0,
            Distribution::Join => 500.0,
            Distribution::Delivery => summary.p99,
        };
        Some(Summary { p99, ..summary })
    });
    let load = Load {
        messages: None,
        duration: Some(Duration::from_secs(10)),
        pacing: Pacing::Rate(1e5),
        size: BodyLens::new(16, 64).expect("they are in order"),
        ..Load::default()
    };
    Results {
        version: VERSION,
        asked: Asked {
            server: "./server".into(),
            server_count: 1,
            environment: Environment::default(),
            load,
        },
        counts: Counts {
            repetitions: 1,
            sent: 1000,
            unsent: 7,
            delivered: 7840,
            deliveries_per_s: 2e6,
            ..Counts::default()
        },
        drops: Drops {
            dropped: 160,
            rate: 0.02,
            longest_run: 80,
            unresolved: 3,
            ..Drops::default()
        },
        latency,
        order: Order::Proved { overtaken: 0 },
        server: Some(ServerSeen {
            cpu_us_per_delivery: Some(0.25),
            cpus: Some(0.9),
            rss_before_kib: 4096,
            rss_peak_kib: 131_072,
            rss_after_kib: 6144,
            threads: 5,
            descriptors: 20,
        }),
        health: Health::default(),
        violations: Vec::new(),
        not_tested: Vec::new(),
        isolation: None,
        samples: Vec::new(),
        timeline: timeline(),
        curves: BTreeMap::from([(Distribution::Delivery.name().to_owned(), curve())]),
        verdict: Verdict::Passed,
    }
}

/// Returns ten seconds of a load in which the server stood still once.
fn timeline() -> Timeline {
    let mut timeline = Timeline::default();
    for number in 1..=100_u32 {
        let is_still = (60..65).contains(&number);
        timeline.push(Moment {
            end_s: f64::from(number) / 10.0,
            deliveries_per_s: if is_still { 0.0 } else { 2.1e6 },
            p99_us: (!is_still).then_some(if number == 65 { 5e5 } else { 4000.0 }),
            dropped: if number == 66 { 160 } else { 0 },
            rss_kib: Some(4096 + 1270 * u64::from(number)),
        });
    }
    timeline
}

/// Returns a curve through the points of the summary.
fn curve() -> Vec<CurvePoint> {
    let points = [
        (0.0, 10.0),
        (50.0, 90.0),
        (90.0, 400.0),
        (99.0, 4000.0),
        (99.9, 7250.0),
    ];
    points
        .map(|(percentile, time_us)| CurvePoint {
            percentile,
            time_us,
        })
        .into()
}
