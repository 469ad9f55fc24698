//! `stresstest compare`: which of some servers is faster, and whether that is real.

mod args;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_compare::report::table::Styling;
use chat_compare::report::{csv, exit_code, json, markdown, table};
use chat_compare::{Candidate, Comparison, Job, Plan, Preset};
use chat_html::Document;
use chat_report::atomic_file::Draft;
use chat_report::table::takes_colours;
use chat_report::tell;
use chat_results::comparison::Placement;
use chat_results::{Load, Pacing};
use chat_stress::{LoadError, check_load};
use chat_target::Interrupt;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::files::{is_printed, is_stdout, is_written};
use crate::html::{self, HtmlError};

pub(crate) use self::args::Args;
use self::args::{PresetName, Processors, Sweep};

/// Compares servers, if that is what the process was started for, and returns the exit code. `args`
/// come after the executable.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    args.next().filter(|name| name == "compare")?;
    let name = OsString::from("stresstest compare");
    let args = Args::parse_from([name].into_iter().chain(args));
    let plan = args.plan().unwrap_or_else(|problem| {
        Args::command()
            .error(ErrorKind::ValueValidation, problem)
            .exit()
    });
    let exit_code = compare(&args, &plan).unwrap_or_else(|error| {
        tell(format_args!("error: cannot watch for signals: {error}"));
        EXIT_STOPPED
    });
    Some(exit_code)
}

fn compare(args: &Args, plan: &Plan) -> io::Result<u8> {
    let interrupt = Interrupt::on_signals()?;
    let shows_progress = !args.quiet && io::stderr().is_terminal();
    let comparison = plan.run(&interrupt, &mut |turn| {
        if shows_progress {
            let round = turn.round.map_or(0, |round| round + 1);
            tell(format_args!(
                "{}: round {round} of {}, {}",
                turn.job.name, turn.rounds, turn.server
            ));
        }
    });
    // Files first: nobody may read the terminal any more.
    let is_all_written = write_files(args, &comparison);
    let mut text = Vec::new();
    if !args.quiet && !args.has_stdout() {
        let styling = if takes_colours() {
            Styling::Ansi
        } else {
            Styling::Plain
        };
        table::write(&comparison, styling, &mut text).expect("memory takes all that is written");
    }
    let is_told = is_printed("the table", io::stdout().write_all(&text)) && is_all_written;
    // What was found outweighs that it could not be told.
    Ok(match exit_code(&comparison) {
        0 if !is_told => EXIT_STOPPED,
        code => code,
    })
}

impl Args {
    fn plan(&self) -> Result<Plan, String> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in &self.servers {
            if candidates.iter().any(|it| it.name() == candidate.name()) {
                return Err(format!(
                    "two servers are called {}: name them, like a={0} b={0}",
                    candidate.name()
                ));
            }
            candidates.push(candidate.clone());
        }
        let mut jobs = self.jobs();
        for job in &mut jobs {
            job.load.timeout = self.timeout;
            check_load(&job.load).map_err(|error: LoadError| error.to_string())?;
        }
        let processors = match (self.processors, self.preset) {
            (Some(processors), _) => processors,
            (None, Some(PresetName::Full)) => Processors::Both,
            _ => Processors::All,
        };
        let (all, one) = (Placement::AllProcessors, Placement::OneProcessor);
        Ok(Plan {
            candidates,
            jobs,
            placements: match processors {
                Processors::All => vec![all],
                Processors::One => vec![one],
                Processors::Both => vec![all, one],
            },
            rounds: self.rounds,
            confidence: self.confidence,
            seed: self.seed,
            has_ceiling: !self.no_ceiling,
            guard: std::env::current_exe().ok(),
        })
    }

    fn jobs(&self) -> Vec<Job> {
        match self.preset {
            Some(PresetName::Quick) => return Preset::Quick.jobs(),
            Some(PresetName::Full) => return Preset::Full.jobs(),
            None => {}
        }
        let load = Load {
            messages: self.messages,
            duration: self
                .duration
                .or(self.messages.is_none().then_some(DURATION)),
            pacing: Pacing::window(WINDOW),
            ..self.shape.load()
        };
        let job = Job::of(load);
        match self.window.as_ref().or(self.rate.as_ref()) {
            None => vec![job],
            Some(Sweep(points)) => job.sweep(points),
        }
    }

    fn has_stdout(&self) -> bool {
        let files = [&self.json, &self.csv, &self.markdown, &self.html];
        files.into_iter().flatten().any(is_stdout)
    }
}

/// Writes all files, each even where another fails. Tells whether all are written.
fn write_files(args: &Args, comparison: &Comparison) -> bool {
    let write = |path: &Option<PathBuf>, write: &dyn Fn(&Path) -> io::Result<()>| {
        let path = path.as_deref();
        path.is_none_or(|path| is_written(path, write(path)))
    };
    let written = [
        write(&args.json, &|path| {
            Draft::write(path, json::to_text(comparison)?.as_bytes())
        }),
        write(&args.csv, &|path| {
            chat_report::csv::append(path, &csv::table(comparison))
        }),
        write(&args.markdown, &|path| {
            let mut text = String::new();
            markdown::write(comparison, &mut text).map_err(io::Error::other)?;
            Draft::write(path, text.as_bytes())
        }),
        write(&args.html, &|path| {
            let document = Document::from(comparison.clone());
            html::write(path, [document]).map_err(HtmlError::into_io)
        }),
    ];
    written.iter().all(|it| *it)
}

const EXIT_STOPPED: u8 = 1;

/// How long publishers send when nothing is said. A judgement: long beside a start, and 12 rounds take
/// less than a minute.
const DURATION: Duration = Duration::from_secs(1);

/// How many messages are in flight when nothing is said. A judgement: enough to keep servers busy.
const WINDOW: u32 = 100;
