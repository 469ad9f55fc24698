//! Does what the command line asks for, from the first run to the exit code.

use std::io::{self, IsTerminal, Write};

use chat_report::atomic_file::Draft;
use chat_report::{
    Lines, OutputError, Screen, Terminal, WhileRead, is_closed_pipe, table, takes_colours, tell,
    tell_later,
};
use chat_results::judge::outweigh;
use chat_results::{Load, Observer, Results, Verdict};
use chat_stress::{Failure, Findings, Interrupt, Measured, Run, Stage};

use crate::plan::Plan;

/// Does what the command line asks for, and returns the exit code.
pub(crate) fn execute(plan: &Plan) -> u8 {
    let verdict = measure_and_judge(plan).unwrap_or_else(|failure| {
        tell(format_args!("error: {failure}"));
        failure.verdict()
    });
    verdict.exit_code()
}

fn measure_and_judge(plan: &Plan) -> Result<Verdict, Failure> {
    let interrupt = Interrupt::on_signals().map_err(Failure::Poll)?;
    let findings = plan
        .campaign
        .measure(|stage, load| measure(plan, &interrupt, stage, load))?;
    let Findings { mut last, without } = findings;
    let ended = last.failure.as_ref().map(Failure::verdict);
    last.results.verdict = plan.standard.judge(&last.results, ended);
    tell_what_went_wrong(plan, &last);
    // Who cannot print the lines cannot print the table.
    if !matches!(last.failure, Some(Failure::Print(_))) {
        print_table(plan, &mut last.results);
    }
    let (without, has_ended_early) = (without.map(|it| it.results), failure(&last).is_some());
    plan.outputs.write(
        without.as_ref(),
        &mut last.results,
        has_ended_early,
        last.latencies.named(),
    );
    Ok(last.results.verdict)
}

/// Does one of the runs.
fn measure(
    plan: &Plan,
    interrupt: &Interrupt,
    stage: Stage,
    load: Load,
) -> Result<Measured, Failure> {
    if matches!(stage, Stage::Without | Stage::With) && !plan.is_quiet {
        tell(format_args!("note: the run {}", stage.title()));
    }
    let run = Run::new(stage.target(|| plan.target())?, load).with_interrupt(interrupt);
    let mut terminal = Terminal::new(Lines::new(out(plan, stage)), screen(plan, stage));
    let Some(path) = plan.outputs.record.as_deref() else {
        return run.measure(&mut terminal);
    };
    if stage == Stage::Calibration {
        return run.measure(&mut terminal);
    }
    let unwritten = |source| Failure::Write {
        path: path.to_owned(),
        source,
    };
    let mut draft = Draft::begin(path).map_err(unwritten)?;
    let mut measured = run.with_record(&mut draft).measure(&mut terminal)?;
    let kept = measured.unrecorded.take().map_or_else(|| draft.keep(), Err);
    if let Err(unwritten) = kept.map_err(unwritten) {
        // What was found outweighs that it could not be recorded.
        if measured.failure.is_some() {
            terminal.noted(&unwritten.to_string());
        } else {
            outweigh(&mut measured.results.verdict, unwritten.verdict());
            measured.failure = Some(unwritten);
        }
    }
    Ok(measured)
}

/// Returns where the result lines go.
fn out(plan: &Plan, stage: Stage) -> Box<dyn Write> {
    if plan.is_quiet || stage == Stage::Calibration {
        Box::new(io::sink())
    } else if plan.is_judged || plan.outputs.has_files() {
        Box::new(WhileRead(io::stdout()))
    } else {
        Box::new(io::stdout())
    }
}

fn screen(plan: &Plan, stage: Stage) -> Screen {
    if plan.is_quiet {
        Screen::quiet()
    } else {
        Screen::new(stage.title())
    }
}

/// Returns what went wrong, if anything did. That whoever read standard output has had enough is
/// nothing wrong.
fn failure(measured: &Measured) -> Option<&Failure> {
    let failure = measured.failure.as_ref();
    failure.filter(|failure| !failure.is_closed_pipe())
}

fn tell_what_went_wrong(plan: &Plan, last: &Measured) {
    if let Some(failure) = failure(last) {
        tell(format_args!("error: {failure}"));
        if failure.depends_on_seed() {
            let seed = plan.campaign.load.seed;
            tell(format_args!("note: repeat it with --seed {seed}"));
        }
    }
    match &last.results.verdict {
        Verdict::Failed { why } => {
            for why in why {
                tell(format_args!("error: {why}"));
            }
        }
        Verdict::Inconclusive { why } if failure(last).is_none() => {
            tell(format_args!("error: inconclusive: {why}"));
        }
        _ => {}
    }
}

fn print_table(plan: &Plan, results: &mut Results) {
    if plan.is_quiet || (plan.is_classic && !io::stdout().is_terminal()) {
        return;
    }
    match table::print(results, takes_colours(), &mut io::stdout()) {
        Err(error) if !is_closed_pipe(&error) => tell_later(results, &OutputError::Print(error)),
        _ => {}
    }
}
