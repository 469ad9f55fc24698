//! The rounds, from the first to the last.

use std::io;
use std::path::PathBuf;

use chat_results::comparison::{
    COMPARISON_VERSION, Comparison, Placement, Round, Standing, Workload,
};
use chat_results::statistics::{each_of, pair_count_min};
use chat_results::{Load, Pacing};
use chat_stress::{Interrupt, Run, Target, Verdict, null};
use chat_target::environment;

use crate::candidate::Candidate;
use crate::job::Job;
use crate::order;
use crate::outcome::{Finding, concerns, gaps, outcomes};
use crate::placement::Placed;

/// A comparison that has not begun.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers. The others are compared with the first.
    pub candidates: Vec<Candidate>,
    /// What is asked of them.
    pub jobs: Vec<Job>,
    /// Where everything runs: each job is done at each of these.
    pub placements: Vec<Placement>,
    /// How many rounds there are; `None` is as many as the confidence needs, with some to spare.
    pub rounds: Option<u32>,
    /// At which confidence all ratios that are decided hold together, from 0 to 1.
    pub confidence: f64,
    /// What decides the order in rounds, and the bodies of messages.
    pub seed: u64,
    /// Whether to find out first what the load tester itself can do with each job. This executable is the null
    /// broadcaster, so its `main` has to ask [`null::run`] first.
    pub has_ceiling: bool,
    /// The executable of a process that ends a server if this one is killed, see [`Launch::guard`](chat_stress::Launch::guard).
    pub guard: Option<PathBuf>,
}

/// The run that comes next.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The job.
    pub job: &'a Job,
    /// Where everything runs.
    pub placement: Placement,
    /// Which round it is, from 0; `None` is the run that tells what the load tester can do.
    pub round: Option<u32>,
    /// How many rounds there are.
    pub rounds: u32,
    /// The server's name.
    pub server: &'a str,
}

impl Plan {
    /// Returns how many ratios are decided.
    pub fn decided_count(&self) -> usize {
        let figures: usize = self.jobs.iter().map(|job| job.decided.len()).sum();
        figures * self.placements.len() * self.candidates.len().saturating_sub(1)
    }

    /// Returns how many rounds there are.
    pub fn round_count(&self) -> u32 {
        let needed = pair_count_min(self.interval_confidence()) + SPARE_ROUNDS;
        // Rounds come in pairs, there and back.
        self.rounds
            .unwrap_or_else(|| needed.max(ROUNDS_MIN).next_multiple_of(2))
    }

    /// Returns the confidence of each interval.
    pub fn interval_confidence(&self) -> f64 {
        each_of(self.decided_count(), self.confidence)
    }

    /// Runs everything, and asks `before` ahead of each run. What goes wrong with a server is in the
    /// comparison. A signal ends it early.
    pub fn run(&self, interrupt: &Interrupt, before: &mut dyn FnMut(&Turn<'_>)) -> Comparison {
        let mut comparison = Comparison {
            comparison_version: COMPARISON_VERSION,
            environment: environment(),
            confidence: self.confidence,
            decided_count: self.decided_count(),
            interval_confidence: self.interval_confidence(),
            rounds: self.round_count(),
            seed: self.seed.to_string(),
            servers: self.candidates.iter().map(Candidate::contender).collect(),
            workloads: Vec::new(),
            is_interrupted: false,
        };
        for &placement in &self.placements {
            for job in &self.jobs {
                if interrupt.is_interrupted() {
                    break;
                }
                let workload = self.workload(job, placement, interrupt, before);
                comparison.workloads.push(workload);
            }
        }
        comparison.is_interrupted = interrupt.is_interrupted();
        comparison
    }

    fn workload(
        &self,
        job: &Job,
        placement: Placement,
        interrupt: &Interrupt,
        before: &mut dyn FnMut(&Turn<'_>),
    ) -> Workload {
        let placed = Placed::at(placement);
        let mut turn = Turn {
            job,
            placement,
            round: None,
            rounds: self.round_count(),
            server: "the load tester itself",
        };
        let mut ceiling = None;
        if self.has_ceiling {
            before(&turn);
            ceiling = measure_ceiling(job.load, interrupt);
        }
        let mut findings: Vec<Vec<Finding>> = vec![Vec::new(); self.candidates.len()];
        for number in 0..self.round_count() {
            let places = order::of_round(self.candidates.len(), self.seed, number);
            for (position, server) in (0..).zip(places) {
                // It would not be better in the next round, and take as long.
                let has_stopped = findings[server]
                    .last()
                    .is_some_and(|finding| matches!(finding.standing, Standing::Stopped { .. }));
                if has_stopped || interrupt.is_interrupted() {
                    continue;
                }
                let candidate = &self.candidates[server];
                (turn.round, turn.server) = (Some(number), candidate.name());
                before(&turn);
                let load = self.load_of(job, number);
                let round = Round {
                    number,
                    position,
                    ..Round::default()
                };
                let run = Run::new(candidate.target(self.guard.as_deref()), load)
                    .with_protocol(candidate.protocol())
                    .with_interrupt(interrupt);
                findings[server].extend(Finding::of(run.measure(&mut ()), round));
            }
        }
        let mut concerns = concerns(&findings, &job.decided, ceiling);
        if let Err(error) = &placed {
            concerns.push(format!(
                "it ran on all processors, since the system does not let it run on one: {error}"
            ));
        }
        if turn.rounds < pair_count_min(self.interval_confidence()) {
            concerns.push(format!(
                "{} rounds are too few to tell servers apart at this confidence: {} are needed",
                turn.rounds,
                pair_count_min(self.interval_confidence())
            ));
        }
        let outcomes = outcomes(findings, self.confidence, self.interval_confidence());
        let names = self.candidates.iter().map(Candidate::name);
        let servers: Vec<_> = names.zip(&outcomes).collect();
        concerns.extend(gaps(&servers));
        Workload {
            name: job.name.clone(),
            about: job.about.clone(),
            placement,
            load: job.load,
            sweep: job.sweep,
            ceiling_deliveries_per_s: ceiling,
            decided: job.decided.clone(),
            outcomes,
            concerns,
        }
    }

    /// Returns the load of a round: all servers get the same bodies.
    fn load_of(&self, job: &Job, number: u32) -> Load {
        let mut state = self.seed.wrapping_add(number.into());
        Load {
            seed: order::next(&mut state),
            repetitions: 1,
            ..job.load
        }
    }
}

/// Measures deliveries per second that the load tester has processor time for, with a server that does
/// next to nothing; `None` when that cannot be measured.
fn measure_ceiling(load: Load, interrupt: &Interrupt) -> Option<f64> {
    let mut load = Load {
        repetitions: 1,
        ..load.without_antagonists()
    };
    if load.has_schedule() {
        // A schedule would tell no more than that it can be kept.
        load.pacing = Pacing::window(CEILING_WINDOW);
    }
    let launch: io::Result<_> = null::launch();
    let run = Run::new(Target::Launch(launch.ok()?), load).with_interrupt(interrupt);
    let measured = run.measure(&mut ()).ok()?;
    let has_ended = measured.failure.is_none_or(|failure| {
        // One thread is slower than its server allows, at times: that is no matter here.
        matches!(failure.verdict(), Verdict::Inconclusive { .. })
    });
    let cpu = measured.results.health.cpu_us_per_delivery?;
    (has_ended && cpu > 0.0).then(|| 1e6 / cpu)
}

/// How many messages a publisher has in flight when the load tester is measured for a load with a
/// schedule. A judgement: enough that nobody waits.
const CEILING_WINDOW: u32 = 1000;

/// How many rounds there are at least when nothing is said. By simulation: 10 % are told apart in
/// 9 of 10 comparisons where rounds differ by up to 5 %.
const ROUNDS_MIN: u32 = 12;

/// How many rounds more than the confidence needs. A judgement: two may be spoilt.
const SPARE_ROUNDS: u32 = 3;
