//! Does what the command line asks for, from the first run to the exit code.

use std::path::Path;

use chat_html::Document;
use chat_report::atomic_file::Draft;
use chat_report::{
    LinesTo, OutputError, Progress, Terminal, table, tell, tell_later, tell_verdict,
};
use chat_results::judge::{Change, outweigh};
use chat_results::{Load, Observer, Results, Verdict};
use chat_stress::{Failure, Findings, Interrupt, Measured, Run, Stage};

use crate::html::{self, HtmlError};
use crate::plan::Plan;

/// Does what the command line asks for, and returns the exit code.
pub(crate) fn execute() -> u8 {
    let plan = match Plan::read() {
        Ok(plan) => plan,
        Err(error) => {
            tell(format_args!("error: {error}"));
            return EXIT_STOPPED;
        }
    };
    let verdict = measure_and_judge(&plan).unwrap_or_else(|failure| {
        tell(format_args!("error: {failure}"));
        failure.verdict()
    });
    verdict.exit_code()
}

fn measure_and_judge(plan: &Plan) -> Result<Verdict, Failure> {
    let interrupt = Interrupt::on_signals().map_err(Failure::Poll)?;
    let Findings { last, without } = plan
        .campaign
        .measure(|stage, load| measure(plan, &interrupt, stage, load))?;
    let (mut results, without) = (last.results, without.map(|it| it.results));
    let ended = last.failure.as_ref().map(Failure::verdict);
    results.verdict = plan.standard.judge(&results, ended);
    if plan.has_notes {
        // Regressions are told with the verdict.
        let compared = plan.standard.compare(&results).into_iter();
        for it in compared.filter(|it| it.change != Change::Worse) {
            tell(format_args!("note: {}", it.told));
        }
    }
    // That whoever read standard output has had enough is nothing wrong.
    let failure = last.failure.as_ref().filter(|it| !it.is_closed_pipe());
    let seed = failure.filter(|failure| failure.depends_on_seed());
    let seed = seed.map(|_| plan.campaign.load.seed);
    tell_verdict(&results.verdict, failure.map(|it| it as _), seed);
    if plan.tells_not_tested && !results.not_tested.is_empty() {
        let what = results.not_tested.join("; ");
        tell(format_args!("note: not tested here: {what}"));
    }
    // Who cannot print the lines cannot print the table.
    if plan.has_table
        && !matches!(last.failure, Some(Failure::Print(_)))
        && let Err(error) = table::print_on_stdout(&results)
    {
        tell_later(&mut results, &OutputError::Print(error));
    }
    let has_ended_early = failure.is_some();
    let histograms = last.latencies.named();
    let page = |path: &Path, results: &Results| {
        let documents = without.iter().chain([results]).cloned();
        html::write(path, documents.map(Document::from)).map_err(HtmlError::into_io)
    };
    plan.outputs.write(
        without.as_ref(),
        &mut results,
        has_ended_early,
        histograms,
        page,
    );
    Ok(results.verdict)
}

/// Does one of the runs.
fn measure(
    plan: &Plan,
    interrupt: &Interrupt,
    stage: Stage,
    load: Load,
) -> Result<Measured, Failure> {
    if matches!(stage, Stage::Without | Stage::With) && plan.progress == Progress::Shown {
        tell(format_args!("note: the run {}", stage.title()));
    }
    let run = Run::new(stage.target(|| plan.target())?, load)
        .with_protocol(plan.protocol)
        .with_interrupt(interrupt);
    let run = match &plan.tls {
        None => run,
        Some(tls) => run.over_tls(tls.clone()),
    };
    let lines = if matches!(stage, Stage::Calibration | Stage::InFlight) {
        LinesTo::Nowhere
    } else {
        plan.lines
    };
    let mut terminal = Terminal::standard(stage.title(), lines, plan.progress);
    let record = match stage {
        Stage::Calibration | Stage::InFlight => None,
        Stage::Without => plan.outputs.record_without.as_deref(),
        _ => plan.outputs.record.as_deref(),
    };
    let Some(path) = record else {
        return run.measure(&mut terminal);
    };
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

/// What an end is that is neither a verdict on the server nor one on the command line.
const EXIT_STOPPED: u8 = 1;
