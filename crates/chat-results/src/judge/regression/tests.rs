use std::time::Duration;

use super::*;
use crate::load::{BodyLens, Pacing};
use crate::sample::results;

/// Returns results whose repetitions differ by a few percent around `factor` times the sample.
fn repeated(factor: f64) -> Results {
    let mut all = results();
    all.counts.delivered = 1_000_000;
    let latency = all.latency[Distribution::Delivery].as_mut().unwrap();
    (latency.p50, latency.p99) = (latency.p50 * factor, latency.p99 * factor);
    all.counts.deliveries_per_s /= factor;
    let server = all.server.as_mut().unwrap();
    server.cpu_us_per_delivery = server.cpu_us_per_delivery.map(|it| it * factor);
    let sample = |number: u32| {
        let factor = factor * (1.0 + 0.01 * f64::from(number * 7 % 10));
        Repetition {
            deliveries_per_s: Some(2e6 / factor),
            p50_us: Some(90.0 * factor),
            p99_us: Some(4000.0 * factor),
            cpu_us_per_delivery: Some(0.25 * factor),
        }
    };
    all.samples = (0..10).map(sample).collect();
    all
}

fn changes(then: &Results, now: &Results) -> Vec<Change> {
    compare(then, now, 0.1)
        .into_iter()
        .map(|it| it.change)
        .collect()
}

#[test]
fn what_is_worse_by_more_than_the_noise_is_told_of() {
    let told = regressions(&repeated(1.0), &repeated(1.5), 0.1);
    let expected = [
        "the rate of deliveries fell from 2 M/s to 1.333 M/s (-33.3 %)",
        "p50 of delivery rose from 90 \u{b5}s to 135 \u{b5}s (+50.0 %)",
        "p99 of delivery rose from 4 ms to 6 ms (+50.0 %)",
        "the server's processor time per delivery rose from 250 ns to 375 ns (+50.0 %)",
    ];
    assert_eq!(told, expected);
    let told = regressions(&repeated(1.0), &repeated(149.0), 0.1).join("; ");
    assert!(
        told.contains("(149 times)") && !told.contains('+'),
        "{told}"
    );
}

#[test]
fn the_same_and_the_better_are_no_regressions() {
    let same = changes(&repeated(1.0), &repeated(1.02));
    assert!(same.iter().all(|it| *it == Change::None), "{same:?}");
    let told = compare(&repeated(1.0), &repeated(1.02), 0.1);
    assert!(told[1].told.ends_with("not distinguishable"), "{told:?}");
    let better = changes(&repeated(1.5), &repeated(1.0));
    assert_eq!(better[..4], [Change::Better; 4]);
    assert!(regressions(&repeated(1.5), &repeated(1.0), 0.1).is_empty());
}

#[test]
fn a_single_repetition_tells_only_of_much() {
    let single = |factor| Results {
        samples: Vec::new(),
        ..repeated(factor)
    };
    assert!(regressions(&single(1.0), &single(2.0), 0.1).is_empty());
    assert_eq!(regressions(&single(1.0), &single(5.0), 0.1).len(), 4);
}

#[test]
fn what_is_below_the_resolution_has_not_changed() {
    let (then, mut now) = (results(), results());
    let server = now.server.as_mut().unwrap();
    server.rss_peak_kib = 196_608;
    let told = regressions(&then, &now, 0.1);
    assert_eq!(
        told,
        ["the server's peak of memory rose from 128 MiB to 192 MiB (+50.0 %)"]
    );
    let small = |kib| {
        let mut small = results();
        small.server.as_mut().unwrap().rss_peak_kib = kib;
        // Some deliveries take next to no processor time.
        small.server.as_mut().unwrap().cpu_us_per_delivery = Some(kib as f64);
        small.counts.delivered = 3;
        small
    };
    assert!(regressions(&small(3000), &small(6000), 0.1).is_empty());
}

#[test]
fn drops_are_compared_by_their_difference() {
    let mut now = results();
    now.drops.rate = 0.0301;
    assert_eq!(
        regressions(&results(), &now, 0.1),
        ["the drop rate rose from 2 % to 3.01 %"]
    );
    now.drops.rate = 0.03;
    assert!(regressions(&results(), &now, 0.1).is_empty());
}

#[test]
fn what_is_not_measured_any_more_is_told_of() {
    let mut now = results();
    now.latency[Distribution::Delivery] = None;
    let expected = [
        "p50 of delivery was 90 \u{b5}s and was not measured now",
        "p99 of delivery was 4 ms and was not measured now",
    ];
    assert_eq!(regressions(&results(), &now, 0.1), expected);
    let mut then = results();
    then.server = None;
    assert!(
        regressions(&then, &results(), 0.1).is_empty(),
        "nobody knows what it was"
    );
}

#[test]
fn other_loads_cannot_be_compared() {
    let (then, mut now) = (*results().load(), *results().load());
    assert_eq!(difference(&then, &now), None);
    now.seed = 4;
    assert_eq!(difference(&then, &now), None);
    now.publishers = 4;
    now.publishers_read = false;
    now.warmup = Duration::from_millis(500);
    now.pacing = Pacing::window(7);
    now.size = BodyLens::ALL;
    now.slow = "1:10".parse().unwrap();
    let told = "publishers was 2 and is 4, reading of publishers was true and is false, \
                warm-up was 0 and is 0.5, window was none and is 7, rate was 100000 and is none, size was 16..64 and is 8..255, \
                slow was 0 and is 1, rate of slow clients was none and is 10";
    assert_eq!(difference(&then, &now).as_deref(), Some(told));
}

#[test]
fn a_noise_margin_is_some_percent() {
    for (text, noise) in [("10", 0.1), ("7.5%", 0.075), ("0", 0.0)] {
        assert_eq!(noise_from_percent(text), Ok(noise));
    }
    for text in ["", "-1", "NaN", "inf", "1001", "ten"] {
        assert_eq!(noise_from_percent(text), Err(NoiseError), "{text}");
    }
}

/// Numbers that look random, the same ones every time: xorshift.
fn normal(state: &mut u64) -> f64 {
    let mut unit = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1u64 << 53) as f64
    };
    (-2.0 * (1.0 - unit()).ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()
}

#[test]
fn at_most_one_of_40_comparisons_with_itself_is_a_false_alarm() {
    // How much repetitions of chat-server differ on a busy machine with two processors: the rate, p50, p99 and
    // processor time. p99 differs by half.
    let spreads = [0.1, 0.1, 0.5, 0.08];
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for repetitions in [6, 10] {
        let mut run = || {
            let mut all = repeated(1.0);
            let mut draw = |spread: f64| (spread * normal(&mut state)).exp();
            // The machine is a little faster or slower in each run as a whole.
            let drift = draw(0.02);
            all.samples = (0..repetitions)
                .map(|_| Repetition {
                    deliveries_per_s: Some(2e6 * drift * draw(spreads[0])),
                    p50_us: Some(90.0 * drift * draw(spreads[1])),
                    p99_us: Some(4000.0 * drift * draw(spreads[2])),
                    cpu_us_per_delivery: Some(0.25 * drift * draw(spreads[3])),
                })
                .collect();
            // So that no two are within the resolution.
            all.latency[Distribution::Delivery].as_mut().unwrap().p50 +=
                10.0 * f64::from(state as u8);
            all
        };
        let alarms = (0..800)
            .filter(|_| !regressions(&run(), &run(), 0.1).is_empty())
            .count();
        assert!(
            alarms <= 20,
            "{alarms} of 800 with {repetitions} repetitions"
        );
    }
}
