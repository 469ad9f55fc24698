//! A load tester for broadcast chat servers that proves their order promise while it measures them.
//!
//! It starts a server, drives it from many connections on one thread, and records what every client
//! sent and received. A repetition passes only if one order of all messages explains the records;
//! what the server dropped is proved and counted.
//!
//! `command` does what the command line asks for; `run` tells the story of a run, `load` that of a
//! repetition; `proof` has what is recorded and the verdict on it. What was found is in `results`,
//! which `judge` compares and `report` prints.

mod args;
mod command;
mod load;
mod monitor;
mod null;
mod recheck;
mod run;
mod server;
mod tally;
mod watch;

use std::process::ExitCode;

use crate::args::Args;

fn main() -> ExitCode {
    if let Some(exit_code) = null::run(std::env::args_os().skip(1)) {
        return exit_code;
    }
    if let Some(exit_code) = recheck::run(std::env::args_os().skip(1)) {
        return exit_code.into();
    }
    command::execute(&Args::read()).into()
}

/// All repetitions passed.
const EXIT_PASSED: u8 = 0;

/// The run could not be completed.
const EXIT_STOPPED: u8 = 1;

/// The command line makes no sense.
const EXIT_USAGE: u8 = 2;

/// The server broke the specification.
const EXIT_BROKEN: u8 = 3;

/// A threshold was crossed, or the results are worse than the baseline.
const EXIT_FAILED: u8 = 4;

/// What the results tell is uncertain.
const EXIT_INCONCLUSIVE: u8 = 5;

/// A signal asked to stop: 128 and the number of SIGINT, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;
