//! What the rounds of a server come to.

use std::collections::BTreeMap;

use chat_results::comparison::{Figure, Outcome, Round, Standing};
use chat_results::judge::{CEILING_PART, CPU_RESOLUTION_US, STEAL_PART};
use chat_results::statistics::{median, median_estimate, paired_ratio};
use chat_results::{Distribution, Health, Order, Results, Verdict};
use chat_stress::{Failure, Measured};

/// What was found in one round on one server.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) round: Round,
    pub(crate) standing: Standing,
    /// Deliveries that were dropped, and those that were due.
    drops: (u64, u64),
    health: Health,
}

impl Finding {
    /// Takes what a run has brought into its round; `None` when a signal ended it.
    pub(crate) fn of(measured: Result<Measured, Failure>, round: Round) -> Option<Self> {
        let nothing = |round, why: String| Self {
            round: Round {
                failure: Some(why.clone()),
                ..round
            },
            standing: Standing::Stopped { why },
            drops: (0, 0),
            health: Health::default(),
        };
        let Measured {
            results, failure, ..
        } = match measured {
            Ok(measured) => measured,
            Err(failure) if failure.verdict() == Verdict::Interrupted => return None,
            Err(failure) => return Some(nothing(round, failure.to_string())),
        };
        let standing = match failure.as_ref().map(Failure::verdict) {
            Some(Verdict::Interrupted) => return None,
            Some(Verdict::Broken { why }) => Standing::Wrong { why },
            Some(Verdict::Stopped { why }) => return Some(nothing(round, why)),
            Some(_) => Standing::Unproved,
            None => match (&results.verdict, &results.order) {
                (Verdict::Broken { why }, _) => Standing::Wrong { why: why.clone() },
                (_, Order::Proved { .. }) => Standing::Proved,
                _ => Standing::Unproved,
            },
        };
        let dropped = results.drops.dropped;
        Some(Self {
            round: Round {
                figures: figures(&results),
                delivery: results.latency[Distribution::Delivery],
                failure: failure.map(|failure| failure.to_string()),
                ..round
            },
            standing,
            drops: (dropped, results.counts.delivered + dropped),
            health: results.health,
        })
    }

    fn badness(&self) -> u8 {
        match self.standing {
            Standing::Proved => 0,
            Standing::Unproved | Standing::NotRun => 1,
            Standing::Stopped { .. } => 2,
            Standing::Wrong { .. } => 3,
        }
    }
}

/// Returns all figures of a run, but for those that are below what can be measured.
fn figures(results: &Results) -> BTreeMap<Figure, f64> {
    let find = |figure| match figure {
        Figure::Deliveries => Some(results.counts.deliveries_per_s),
        Figure::P50 => results.latency[Distribution::Delivery].map(|it| it.p50),
        Figure::P99 => results.latency[Distribution::Delivery].map(|it| it.p99),
        Figure::JoinP50 => results.latency[Distribution::Join].map(|it| it.p50),
        Figure::Effort => {
            let cpu = results.server?.cpu_us_per_delivery?;
            let total = cpu * results.counts.delivered as f64;
            (total >= CPU_RESOLUTION_US).then_some(cpu)
        }
        Figure::MemoryPerClient => {
            let server = results.server?;
            let grown = server.rss_peak_kib.checked_sub(server.rss_before_kib)?;
            let clients = results.load().connection_count_max();
            (grown >= MEMORY_MIN_KIB).then(|| grown as f64 / clients as f64)
        }
        _ => None,
    };
    let found = |figure| {
        Some((
            figure,
            find(figure).filter(|it| *it > 0.0 && it.is_finite())?,
        ))
    };
    Figure::ALL.into_iter().filter_map(found).collect()
}

/// Returns what the rounds of each server come to, compared with those of the first.
pub(crate) fn outcomes(
    findings: Vec<Vec<Finding>>,
    confidence: f64,
    interval_confidence: f64,
) -> Vec<Outcome> {
    let first = findings.first().cloned().unwrap_or_default();
    let outcome = |(server, findings): (usize, Vec<Finding>)| {
        let mut outcome = Outcome {
            rounds: Vec::new(),
            medians: BTreeMap::new(),
            ratios: BTreeMap::new(),
            standing: standing(&findings),
            drop_ratio: drop_ratio(&findings),
        };
        for figure in Figure::ALL {
            let (pairs, own) = (pairs(&first, &findings, figure), values(&findings, figure));
            let estimate = median_estimate(&own, confidence);
            outcome.medians.extend(estimate.map(|it| (figure, it)));
            if server > 0 {
                let ratio = paired_ratio(&pairs.0, &pairs.1, interval_confidence);
                outcome.ratios.extend(ratio.map(|it| (figure, it)));
            }
        }
        outcome.rounds = findings.into_iter().map(|it| it.round).collect();
        outcome
    };
    findings.into_iter().enumerate().map(outcome).collect()
}

fn values(findings: &[Finding], figure: Figure) -> Vec<f64> {
    let figures = findings
        .iter()
        .filter_map(|it| it.round.figures.get(&figure));
    figures.copied().collect()
}

/// Returns a figure of two servers in the rounds in which both have it.
fn pairs(firsts: &[Finding], others: &[Finding], figure: Figure) -> (Vec<f64>, Vec<f64>) {
    let of = |finding: &Finding| finding.round.figures.get(&figure).copied();
    let pair = |first: &Finding| {
        let number = first.round.number;
        let other = others.iter().find(|it| it.round.number == number)?;
        of(first).zip(of(other))
    };
    firsts.iter().filter_map(pair).unzip()
}

fn standing(findings: &[Finding]) -> Standing {
    // Of those that are as bad, the first is told of.
    let worst = findings.iter().rev().max_by_key(|it| it.badness());
    worst.map_or(Standing::NotRun, |it| it.standing.clone())
}

fn drop_ratio(findings: &[Finding]) -> f64 {
    let dropped: u64 = findings.iter().map(|it| it.drops.0).sum();
    let due: u64 = findings.iter().map(|it| it.drops.1).sum();
    if due == 0 {
        0.0
    } else {
        dropped as f64 / due as f64
    }
}

/// Tells why figures may tell of this machine, or of the load tester, more than of the servers.
pub(crate) fn concerns(
    findings: &[Vec<Finding>],
    decided: &[Figure],
    ceiling: Option<f64>,
) -> Vec<String> {
    let all = || findings.iter().flatten();
    let mut concerns = Vec::new();
    let bound: Vec<_> = all().filter_map(|it| it.health.bound_by.as_ref()).collect();
    if let Some(why) = bound.first() {
        let count = all().count();
        concerns.push(format!(
            "in {} of {count} runs the load tester was the limit; in the first, {why}",
            bound.len()
        ));
    }
    let observed: f64 = all().map(|it| it.health.observed_s).sum();
    let waits = [
        (
            "the load tester waited for a processor",
            all()
                .filter_map(|it| it.health.processor_wait.run_delay_s)
                .sum::<f64>(),
            WAIT_PART,
        ),
        (
            "other machines had the processors",
            all()
                .filter_map(|it| it.health.processor_wait.steal_s)
                .sum(),
            STEAL_PART,
        ),
    ];
    for (what, waited, part) in waits {
        if waited > part * observed {
            concerns.push(format!(
                "{what} for {:.0} % of the time: the machine is busy",
                100.0 * waited / observed
            ));
        }
    }
    let widest = findings
        .iter()
        .filter_map(|it| spread(&values(it, *decided.first()?)))
        .fold(0.0, f64::max);
    if widest > SPREAD_MAX {
        concerns.push(format!("rounds of the same server differ by {:.0} %, half of them: the machine is busy, or the load is too short", 100.0 * widest));
    }
    let fastest = findings
        .iter()
        .filter_map(|it| median(&values(it, Figure::Deliveries)));
    let fastest = fastest.fold(0.0, f64::max);
    if let Some(ceiling) = ceiling.filter(|ceiling| fastest > CEILING_PART * ceiling) {
        concerns.push(format!(
            "the fastest server is at {:.0} % of what the load tester can do",
            100.0 * fastest / ceiling
        ));
    }
    concerns
}

/// Tells which figures some servers have and others lack, though they were measured, and why.
pub(crate) fn gaps(servers: &[(&str, &Outcome)]) -> Vec<String> {
    let lacking = |figure: Figure| {
        let measured = servers.iter().filter(|(_, it)| !it.medians.is_empty());
        let (with, without): (Vec<_>, Vec<_>) =
            measured.partition(|(_, it)| it.medians.contains_key(&figure));
        let names: Vec<_> = without.iter().map(|(name, _)| *name).collect();
        (!with.is_empty() && !names.is_empty()).then(|| names.join(", "))
    };
    let gap = |figure: Figure| {
        let (title, names) = (figure.title(), lacking(figure)?);
        Some(format!(
            "there is no {title} of {names}: it was too little to be measured, or the server was not started here"
        ))
    };
    Figure::ALL.into_iter().filter_map(gap).collect()
}

/// Returns how far apart the middle half of the values is, as a part of the median.
fn spread(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    let (low, high) = (
        sorted.get(quarter)?,
        sorted.get(sorted.len() - 1 - quarter)?,
    );
    Some((high - low) / median(values)?)
}

/// How much a server's memory grows at least from which it is told, in KiB. A judgement: less depends on
/// how the allocator has its pages.
const MEMORY_MIN_KIB: u64 = 256;

/// For which part of the time the load tester may wait for a processor. A judgement: less than makes a
/// single run inconclusive, since small differences are looked for.
const WAIT_PART: f64 = 0.2;

/// How much the middle half of rounds may differ. A judgement: with more, 10 % are hardly told apart.
const SPREAD_MAX: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(number: u32, standing: Standing, value: Option<f64>) -> Finding {
        Finding {
            round: Round {
                number,
                figures: value
                    .map(|it| (Figure::Deliveries, it))
                    .into_iter()
                    .collect(),
                ..Round::default()
            },
            standing,
            drops: (1, 4),
            health: Health {
                observed_s: 1.0,
                ..Health::default()
            },
        }
    }

    #[test]
    fn rounds_are_compared_with_those_of_the_same_number() {
        let firsts = (0..8).map(|it| finding(it, Standing::Proved, Some(1.0 + f64::from(it))));
        let others =
            (2..8).map(|it| finding(it, Standing::Proved, Some(2.0 + 2.0 * f64::from(it))));
        let outcomes = outcomes(vec![firsts.collect(), others.collect()], 0.95, 0.95);
        assert!(outcomes[0].ratios.is_empty());
        let ratio = outcomes[1].ratios[&Figure::Deliveries];
        assert!((ratio.value - 2.0).abs() < 1e-9 && ratio.is_distinguishable());
        assert!((outcomes[1].drop_ratio - 0.25).abs() < 1e-9);
    }

    #[test]
    fn the_worst_round_decides_the_standing() {
        let why = || "why".to_owned();
        let (wrong, stopped) = (
            Standing::Wrong { why: why() },
            Standing::Stopped { why: why() },
        );
        let of = |all: &[&Standing]| {
            let findings: Vec<_> = all
                .iter()
                .map(|it| finding(0, (*it).clone(), None))
                .collect();
            standing(&findings)
        };
        assert_eq!(of(&[]), Standing::NotRun);
        assert_eq!(
            of(&[&Standing::Proved, &Standing::Unproved]),
            Standing::Unproved
        );
        assert_eq!(of(&[&wrong, &stopped, &Standing::Proved]), wrong);
        assert_eq!(of(&[&Standing::Proved, &stopped]), stopped);
    }

    #[test]
    fn a_figure_that_some_servers_lack_is_told_of() {
        let outcomes = |rates: [Option<f64>; 2]| {
            let findings = rates.map(|rate| {
                let mut finding = finding(0, Standing::Proved, Some(1.0));
                let effort = rate.map(|it| (Figure::Effort, it));
                finding.round.figures.extend(effort);
                vec![finding]
            });
            outcomes(findings.into(), 0.95, 0.95)
        };
        let told = |rates| {
            let outcomes = outcomes(rates);
            gaps(&[("a", &outcomes[0]), ("b", &outcomes[1])])
        };
        assert!(told([Some(1.0), Some(2.0)]).is_empty());
        assert!(told([None, None]).is_empty());
        let gaps = told([Some(1.0), None]);
        assert_eq!(gaps.len(), 1);
        assert!(gaps[0].starts_with("there is no processor time per delivery of b: "));
        // One that did not run has no figures at all, and says why.
        let ran = outcomes([Some(1.0), None]).swap_remove(0);
        let stopped = super::outcomes(vec![Vec::new()], 0.95, 0.95).swap_remove(0);
        assert!(super::gaps(&[("a", &ran), ("b", &stopped)]).is_empty());
    }

    #[test]
    fn a_busy_machine_is_told_of() {
        let mut calm: Vec<_> = (0..8)
            .map(|it| finding(it, Standing::Proved, Some(100.0)))
            .collect();
        let told = |findings: &[Finding], ceiling| {
            concerns(&[findings.to_vec()], &[Figure::Deliveries], ceiling)
        };
        assert!(told(&calm, Some(200.0)).is_empty());
        assert!(told(&calm, Some(105.0))[0].contains("at 95 % of what the load tester can do"));
        for finding in &mut calm {
            finding.health.processor_wait.steal_s = Some(0.1);
            let number = finding.round.number;
            finding
                .round
                .figures
                .insert(Figure::Deliveries, 100.0 + 20.0 * f64::from(number));
        }
        let told = told(&calm, None).join("\n");
        assert!(
            told.contains("other machines had the processors for 10 % of the time"),
            "{told}"
        );
        assert!(
            told.contains("rounds of the same server differ by"),
            "{told}"
        );
    }
}
