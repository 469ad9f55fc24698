//! A load tester for broadcast chat servers that proves their order promise while it measures them.
//!
//! It starts a server, drives it from many connections on one thread, and records what every client
//! sent and received. A repetition passes only if one order of all messages explains the records;
//! what the server dropped is proved and counted.
//!
//! `command` does what the command line asks for; `run` tells the story of a run, `load` that of a
//! repetition; `proof` has what is recorded and the verdict on it. What was found is in `results`,
//! which `judge` compares and `report` prints. `conform` is a command of its own: it measures nothing
//! and tells whether a server keeps the specification.

mod args;
mod command;
mod conform;
mod monitor;
mod recheck;
mod run;
mod tally;

use std::process::ExitCode;

use chat_report::tell;
use chat_target::null::{self, NullError};

use crate::args::Args;

fn main() -> ExitCode {
    if let Some(served) = null::run(std::env::args_os().skip(1)) {
        return exit_code_of_null(served).into();
    }
    if let Some(exit_code) = recheck::run(std::env::args_os().skip(1)) {
        return exit_code.into();
    }
    if let Some(exit_code) = conform::run(std::env::args_os().skip(1)) {
        return exit_code.into();
    }
    command::execute(&Args::read()).into()
}

/// Tells why the null broadcaster ended.
fn exit_code_of_null(served: Result<(), NullError>) -> u8 {
    match served {
        Ok(()) => EXIT_PASSED,
        // Nobody is left to be told.
        Err(NullError::Orphaned) => EXIT_STOPPED,
        Err(error @ NullError::Usage) => {
            tell(error);
            EXIT_USAGE
        }
        Err(error) => {
            tell(format_args!("error: {error}"));
            EXIT_STOPPED
        }
    }
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
