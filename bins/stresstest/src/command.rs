//! What the command line asks for, from the first run to the exit code.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::args::{Args, Target};
use crate::judge::baseline::Baseline;
use crate::load::Load;
use crate::load::pace::Pacing;
use crate::report::screen::Screen;
use crate::report::{Report, csv, hdr, json, table, tell};
use crate::results::{Isolation, Results, Verdict};
use crate::run::{self, Failure, Measured, Plan};
use crate::watch::Watch;
use crate::{EXIT_BROKEN, EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_PASSED, EXIT_STOPPED, null};

/// Does what the command line asks for, and returns the exit code.
pub(crate) fn execute(args: &Args) -> u8 {
    match measure_and_judge(args) {
        Ok(verdict) => exit_code(&verdict),
        Err(failure) => {
            tell(format_args!("error: {failure}"));
            exit_code(&failure.verdict())
        }
    }
}

fn measure_and_judge(args: &Args) -> Result<Verdict, Failure> {
    let baseline = args.load_baseline()?;
    let mut watch = Watch::new().map_err(Failure::Watch)?;
    let ceiling = if args.calibrate { Some(ceiling(args, &mut watch)?) } else { None };
    let without = if args.isolation { Some(measure(args, args.load().without_guests(), &mut watch)?) } else { None };
    let (mut last, without) = match without {
        Some(without) if without.failure.is_some() => {
            tell("note: this was the run without stalled, slow and visiting clients, so there is none with them");
            (without, None)
        }
        without => (measure(args, args.load(), &mut watch)?, without),
    };
    last.results.health.ceiling = ceiling;
    last.results.isolation = without.as_ref().map(|without| Isolation::new(&without.results, &last.results));
    last.results.health.bound_by = bound_by(&last.results);
    last.results.verdict = verdict(args, baseline.as_ref(), &last);
    match print(args, &last) {
        // Whoever read standard output has had enough, which changes nothing.
        Err(failure) if failure.is_closed_pipe() => {}
        Err(failure) => outweigh(&mut last.results.verdict, &failure),
        Ok(()) => {}
    }
    for failure in write_files(args, without.as_ref(), &last) {
        outweigh(&mut last.results.verdict, &failure);
    }
    Ok(last.results.verdict)
}

/// Runs a load on the server that is to be tested.
fn measure(args: &Args, load: Load, watch: &mut Watch) -> Result<Measured, Failure> {
    let out: Box<dyn Write> = if args.quiet { Box::new(io::sink()) } else { Box::new(io::stdout()) };
    let plan = Plan { args, target: &args.target(), load, record: args.record.as_deref() };
    run::run(plan, &mut Report::new(out, args.repetitions()), &mut Screen::new(args.quiet), watch)
}

/// Returns how many deliveries a second this program can do here, by running the load once on the null broadcaster.
fn ceiling(args: &Args, watch: &mut Watch) -> Result<f64, Failure> {
    let target = Target::Launch(null::launch().map_err(Failure::Unfindable)?);
    let mut load = args.load().without_guests();
    if load.has_schedule() {
        // A schedule would tell no more than that it can be kept.
        load.pacing = Pacing::Window(CALIBRATION_WINDOW);
    }
    let plan = Plan { args, target: &target, load, record: None };
    let measured = run::run(plan, &mut Report::new(io::sink(), 1), &mut Screen::new(args.quiet), watch);
    let ceiling = measured.and_then(|measured| measured.failure.map_or(Ok(measured.results.counts.deliveries_per_s), Err));
    ceiling.map_err(|failure| Failure::Calibrate(failure.into()))
}

/// Tells why the figures tell of this program rather than of the server, if they do.
fn bound_by(results: &Results) -> Option<String> {
    let (health, counts) = (&results.health, &results.counts);
    if let Some(ceiling) = health.ceiling.filter(|&ceiling| counts.deliveries_per_s > CEILING_PART * ceiling) {
        return Some(format!(
            "on a server that does next to nothing it makes {:.1} million deliveries a second, and no more here",
            ceiling / 1e6
        ));
    }
    if let (Some(lateness), Some(delivery)) = (health.lateness, results.latency.delivery)
        && lateness.p90 > LATENESS_PART * delivery.p90
    {
        return Some("it sent messages so late that this is most of their latency".to_owned());
    }
    if health.missed as f64 > MISSED_PART * (counts.sent + counts.unsent) as f64 {
        return Some(format!("it came too late to send {} of the messages that the schedule had", health.missed));
    }
    // With a schedule it may be busy and keep it all the same; and a moment is too short to tell.
    let is_busy = health.cpu > BUSY && counts.load_s > 0.5 && health.achieved.is_none();
    let server_cpus = results.server.map(|server| server.cpus);
    (is_busy && server_cpus.is_none_or(|cpus| cpus < health.cpu)).then(|| {
        let server = server_cpus.map_or_else(String::new, |cpus| format!(", and the server {:.0} %", 100.0 * cpus));
        format!("it took {:.0} % of a processor{server}", 100.0 * health.cpu)
    })
}

/// Tells why there are no figures, if there are none.
fn nothing_measured(results: &Results) -> Option<String> {
    let counts = &results.counts;
    if counts.sent == 0 {
        return Some("nothing was measured: no message was sent".to_owned());
    }
    (counts.load_s == 0.0).then(|| "nothing was measured: the load was over before the warm-up was".to_owned())
}

/// Decides what a run comes to: of all that applies, the worst.
fn verdict(args: &Args, baseline: Option<&Baseline>, measured: &Measured) -> Verdict {
    let results = &measured.results;
    let failed = measured.failure.as_ref().filter(|failure| !failure.is_closed_pipe()).map(Failure::verdict);
    if let Some(verdict @ (Verdict::Broken { .. } | Verdict::Stopped { .. } | Verdict::Interrupted)) = failed {
        return verdict;
    }
    let incomparable = baseline.and_then(|baseline| baseline.incomparable(results));
    let mut why = args.thresholds().crossed(results);
    if let (Some(baseline), None) = (baseline, &incomparable) {
        why.extend(baseline.regressions(results, args.noise));
    }
    if !why.is_empty() {
        return Verdict::Failed { why };
    }
    let bound = results.health.bound_by.as_ref().map(|why| format!("generator-bound: the load tester was the limit, since {why}"));
    match (failed, nothing_measured(results).or(incomparable).or(bound)) {
        (Some(verdict), _) => verdict,
        (None, Some(why)) => Verdict::Inconclusive { why },
        (None, None) => Verdict::Passed,
    }
}

/// Prints what there is to say.
fn print(args: &Args, last: &Measured) -> Result<(), Failure> {
    if let Some(failure) = last.failure.as_ref().filter(|failure| !failure.is_closed_pipe()) {
        tell(format_args!("error: {failure}"));
        if failure.depends_on_seed() {
            tell(format_args!("note: repeat it with --seed {}", args.seed));
        }
    }
    match &last.results.verdict {
        Verdict::Failed { why } => why.iter().for_each(|why| tell(format_args!("error: {why}"))),
        Verdict::Inconclusive { why } if last.failure.is_none() => tell(format_args!("error: inconclusive: {why}")),
        _ => {}
    }
    if !args.quiet && (io::stdout().is_terminal() || !args.is_classic()) {
        table::print(&last.results, may_be_coloured(), &mut io::stdout())?;
    }
    Ok(())
}

/// Writes all files that were asked for, each whatever becomes of the others, and returns what went wrong.
fn write_files(args: &Args, without: Option<&Measured>, last: &Measured) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut note = |path: &Path, written: io::Result<()>| failures.extend(written.err().map(|source| Failure::write(path, source)));
    if let Some(path) = &args.json {
        note(path, json::write(path, &last.results));
    }
    if let Some(path) = &args.csv {
        let rows = without.map(|without| ("without", &without.results)).into_iter().chain([("run", &last.results)]);
        note(path, csv::write(path, rows));
    }
    if let Some(path) = &args.hdr {
        note(path, hdr::write(path, Duration::from_secs_f64(last.results.counts.load_s), last.latencies.named()));
    }
    let is_complete = last.failure.as_ref().is_none_or(Failure::is_closed_pipe) && nothing_measured(&last.results).is_none();
    match &args.save_baseline {
        Some(name) if is_complete => match Baseline::save(&args.baseline_dir, name, &last.results) {
            Ok(path) => tell(format_args!("note: the baseline is in {}", path.display())),
            Err(error) => failures.push(error.into()),
        },
        Some(name) => tell(format_args!("note: no baseline {name} is kept of a run that did not come to its end")),
        None => {}
    }
    failures
}

/// Tells of a failure, which is the verdict unless that is worse.
fn outweigh(verdict: &mut Verdict, failure: &Failure) {
    tell(format_args!("error: {failure}"));
    if !matches!(verdict, Verdict::Broken { .. } | Verdict::Stopped { .. }) {
        *verdict = failure.verdict();
    }
}

/// Tells whether standard output takes colours.
///
/// Source: no-color.org.
fn may_be_coloured() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn exit_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Passed => EXIT_PASSED,
        Verdict::Stopped { .. } => EXIT_STOPPED,
        Verdict::Broken { .. } => EXIT_BROKEN,
        Verdict::Failed { .. } => EXIT_FAILED,
        Verdict::Inconclusive { .. } => EXIT_INCONCLUSIVE,
        Verdict::Interrupted => EXIT_INTERRUPTED,
    }
}

/// How many messages a publisher has in flight when the limits of this program are measured for a load with a schedule. A judgement:
/// enough that nobody waits.
const CALIBRATION_WINDOW: NonZeroU32 = NonZeroU32::new(1000).expect("it is not zero");

/// From which part of the ceiling on this program was the limit. A judgement: runs differ by some percent.
const CEILING_PART: f64 = 0.9;

/// From which part of the latency on lateness is what it tells of, at the 90th percentile: rarer hiccups are told, but change no verdict.
/// A judgement.
const LATENESS_PART: f64 = 0.5;

/// From which part of a processor on the load tester, which has one thread, is too busy to have been waiting for the server, unless that
/// was busier. A judgement: the rest goes by between two events of a single socket.
const BUSY: f64 = 0.8;

/// Which part of a schedule it may come too late for. A judgement.
const MISSED_PART: f64 = 0.01;
