use super::*;

/// Numbers that look random, the same ones every time: xorshift.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Draws from a normal distribution, as Box and Muller do.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Draws figures as machines give them: now and then something else has taken the time.
    fn figure(&mut self, spread: f64) -> f64 {
        let hiccup = if self.unit() < 0.1 {
            1.0 - self.unit()
        } else {
            0.0
        };
        (spread * self.normal() + 3.0 * spread * hiccup).exp()
    }
}

#[test]
fn the_median_is_in_the_middle() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(median(&[f64::NAN, 5.0]), Some(5.0));
}

#[test]
fn intervals_are_those_of_published_tables() {
    let ten: Vec<f64> = (1..=10).map(f64::from).collect();
    // The sign test with n = 10: 2nd and 9th value at 97.9 %.
    let estimate = median_estimate(&ten, 0.95).unwrap();
    assert_eq!(
        estimate.interval,
        Some(Interval {
            low: 2.0,
            high: 9.0
        })
    );
    // The signed-rank test with n = 10: critical value 8 at 0.05, two-sided.
    assert_eq!(left_out(&subset_sums(1..=10), 0.95), 9);
    assert_eq!(left_out(&subset_sums(1..=6), 0.95), 1);
    assert_eq!(left_out(&subset_sums(1..=5), 0.95), 0);
    // The rank-sum test: critical values of U of 2 with 5 and 5, 23 with 10 and 10.
    assert_eq!(left_out(&rank_sums(5, 5), 0.95), 3);
    assert_eq!(left_out(&rank_sums(10, 10), 0.95), 24);
    assert_eq!(rank_sums(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
    assert_eq!(rank_sums(1, 3), [1.0, 1.0, 1.0, 1.0]);
}

fn left_out(counts: &[f64], confidence: f64) -> usize {
    let values: Vec<f64> = (0..counts.len() as u32).map(f64::from).collect();
    between(&values, counts, confidence).map_or(0, |interval| interval.low as usize + 1)
}

#[test]
fn small_samples_conclude_nothing() {
    let (firsts, others) = ([1.0; 5], [9.0; 5]);
    let estimate = paired_ratio(&firsts, &others, 0.95).unwrap();
    assert!(estimate.interval.is_none() && !estimate.is_distinguishable());
    assert!(
        paired_ratio(&[1.0; 6], &[9.0; 6], 0.95)
            .unwrap()
            .is_distinguishable()
    );
    assert_eq!((pair_count_min(0.95), pair_count_min(0.99)), (6, 8));
    assert_eq!(paired_ratio(&[0.0], &[f64::NAN], 0.95), None);
    assert!(
        independent_ratio(&[1.0; 3], &[9.0; 3], 0.95)
            .unwrap()
            .interval
            .is_none()
    );
}

#[test]
fn ratios_do_not_depend_on_which_is_first() {
    let mut dice = Dice(7);
    for count in 1..30 {
        let mut draw = || (0..count).map(|_| dice.figure(0.3)).collect::<Vec<_>>();
        let (firsts, others) = (draw(), draw());
        for ratio in [paired_ratio, independent_ratio] {
            let there = ratio(&firsts, &others, 0.9).unwrap();
            let back = ratio(&others, &firsts, 0.9).unwrap();
            assert!((there.value * back.value - 1.0).abs() < 1e-9);
            assert_eq!(there.interval.is_some(), back.interval.is_some());
            if let (Some(there), Some(back)) = (there.interval, back.interval) {
                assert!((there.low * back.high - 1.0).abs() < 1e-9);
            }
        }
        let estimate = median_estimate(&firsts, 0.9).unwrap();
        assert!(
            estimate
                .interval
                .is_none_or(|interval| interval.contains(estimate.value))
        );
    }
}

/// Plays comparisons of three figures in pairs of rounds, on a machine that drifts, and returns in how many
/// any figure is told apart.
fn told_apart(comparisons: u32, factor: f64, spread: f64, rounds: u32) -> u32 {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let confidence = each_of(3, 0.95);
    let mut apart = 0;
    for _ in 0..comparisons {
        let mut is_first = false;
        let any = (0..3).any(|_| {
            let (mut firsts, mut others) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                if round % 2 == 0 {
                    is_first = dice.unit() < 0.5;
                }
                // There, and back: a drift of a percent with each run cancels.
                let drift = |run: u32| (0.01 * f64::from(2 * round + run)).exp();
                let (one, other) = if is_first == (round % 2 == 0) {
                    (0, 1)
                } else {
                    (1, 0)
                };
                firsts.push(drift(one) * dice.figure(spread));
                others.push(drift(other) * factor * dice.figure(spread));
            }
            paired_ratio(&firsts, &others, confidence)
                .unwrap()
                .is_distinguishable()
        });
        apart += u32::from(any);
    }
    apart
}

#[test]
fn the_same_server_is_not_told_apart_from_itself() {
    for spread in [0.01, 0.1, 0.5] {
        let apart = told_apart(2000, 1.0, spread, 12);
        assert!(apart <= 100, "{apart} of 2000 with a spread of {spread}");
    }
}

#[test]
fn ten_percent_more_work_is_told_apart() {
    for spread in [0.01, 0.03, 0.05] {
        let apart = told_apart(1000, 1.1, spread, 12);
        assert!(apart >= 900, "{apart} of 1000 with a spread of {spread}");
    }
}
