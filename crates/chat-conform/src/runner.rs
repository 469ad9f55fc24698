//! Runs cases: those that may side by side, then the others one by one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chat_target::ServerError;

use crate::case::{Case, Level, Place, Start};
use crate::cases;
use crate::report::{CaseResult, Failure, Outcome, Report};
use crate::suite::{Suite, SuiteError};
use crate::trial::{Servers, Trial};
use crate::wrong::{Broken, Wrong};

/// Runs the cases of a suite, and tells of each as soon as it is over.
pub(crate) fn run(
    suite: &Suite,
    tell: &(dyn Fn(&CaseResult) + Sync),
) -> Result<Report, SuiteError> {
    let begun = Instant::now();
    let run = Run {
        suite,
        tell,
        results: Mutex::default(),
        why_stopped: Mutex::default(),
        has_stopped: AtomicBool::new(false),
        cannot_start: Mutex::default(),
    };
    run.probe();
    run.side_by_side();
    run.one_by_one();
    if let Some(error) = into_inner(run.cannot_start) {
        return Err(SuiteError::Start(error));
    }
    let mut results = into_inner(run.results);
    results.sort_by_key(|result| cases::position(result.case));
    Ok(Report::new(suite, results, begun.elapsed()))
}

/// A suite that runs.
struct Run<'a> {
    suite: &'a Suite,
    tell: &'a (dyn Fn(&CaseResult) + Sync),
    /// Guards what cases came to, in the order in which they ended.
    results: Mutex<Vec<CaseResult>>,
    /// Guards why no further case begins.
    why_stopped: Mutex<String>,
    has_stopped: AtomicBool,
    /// Guards why the executable cannot be started at all.
    cannot_start: Mutex<Option<ServerError>>,
}

impl Run<'_> {
    /// Tries what all cases begin with. When that fails, all would tell nothing but that, each after
    /// its deadline. So the one that is about it does, and the others are skipped.
    fn probe(&self) {
        let mut trial = Trial::new(self.suite.target());
        let begun = Instant::now();
        let Err((id, wrong)) = cases::probe(&mut trial) else {
            return;
        };
        let case = cases::all().find(|case| case.id() == id);
        let case = case.expect("the cases that the probe stands for exist");
        let outcome = self.outcome(case, &mut trial, Err(wrong));
        self.stop(&format!("{id} failed, and all begin with that"));
        self.note(case, outcome, begun.elapsed());
    }

    /// Runs the cases that may run beside others, on a few threads.
    fn side_by_side(&self) {
        let cases: Vec<_> = self.cases_at(Place::SideBySide);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..self.suite.job_count().min(cases.len()) {
                scope.spawn(|| {
                    // Each takes its own number, so no ordering is needed.
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.run_case(case);
                    }
                });
            }
        });
    }

    /// Runs the cases that nothing may run beside.
    fn one_by_one(&self) {
        for case in self.cases_at(Place::Alone) {
            self.run_case(case);
        }
    }

    fn cases_at(&self, place: Place) -> Vec<&'static Case> {
        self.suite
            .cases()
            .filter(|case| case.place() == place)
            .collect()
    }

    fn run_case(&self, case: &'static Case) {
        if self
            .lock(&self.results)
            .iter()
            .any(|result| result.case.id() == case.id())
        {
            return;
        }
        let begun = Instant::now();
        let target = self.suite.target();
        let outcome = if target.patience.interrupt.is_interrupted() {
            Outcome::Skipped {
                why: "interrupted".to_owned(),
            }
        } else if let Some(why) = target.servers.no_place_for(case) {
            Outcome::Skipped {
                why: why.to_owned(),
            }
        } else if self.has_stopped.load(Ordering::Acquire) {
            Outcome::Skipped {
                why: self.lock(&self.why_stopped).clone(),
            }
        } else {
            let mut trial = Trial::new(target);
            let checked = self.check(case, &mut trial);
            self.outcome(case, &mut trial, checked)
        };
        self.note(case, outcome, begun.elapsed());
    }

    fn check(&self, case: &Case, trial: &mut Trial<'_>) -> Result<(), Wrong> {
        if case.start == Start::Before {
            let started = trial.serve().and_then(|()| trial.settle());
            self.judge_start(started)?;
        }
        (case.check)(trial)
    }

    /// Takes the start of a case's servers. A group that does not start lacks what its servers share, as
    /// a stream with room for them, so no further one would: the first case tells of it, and the others
    /// are skipped.
    fn judge_start(&self, started: Result<(), Wrong>) -> Result<(), Wrong> {
        let is_group = matches!(self.suite.target().servers, Servers::Group(_));
        match started {
            Err(Wrong::Broken(_)) if is_group && !self.stop("a group of servers did not start") => {
                Err(Wrong::Skipped(self.lock(&self.why_stopped).clone()))
            }
            started => started,
        }
    }

    /// Makes an outcome of what a case found, while its last server is still there.
    fn outcome(&self, case: &Case, trial: &mut Trial<'_>, checked: Result<(), Wrong>) -> Outcome {
        let interrupted = self.suite.target().patience.interrupt.is_interrupted();
        match checked {
            Ok(()) => Outcome::Passed,
            // What a signal cut short says nothing of the server.
            Err(_) if interrupted => Outcome::Skipped {
                why: "interrupted".to_owned(),
            },
            Err(Wrong::Skipped(why)) => Outcome::Skipped { why },
            Err(Wrong::CannotStart(error)) => {
                self.stop("the executable cannot be started");
                let why = error.to_string();
                *self.lock(&self.cannot_start) = Some(error);
                Outcome::Skipped { why }
            }
            Err(Wrong::Broken(broken)) => Outcome::Failed(Box::new(failure(case, trial, *broken))),
        }
    }

    fn note(&self, case: &'static Case, outcome: Outcome, took: Duration) {
        let result = CaseResult {
            case,
            outcome,
            took,
        };
        if self.suite.fails_fast() && result.counts(self.suite.is_strict()) {
            self.stop("an earlier case failed");
        }
        (self.tell)(&result);
        self.lock(&self.results).push(result);
    }

    /// Has no further case begin. Tells whether this is the reason, and no earlier one.
    fn stop(&self, why: &str) -> bool {
        let mut why_stopped = self.lock(&self.why_stopped);
        let is_first = why_stopped.is_empty();
        if is_first {
            why.clone_into(&mut why_stopped);
        }
        // Whoever sees it reads the reason after it.
        self.has_stopped.store(true, Ordering::Release);
        is_first
    }

    fn lock<'m, T>(&self, mutex: &'m Mutex<T>) -> std::sync::MutexGuard<'m, T> {
        // Each is changed by one call, so a panic elsewhere does not spoil it.
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn failure(case: &Case, trial: &mut Trial<'_>, broken: Broken) -> Failure {
    let mut stderr = Vec::new();
    let mut what = broken.what;
    for server in trial.servers_mut() {
        // The sockets of a process that dies close a little earlier than it is gone.
        let _ = broken.client.is_some().then(|| server.death());
        stderr.extend_from_slice(server.last_lines().stderr());
        if let Some(status) = server.exit_status().filter(|_| broken.client.is_some()) {
            what = format!("{what}; the server has ended: {status}");
        }
    }
    Failure {
        what,
        sent: trial.story.sent(broken.client),
        expected: broken.expected,
        received: broken.received,
        difference_offset: broken.offset,
        stderr,
        hint: case.hint(),
    }
}

/// Tells whether a failure of this level counts.
pub(crate) fn counts(level: Level, is_strict: bool) -> bool {
    match level {
        Level::Must => true,
        Level::Should => is_strict,
        Level::Info => false,
    }
}
