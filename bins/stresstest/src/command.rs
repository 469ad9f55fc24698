//! What the command line asks for, from the first run to the exit code.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use chat_report::{Baseline, BaselineName, Lines, Screen, WhileRead, csv, hdr, json, table, tell};
use chat_results::judge::{bound_by, nothing_measured, outweigh, verdict};
use chat_results::{Isolation, Load, Pacing, Results, Verdict};
use chat_target::{EXIT_INTERRUPTED, Interrupt, null};

use crate::args::{Args, Target};
use crate::run::{self, Failure, Measured, Plan};
use crate::{EXIT_BROKEN, EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASSED, EXIT_STOPPED};

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
    let interrupt = Interrupt::on_signals().map_err(Failure::Watch)?;
    let ceiling = if args.calibrate {
        Some(ceiling(args, &interrupt)?)
    } else {
        None
    };
    let without = if args.isolation {
        Some(measure(
            args,
            args.load().without_antagonists(),
            WITHOUT,
            &interrupt,
        )?)
    } else {
        None
    };
    let (mut last, without) = match without {
        Some(without) if without.failure.is_some() => (without, None),
        without => (
            measure(
                args,
                args.load(),
                if args.isolation { WITH } else { "" },
                &interrupt,
            )?,
            without,
        ),
    };
    last.results.health.ceiling = ceiling;
    last.results.isolation = without
        .as_ref()
        .map(|without| Isolation::new(&without.results, &last.results));
    last.results.health.bound_by = bound_by(&last.results);
    last.results.verdict = judge(args, baseline.as_ref(), &last);
    tell_what_went_wrong(args, &last);
    // Who cannot print the lines cannot print the table.
    if last.can_print()
        && let Err(failure) = print_table(args, &last.results)
        && !failure.is_closed_pipe()
    {
        tell_later(&mut last.results.verdict, &failure);
    }
    write_files(args, without.as_ref(), &mut last);
    Ok(last.results.verdict)
}

/// Runs a load on the server that is to be tested. The title tells which run it is, if there are
/// two.
fn measure(
    args: &Args,
    load: Load,
    title: &'static str,
    interrupt: &Interrupt,
) -> Result<Measured, Failure> {
    if !title.is_empty() && !args.quiet {
        tell(format_args!("note: the run {title}"));
    }
    let out: Box<dyn Write> = if args.quiet {
        Box::new(io::sink())
    } else if args.is_judged() || args.has_files() {
        Box::new(WhileRead(io::stdout()))
    } else {
        Box::new(io::stdout())
    };
    let plan = Plan {
        target: &args.target(),
        load,
        record: args.record.as_deref(),
    };
    run::run(
        plan,
        &mut Lines::new(out, args.load().repetitions),
        &mut screen(args, title),
        interrupt,
    )
}

fn screen(args: &Args, title: &'static str) -> Screen {
    if args.quiet {
        Screen::quiet()
    } else {
        Screen::new(title)
    }
}

/// Returns how many deliveries a second this program can do here at most, by running the load once
/// on the null broadcaster.
fn ceiling(args: &Args, interrupt: &Interrupt) -> Result<f64, Failure> {
    let target = Target::Launch(null::launch().map_err(Failure::Unfindable)?);
    let mut load = args.load().without_antagonists();
    if load.has_schedule() {
        // A schedule would tell no more than that it can be kept.
        load.pacing = Pacing::Window(CALIBRATION_WINDOW);
    }
    let plan = Plan {
        target: &target,
        load,
        record: None,
    };
    let measured = run::run(
        plan,
        &mut Lines::new(io::sink(), 1),
        &mut screen(args, "calibration"),
        interrupt,
    );
    let results = measured.and_then(|measured| measured.failure.map_or(Ok(measured.results), Err));
    let results = results.map_err(|failure| Failure::Calibrate(failure.into()))?;
    // It waits for that server, too, so it is its own processor time that tells how many there
    // could be.
    Ok(results
        .health
        .cpu_us_per_delivery
        .map_or(results.counts.deliveries_per_s, |cpu| 1e6 / cpu))
}

/// Decides what a run comes to.
fn judge(args: &Args, baseline: Option<&Baseline>, measured: &Measured) -> Verdict {
    let results = &measured.results;
    let incomparable = baseline.and_then(|baseline| baseline.incomparable(results));
    let mut complaints = args.thresholds().crossed(results);
    if let (Some(baseline), None) = (baseline, &incomparable) {
        complaints.extend(baseline.regressions(results, args.noise));
    }
    verdict(
        results,
        measured.failure.as_ref().map(Failure::verdict),
        complaints,
        incomparable,
    )
}

fn tell_what_went_wrong(args: &Args, last: &Measured) {
    if let Some(failure) = last.failure() {
        tell(format_args!("error: {failure}"));
        if failure.depends_on_seed() {
            tell(format_args!("note: repeat it with --seed {}", args.seed));
        }
    }
    match &last.results.verdict {
        Verdict::Failed { why } => why
            .iter()
            .for_each(|why| tell(format_args!("error: {why}"))),
        Verdict::Inconclusive { why } if last.failure().is_none() => {
            tell(format_args!("error: inconclusive: {why}"))
        }
        _ => {}
    }
}

fn print_table(args: &Args, results: &Results) -> Result<(), Failure> {
    if !args.quiet && (io::stdout().is_terminal() || !args.is_classic()) {
        table::print(results, may_be_coloured(), &mut io::stdout())?;
    }
    Ok(())
}

/// Writes all files that were asked for, each whatever becomes of the others. The last ones have
/// the verdict in them.
fn write_files(args: &Args, without: Option<&Measured>, last: &mut Measured) {
    if let Some(path) = &args.hdr {
        let time = Duration::from_secs_f64(last.results.counts.load_s);
        let written = hdr::write(path, time, last.latencies.named());
        note_unwritten(&mut last.results.verdict, path, written);
    }
    if let Some(name) = &args.save_baseline {
        save_baseline(args, name, last);
    }
    if let Some(path) = &args.csv {
        let rows = without
            .map(|without| ("without", &without.results))
            .into_iter()
            .chain([("run", &last.results)]);
        let written = csv::write(path, rows);
        note_unwritten(&mut last.results.verdict, path, written);
    }
    if let Some(path) = &args.json {
        let written = json::write(path, &last.results);
        note_unwritten(&mut last.results.verdict, path, written);
    }
}

fn note_unwritten(verdict: &mut Verdict, path: &Path, written: io::Result<()>) {
    if let Err(source) = written {
        tell_later(verdict, &Failure::write(path, source));
    }
}

/// Keeps the results of a run that came to its end.
fn save_baseline(args: &Args, name: &BaselineName, last: &mut Measured) {
    if last.failure().is_some() || nothing_measured(&last.results).is_some() {
        tell(format_args!(
            "note: no baseline {name} is kept of a run that did not come to its end"
        ));
        return;
    }
    if matches!(last.results.verdict, Verdict::Failed { .. }) {
        tell(format_args!(
            "note: no baseline {name} is kept of a run that failed"
        ));
        return;
    }
    match Baseline::save(&args.baseline_dir, name, &last.results) {
        Ok(path) if !args.quiet => {
            tell(format_args!("note: the baseline is in {}", path.display()))
        }
        Ok(_) => {}
        Err(error) => tell_later(&mut last.results.verdict, &error.into()),
    }
}

/// Tells of a failure that came after the verdict, and makes that worse by it.
fn tell_later(verdict: &mut Verdict, failure: &Failure) {
    tell(format_args!("error: {failure}"));
    outweigh(verdict, failure.verdict());
}

/// Tells whether standard output takes colours.
///
/// Source: no-color.org.
fn may_be_coloured() -> bool {
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal()
        && !is_dumb
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
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

/// The titles of the two runs of `--isolation`.
const WITHOUT: &str = "without stalled, slow and visiting clients";
const WITH: &str = "with stalled, slow and visiting clients";

/// How many messages a publisher has in flight when the limits of this program are measured for a
/// load with a schedule. A judgement: enough that nobody waits.
const CALIBRATION_WINDOW: NonZeroU32 = NonZeroU32::new(1000).expect("it is not zero");
