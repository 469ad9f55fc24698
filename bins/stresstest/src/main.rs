//! A load tester for broadcast chat servers that proves their order promise while it measures them.
//!
//! It starts a server, drives it from many connections on one thread, and records what every client sent and received. A repetition
//! passes only if one order of all messages explains the records; what the server dropped is proved and counted.
//!
//! `run` tells the story of a run, `load` that of a repetition; `proof` has what is recorded and the verdict on it.

mod args;
#[cfg_attr(not(test), expect(dead_code, reason = "what calls it comes next"))]
mod judge;
mod load;
mod proof;
mod report;
mod results;
mod run;
mod server;
mod watch;

use std::process::ExitCode;

use crate::args::Args;
use crate::report::tell;

fn main() -> ExitCode {
    let args = Args::read();
    let Err(failure) = run::run(&args, std::io::stdout()) else {
        return EXIT_PASSED.into();
    };
    let exit_code = failure.exit_code();
    if exit_code != EXIT_PASSED {
        tell(format_args!("error: {failure}"));
    }
    if failure.depends_on_seed() {
        tell(format_args!("note: repeat it with --seed {}", args.seed));
    }
    exit_code.into()
}

/// All repetitions passed.
const EXIT_PASSED: u8 = 0;

/// The run could not be completed, or left something that could not be proved.
const EXIT_FAILED: u8 = 1;

/// The server broke the specification.
const EXIT_BROKEN: u8 = 3;

/// A signal asked to stop: 128 and the number of SIGINT, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;
