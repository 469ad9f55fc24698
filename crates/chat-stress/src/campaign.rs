//! Runs that belong together: what is measured besides the load itself.

use std::time::Duration;

use chat_results::judge::{Complaints, bound_by, limit, verdict};
use chat_results::{Isolation, Load, Pacing};
use chat_target::null;

use crate::failure::Failure;
use crate::run::Measured;
use crate::target::Target;

/// The runs that tell all about a load on a server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Campaign {
    /// The load.
    pub load: Load,
    /// Whether to find out first how many deliveries a second this program can do here at most, by
    /// running the load once on the null broadcaster. This executable is the null broadcaster, so
    /// its `main` has to ask [`null::run`] first.
    pub calibrate: bool,
    /// Whether to run without stalled, slow and visiting clients first, to tell how much the others
    /// suffer from them.
    pub isolation: bool,
    /// Whether a short second load follows, with many messages in flight: with one in flight, as in
    /// the classic load, nobody can tell whether a server keeps messages of one sender in order.
    pub in_flight: bool,
}

impl Campaign {
    /// Has `run` run all of it, each run with a load and a target of its own: see
    /// [`Stage::target`]. When the run without antagonists ends early, it is the last.
    ///
    /// # Errors
    ///
    /// When there is nothing to measure, and when the calibration does not come to its end.
    pub fn measure(
        self,
        mut run: impl FnMut(Stage, Load) -> Result<Measured, Failure>,
    ) -> Result<Findings, Failure> {
        let Self {
            load,
            calibrate,
            isolation,
            in_flight,
        } = self;
        let ceiling = if calibrate {
            let measured = run(Stage::Calibration, calibration(load));
            Some(ceiling(measured)?)
        } else {
            None
        };
        if !isolation {
            let mut only = run(Stage::Only, load)?;
            if in_flight && only.failure.is_none() {
                only.failure = run(Stage::InFlight, with_many_in_flight(load))
                    .map_or_else(Some, |measured| measured.failure)
                    .map(|failure| Failure::InFlight(failure.into()));
            }
            return Ok(Findings::new(only, None, ceiling));
        }
        let without = run(Stage::Without, load.without_antagonists())?;
        if without.failure.is_some() {
            return Ok(Findings::new(without, None, ceiling));
        }
        let with = run(Stage::With, load)?;
        Ok(Findings::new(with, Some(without), ceiling))
    }
}

/// Which run of a [`Campaign`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The load on the null broadcaster.
    Calibration,
    /// The load without antagonists, before it is run with them.
    Without,
    /// The load with antagonists, after it was run without.
    With,
    /// The one run there is, but for the next.
    Only,
    /// The short second load, of which only failures are told.
    InFlight,
}

impl Stage {
    /// Returns what this run loads; but for the calibration, it is what is `under_test`.
    ///
    /// # Errors
    ///
    /// When this executable, which is the null broadcaster, does not find itself.
    pub fn target(self, under_test: impl FnOnce() -> Target) -> Result<Target, Failure> {
        if self == Self::Calibration {
            Ok(Target::Launch(null::launch().map_err(Failure::Unfindable)?))
        } else {
            Ok(under_test())
        }
    }

    /// Returns a title for people; the one run there is has none.
    pub fn title(self) -> &'static str {
        match self {
            Self::Calibration => "calibration",
            Self::Without => "without stalled, slow and visiting clients",
            Self::With => "with stalled, slow and visiting clients",
            Self::Only => "",
            Self::InFlight => "with many messages in flight",
        }
    }
}

/// What a [`Campaign`] has brought.
#[derive(Debug)]
pub struct Findings {
    /// The last run. Its results have in them how it compares with the others.
    pub last: Measured,
    /// The run without antagonists, if there was one before the last.
    pub without: Option<Measured>,
}

impl Findings {
    fn new(mut last: Measured, without: Option<Measured>, ceiling: Option<f64>) -> Self {
        let results = &mut last.results;
        results.health.ceiling = ceiling;
        results.isolation = without
            .as_ref()
            .map(|without| Isolation::new(&without.results, results));
        results.health.bound_by = bound_by(results);
        results.health.limit = limit(results);
        results.health.ceiling_used_ratio = ceiling
            .filter(|&ceiling| ceiling > 0.0)
            .map(|ceiling| results.counts.deliveries_per_s / ceiling);
        let ended = last.failure.as_ref().map(Failure::verdict);
        results.verdict = verdict(results, ended, Complaints::default(), None);
        Self { last, without }
    }
}

/// Returns a short load that tells how a server keeps many messages in order.
fn with_many_in_flight(load: Load) -> Load {
    Load {
        publishers: 8,
        subscribers: 1,
        messages: Some(2000),
        // A slow server is not to be waited for.
        duration: Some(Duration::from_millis(500)),
        pacing: Pacing::window(100),
        cuts: load.cuts,
        seed: load.seed,
        timeout: load.timeout,
        ..Load::default()
    }
}

/// Returns the load to calibrate with.
fn calibration(load: Load) -> Load {
    let mut load = Load {
        repetitions: 1,
        ..load.without_antagonists()
    };
    if load.has_schedule() {
        // A schedule would tell no more than that it can be kept.
        load.pacing = Pacing::window(CALIBRATION_WINDOW);
    }
    load
}

/// Returns how many deliveries a second this program can do here at most.
fn ceiling(measured: Result<Measured, Failure>) -> Result<f64, Failure> {
    let results = measured.and_then(|measured| measured.failure.map_or(Ok(measured.results), Err));
    let results = results.map_err(|failure| Failure::Calibrate(failure.into()))?;
    // It waits for that server, too, so it is its own processor time that tells how many there
    // could be.
    Ok(results
        .health
        .cpu_us_per_delivery
        .map_or(results.counts.deliveries_per_s, |cpu| 1e6 / cpu))
}

/// How many messages a publisher has in flight when the limits of this program are measured for a
/// load with a schedule. A judgement: enough that nobody waits.
const CALIBRATION_WINDOW: u32 = 1000;
