//! Medians and ratios with intervals, free of assumptions on how figures are distributed.
//!
//! All intervals are exact for small samples: they come from counting, not from a normal curve. An
//! interval at a confidence of 0.95 misses the truth in at most one of 20 samples. Where a sample is
//! too small for the confidence there is no interval, and nothing is concluded.

use serde::{Deserialize, Serialize};

/// The values from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Interval {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Interval {
    /// Tells whether a value is in it.
    pub fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// A figure as it was estimated from a sample.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Estimate {
    /// The best single guess.
    pub value: f64,
    /// Where the truth is, at the confidence that was asked for; `None` when the sample is too small
    /// to say.
    pub interval: Option<Interval>,
}

impl Estimate {
    /// Tells whether a ratio differs from 1 at the confidence that was asked for.
    pub fn is_distinguishable(&self) -> bool {
        self.interval
            .is_some_and(|interval| !interval.contains(1.0))
    }
}

/// Returns the middle value, or the mean of the two in the middle; `None` of nothing. What is no
/// number is passed over.
pub fn median(values: &[f64]) -> Option<f64> {
    middle(&sorted(values))
}

/// Returns the median of a sample with an interval for that of the population.
///
/// The interval lies between two values of the sample: how many values are below the median of the
/// population is a binomial with probability one half.
///
/// Source: Conover, *Practical Nonparametric Statistics*, 3rd edition, section 3.2.
pub fn median_estimate(values: &[f64], confidence: f64) -> Option<Estimate> {
    let values = sorted(values);
    let counts = subset_sums(values.iter().map(|_| 1));
    Some(Estimate {
        value: middle(&values)?,
        interval: between(&values, &counts, confidence),
    })
}

/// Returns by how much `others` are a multiple of `firsts`, which were measured in pairs.
///
/// This is the Hodges-Lehmann estimate of the logarithms of the ratios, with the interval of
/// Wilcoxon's signed-rank test. It assumes that the logarithms are as likely to be off upwards as
/// downwards. That is so for two servers that are the same, if chance has decided which one of
/// a pair runs first. A pair that lacks a positive number is passed over.
///
/// Source: Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd edition, sections
/// 3.2 and 3.3.
pub fn paired_ratio(firsts: &[f64], others: &[f64], confidence: f64) -> Option<Estimate> {
    let differences: Vec<f64> = firsts
        .iter()
        .zip(others)
        .filter(|&(&first, &other)| is_positive(first) && is_positive(other))
        .map(|(first, other)| other.ln() - first.ln())
        .collect();
    let counts = subset_sums(1..=differences.len());
    let means: Vec<f64> = (0..differences.len())
        .flat_map(|i| differences[i..].iter().map(move |later| (i, later)))
        .map(|(i, later)| f64::midpoint(differences[i], *later))
        .collect();
    ratio(&sorted(&means), &counts, confidence)
}

/// Returns by how much `others` are a multiple of `firsts`, which were measured independently.
///
/// This is the Hodges-Lehmann estimate of the logarithms, with the interval of the rank-sum test of
/// Wilcoxon, Mann and Whitney. Beyond [`EXACT_PAIR_COUNT_MAX`] pairs the interval comes from the
/// normal curve. What is no positive number is passed over.
///
/// Source: Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd edition, sections
/// 4.2 and 4.3.
pub fn independent_ratio(firsts: &[f64], others: &[f64], confidence: f64) -> Option<Estimate> {
    let [firsts, others] = [firsts, others].map(logarithms);
    let differences: Vec<f64> = firsts
        .iter()
        .flat_map(|first| others.iter().map(move |other| other - first))
        .collect();
    let counts = rank_sums(firsts.len(), others.len());
    ratio(&sorted(&differences), &counts, confidence)
}

/// Returns the confidence of each of `count` statements, so that all of them hold together at
/// `confidence`.
///
/// Source: the inequality of Bonferroni.
pub fn each_of(count: usize, confidence: f64) -> f64 {
    1.0 - (1.0 - confidence) / count.max(1) as f64
}

/// Returns how many pairs [`paired_ratio`] needs at least to tell anything at this confidence.
pub fn pair_count_min(confidence: f64) -> u32 {
    let mut count = 1;
    while count < PAIR_COUNT_MAX && 2.0 * 0.5_f64.powi(count) > 1.0 - confidence + ROUNDING {
        count += 1;
    }
    count.unsigned_abs()
}

/// Up to how many pairs of values [`independent_ratio`] counts exactly. A judgement: it takes some
/// milliseconds.
pub const EXACT_PAIR_COUNT_MAX: usize = 1024;

fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn logarithms(values: &[f64]) -> Vec<f64> {
    let positive = values.iter().filter(|value| is_positive(**value));
    positive.map(|value| value.ln()).collect()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[last / 2], sorted[last - last / 2]))
}

/// Estimates a ratio from the sorted logarithms of all single guesses.
fn ratio(logarithms: &[f64], counts: &[f64], confidence: f64) -> Option<Estimate> {
    let interval = between(logarithms, counts, confidence);
    Some(Estimate {
        value: middle(logarithms)?.exp(),
        interval: interval.map(|Interval { low, high }| Interval {
            low: low.exp(),
            high: high.exp(),
        }),
    })
}

/// Leaves out as many of the sorted values on each side as chance leaves there. `counts` has in how
/// many of all equally likely cases the statistic of the test is 0, 1, 2 and so on.
fn between(sorted: &[f64], counts: &[f64], confidence: f64) -> Option<Interval> {
    let all: f64 = counts.iter().sum();
    let side = (1.0 - confidence + ROUNDING) / 2.0;
    let mut below = 0.0;
    let left_out = counts
        .iter()
        .take_while(|&&count| {
            below += count / all;
            below <= side
        })
        .count();
    // Without one that is left out, the interval is not bounded by any value.
    let lowest = left_out.checked_sub(1)?;
    let highest = sorted.len().checked_sub(left_out)?;
    (lowest <= highest).then(|| Interval {
        low: sorted[lowest],
        high: sorted[highest],
    })
}

/// Returns how many sets of these numbers have the sum 0, 1, 2 and so on.
fn subset_sums(numbers: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut counts = vec![1.0];
    for number in numbers {
        let shorter = counts.clone();
        counts.resize(shorter.len() + number, 0.0);
        for (sum, count) in shorter.into_iter().enumerate() {
            counts[sum + number] += count;
        }
    }
    counts
}

/// Returns in how many orders of `firsts` and `others` values so many pairs are out of order.
fn rank_sums(firsts: usize, others: usize) -> Vec<f64> {
    if firsts * others > EXACT_PAIR_COUNT_MAX {
        return normal_rank_sums(firsts, others);
    }
    // counts[k][u]: ways to place k of the first kind among the values so far, with u pairs out of order.
    let mut counts = vec![vec![0.0; firsts * others + 1]; firsts + 1];
    counts[0][0] = 1.0;
    for placed in 0..firsts + others {
        for k in (1..=firsts.min(placed + 1)).rev() {
            let before = placed + 1 - k;
            if before > others {
                continue;
            }
            for sum in before..=firsts * others {
                let ways = counts[k - 1][sum - before];
                counts[k][sum] += ways;
            }
        }
    }
    counts.swap_remove(firsts)
}

/// Does the same for large samples, where the number is as good as normal.
fn normal_rank_sums(firsts: usize, others: usize) -> Vec<f64> {
    let (pairs, all) = ((firsts * others) as f64, (firsts + others) as f64);
    let variance = pairs * (all + 1.0) / 12.0;
    (0..=firsts * others)
        .map(|sum| (-(sum as f64 - pairs / 2.0).powi(2) / (2.0 * variance)).exp())
        .collect()
}

/// How much probabilities are off by rounding.
const ROUNDING: f64 = 1e-12;

/// More pairs than any confidence that a floating-point number can have needs.
const PAIR_COUNT_MAX: i32 = 60;

#[cfg(test)]
mod tests;
