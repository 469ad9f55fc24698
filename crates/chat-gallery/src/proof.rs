//! What has to be found before anything is timed: the cases of the specification, and loads that show
//! wrong orders.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chat_conform::{Level, Outcome, Report, Suite};
use chat_results::gallery::{Conformed, FailedCase, Footprint, Proof};
use chat_results::{BodyLens, Load, Order, Pacing, random_seed};
use chat_stress::{Failure, Interrupt, Launch, Measured, Run, Stop, Target, Verdict};

/// A server that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The executable, and its arguments before the address.
    pub(crate) command: Vec<OsString>,
    /// The executable of a process that ends it if this one is killed.
    pub(crate) guard: Option<PathBuf>,
}

impl Server {
    fn target(&self) -> Target {
        let addr = ([127, 0, 0, 1], 0).into();
        let mut launch = Launch::new(&self.command[0], addr);
        launch.args.extend_from_slice(&self.command[1..]);
        launch.guard.clone_from(&self.guard);
        Target::Launch(launch)
    }

    fn run(&self, load: Load, interrupt: &Interrupt) -> Result<Measured, Failure> {
        let run = Run::new(self.target(), load).with_interrupt(interrupt);
        run.measure(&mut ())
    }

    /// Runs the cases, or those that a glob chooses.
    pub(crate) fn conform(
        &self,
        only: Option<&str>,
        interrupt: &Interrupt,
    ) -> Result<Conformed, chat_conform::SuiteError> {
        let suite = Suite::new(&self.command[0]).args(&self.command[1..]);
        let suite = match only {
            Some(glob) => suite.only([glob])?,
            None => suite,
        };
        Ok(conformed(&suite.interrupt(interrupt.clone()).run()?))
    }

    /// Runs a load so many times, or until it finds something wrong. A run in which too little was
    /// found, as on a busy machine, is repeated.
    pub(crate) fn prove(&self, probe: &Probe, mut times: u32, interrupt: &Interrupt) -> Proof {
        let mut unresolved = 0;
        let mut proof = Proof {
            name: probe.name.to_owned(),
            load: probe.load.to_string(),
            runs: 0,
            passed: 0,
            found: None,
        };
        while proof.runs < times && !interrupt.is_interrupted() {
            let load = Load {
                seed: random_seed(),
                ..probe.load
            };
            proof.runs += 1;
            match finding(self.run(load, interrupt)) {
                None => proof.passed += 1,
                Some((class, _)) if class == UNRESOLVED && unresolved < UNRESOLVED_MAX => {
                    unresolved += 1;
                    times += 1;
                }
                found => {
                    proof.found = found;
                    break;
                }
            }
        }
        proof
    }

    /// Measures what it takes with 100 clients.
    pub(crate) fn footprint(&self, interrupt: &Interrupt) -> Option<Footprint> {
        let load = Load {
            publishers: 2,
            subscribers: 49,
            messages: Some(200),
            repetitions: 1,
            pacing: Pacing::window(10),
            ..Load::default()
        };
        let seen = self.run(load, interrupt).ok()?.results.server?;
        Some(Footprint {
            threads: seen.threads,
            memory_before_kib: seen.rss_before_kib,
            memory_peak_kib: seen.rss_peak_kib,
        })
    }
}

fn conformed(report: &Report) -> Conformed {
    let counts = report.counts();
    let failed = report.results().iter().filter_map(|result| {
        let level = result.case.level();
        match &result.outcome {
            Outcome::Failed(failure) if level != Level::Info => Some(FailedCase {
                id: result.case.id().to_owned(),
                level: level.to_string(),
                what: failure.what.clone(),
                story: result.to_string(),
            }),
            _ => None,
        }
    });
    Conformed {
        passed: counts.passed,
        skipped: counts.skipped,
        failed: failed.collect(),
    }
}

/// A load that shows whether a server is right.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
}

/// Returns the loads that all rows get. A classic load sees neither a job per message nor a lock
/// around half of the fan-out; many publishers with few and with many messages in flight do.
pub(crate) fn probes() -> Vec<Probe> {
    let classic = Load {
        repetitions: 3,
        ..Load::default()
    };
    let window = Load {
        publishers: 4,
        subscribers: 2,
        messages: Some(3000),
        repetitions: 1,
        pacing: Pacing::window(100),
        size: BodyLens::new(64, 64).expect("they are in order"),
        ..Load::default()
    };
    let wide = |window| Load {
        publishers: 8,
        subscribers: 4,
        messages: None,
        duration: Some(WIDE_DURATION),
        repetitions: 1,
        pacing: Pacing::window(window),
        ..Load::default()
    };
    let stalled = Load {
        stalled: 2,
        duration: Some(STALLED_DURATION),
        messages: None,
        ..window
    };
    [
        ("classic", classic),
        ("window", window),
        ("wide-20", wide(20)),
        ("wide-1000", wide(1000)),
        ("stalled", stalled),
    ]
    .map(|(name, load)| Probe { name, load })
    .into()
}

/// Returns what a run found wrong: its class in one word, and its story.
fn finding(run: Result<Measured, Failure>) -> Option<(String, String)> {
    let failure = match run {
        Err(failure) => failure,
        Ok(measured) => {
            if let Order::Broken { class, story, .. } = measured.results.order {
                return Some((class, story));
            }
            if let Some(violation) = measured.results.violations.first() {
                return Some((format!("rule-{}", violation.rule), violation.story.clone()));
            }
            measured.failure?
        }
    };
    let class = match (&failure, failure.verdict()) {
        (
            Failure::Stopped {
                stop: Stop::Hung { .. },
                ..
            },
            _,
        ) => "hangs",
        (_, Verdict::Inconclusive { .. }) => UNRESOLVED,
        (_, Verdict::Interrupted) => "interrupted",
        _ => "stopped",
    };
    Some((class.to_owned(), failure.to_string()))
}

/// The class of what was found where too little was.
pub(crate) const UNRESOLVED: &str = "unresolved";

/// How many runs of a load may find too little. A judgement.
const UNRESOLVED_MAX: u32 = 2;

/// How long wide loads last. A judgement: each wrong design of the shelf is convicted in one of a few
/// runs of this length.
const WIDE_DURATION: Duration = Duration::from_secs(3);

/// How long the load with stalled clients lasts. A judgement: they are full after some milliseconds.
const STALLED_DURATION: Duration = Duration::from_secs(2);
