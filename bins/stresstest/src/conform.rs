//! `stresstest conform`: whether a server keeps the specification.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_conform::{Report, Suite, SuiteError};
use chat_html::{Conformance, Document};
use chat_report::atomic_file::Draft;
use chat_report::{parse_output, tell};
use chat_results::parse_timeout;
use chat_target::{EXIT_INTERRUPTED, Interrupt};
use clap::{Parser, value_parser};

use crate::args::{Place, SERVERS_MAX, resolve};
use crate::files::{is_printed, is_stdout, is_written};
use crate::html::{self, HtmlError};

/// Tells whether a server keeps the specification of the broadcast chat
///
/// Takes the specification apart into cases and runs each on a server of its own. Cases are chosen
/// by their ids behind `conform=`, separated by commas; in an id, * stands for any characters.
#[derive(Debug, Parser)]
#[command(version, override_usage = USAGE, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// List the cases and start nothing
    #[arg(long)]
    list: bool,

    /// Count failures of the level SHOULD, too
    #[arg(long)]
    strict: bool,

    /// Begin no further case after a failure that counts
    #[arg(long)]
    fail_fast: bool,

    /// Write the report to this file as JUnit XML; `-` is standard output, which has nothing else then;
    /// so it is for the next options
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    junit: Option<PathBuf>,

    /// Write the report to this file as JSON
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    json: Option<PathBuf>,

    /// Write the report to this file as one HTML page, which needs no network
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    html: Option<PathBuf>,

    /// Number of cases that run side by side [default: twice the number of processors]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=64))]
    jobs: Option<u32>,

    /// Time that anything a case waits for may take; a right server never needs it
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_timeout)]
    timeout: Duration,

    /// Run the cases on a server that runs already, at IP:PORT or NAME:PORT, or on several with commas
    /// between them that promise one order together. A case's clients connect to them in turn; cases that
    /// start, watch or end a server are skipped. Nobody else may use them meanwhile
    #[arg(long, value_name = "ADDR,...", value_parser = resolve, value_delimiter = ',', conflicts_with_all = ["executable", "servers", "jobs"])]
    connect: Vec<Place>,

    /// Have each case start N servers that promise one order together, and its clients connect to them
    /// in turn. In the arguments, the letter n in braces is the number of the server, from 1, and {run}
    /// a word of this group alone
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=SERVERS_MAX))]
    servers: Option<u16>,

    /// Print nothing but failures
    #[arg(short, long)]
    quiet: bool,

    /// Server to test
    #[arg(required_unless_present_any = ["list", "connect"])]
    executable: Option<PathBuf>,

    /// Arguments for the server, which gets them before the address
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Runs the cases, if that is what the process was started for, and returns the exit code. `args`
/// come after the executable.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    let word = args.next()?;
    let globs = match word.to_str()?.strip_prefix(NAME)? {
        "" => None,
        rest => Some(rest.strip_prefix('=')?.to_owned()),
    };
    let name = OsString::from(format!("stresstest {NAME}"));
    let args = Args::parse_from([name].into_iter().chain(args));
    Some(match conform(&args, globs.as_deref()) {
        Ok(exit_code) => exit_code,
        Err(failure) => {
            tell(format_args!("error: {failure}"));
            match failure {
                Failure::Suite(SuiteError::NoSuchCase { .. }) => EXIT_USAGE,
                _ => EXIT_STOPPED,
            }
        }
    })
}

fn conform(args: &Args, globs: Option<&str>) -> Result<u8, Failure> {
    let suite = suite(args, globs)?;
    if args.list {
        let is_told = is_printed("the list", list(&suite));
        return Ok(if is_told { EXIT_PASSED } else { EXIT_STOPPED });
    }
    let interrupt = Interrupt::on_signals().map_err(Failure::Watch)?;
    let shows_progress = io::stderr().is_terminal() && !args.quiet;
    let report = suite.interrupt(interrupt.clone()).run_with(&|result| {
        if shows_progress {
            tell(format_args!("{} done", result.case.id()));
        }
    })?;
    // Files first: nobody may read the terminal any more.
    let mut is_told = write_files(args, &report);
    let has_stdout = [&args.junit, &args.json, &args.html]
        .into_iter()
        .flatten()
        .any(is_stdout);
    if !has_stdout && (!args.quiet || !report.has_passed()) {
        is_told &= is_printed("the report", write!(io::stdout(), "{report}"));
    }
    Ok(if !report.has_passed() {
        EXIT_BROKEN
    } else if interrupt.is_interrupted() {
        EXIT_INTERRUPTED
    } else if !is_told {
        EXIT_STOPPED
    } else {
        EXIT_PASSED
    })
}

fn suite(args: &Args, globs: Option<&str>) -> Result<Suite, SuiteError> {
    let suite = if args.connect.is_empty() {
        let suite = Suite::new(args.executable.clone().unwrap_or_default());
        let suite = suite.args(args.args.iter().cloned());
        args.servers
            .map_or(suite.clone(), |count| suite.group_of(count))
    } else {
        Suite::running(args.connect.iter().map(|place| place.addr))
    };
    let suite = suite
        .strict(args.strict)
        .fail_fast(args.fail_fast)
        .patience(args.timeout);
    let suite = match args.jobs {
        Some(jobs) => suite.jobs(jobs as usize),
        None => suite,
    };
    match globs {
        Some(globs) => suite.only(globs.split(',')),
        None => Ok(suite),
    }
}

fn list(suite: &Suite) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for case in suite.cases() {
        writeln!(out, "{:<40} {:<6} {}", case.id(), case.level(), case.does())?;
    }
    Ok(())
}

/// Writes all files, each even where another fails. Tells whether all are written.
fn write_files(args: &Args, report: &Report) -> bool {
    let write = |path: &Option<PathBuf>, write: &dyn Fn(&Path) -> io::Result<()>| {
        let path = path.as_deref();
        path.is_none_or(|path| is_written(path, write(path)))
    };
    let written = [
        write(&args.junit, &|path| {
            let mut text = Vec::new();
            report.write_junit(&mut text)?;
            Draft::write(path, &text)
        }),
        write(&args.json, &|path| Draft::write(path, &json(report)?)),
        write(&args.html, &|path| {
            html::write(path, [Document::Conformance(kept(report)?)]).map_err(HtmlError::into_io)
        }),
    ];
    written.iter().all(|it| *it)
}

fn json(report: &Report) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    report.write_json(&mut text)?;
    Ok(text)
}

/// Returns a report as it is kept, which pages are made of.
fn kept(report: &Report) -> io::Result<Conformance> {
    Ok(serde_json::from_slice(&json(report)?)?)
}

/// Why there is no verdict, or nobody could be told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("cannot watch for signals: {0}")]
    Watch(io::Error),
}

const EXIT_PASSED: u8 = 0;
const EXIT_STOPPED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_BROKEN: u8 = 3;

/// What it is called on the command line.
const NAME: &str = "conform";

const USAGE: &str = "stresstest conform[=IDS] [OPTIONS] EXECUTABLE [ARGS]...";

const AFTER_HELP: &str = "\
Exit codes:
  3    the server broke the specification: a case of the level MUST failed, or with --strict one of SHOULD
  1    the executable cannot be started, or a file cannot be written
  130  interrupted; cases that had not ended are skipped
  0    passed
  2    the command line makes no sense, as when an id matches no case; nothing was started

Examples:
  stresstest conform ./target/release/chat-server
  stresstest conform --list
  stresstest conform --connect 127.0.0.1:8080,127.0.0.1:8081
  stresstest 'conform=rule-3/*,rule-8/*' --strict --junit conform.xml python3 my_server.py";
