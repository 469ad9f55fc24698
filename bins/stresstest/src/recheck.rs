//! The verdict on a recording.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;

use chat_report::{is_closed_pipe, tell};
use chat_trace::Conviction;
use chat_trace::recording::{Reader, RecordingError};
use clap::Parser;

use crate::{EXIT_BROKEN, EXIT_INCONCLUSIVE, EXIT_PASSED, EXIT_STOPPED};

/// Repeats the verdict on what --record has recorded, without the server
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What was recorded
    file: PathBuf,
}

/// Rechecks a recording, if that is what the process was started for, and returns the exit code.
/// `args` come after the executable.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    args.next().filter(|name| name == NAME)?;
    let Args { file } = Args::parse_from(
        [OsString::from(format!("stresstest {NAME}"))]
            .into_iter()
            .chain(args),
    );
    Some(match recheck(&file, &mut io::stdout()) {
        Ok(()) => EXIT_PASSED,
        Err(Failure::Broken {
            iteration,
            conviction,
        }) => {
            tell(format_args!("error: iteration {iteration}: {conviction}"));
            EXIT_BROKEN
        }
        Err(failure @ Failure::Incomplete) => {
            tell(format_args!("error: inconclusive: {failure}"));
            EXIT_INCONCLUSIVE
        }
        Err(failure) => {
            tell(format_args!(
                "error: cannot recheck {}: {failure}",
                file.display()
            ));
            EXIT_STOPPED
        }
    })
}

fn recheck(file: &PathBuf, out: &mut impl Write) -> Result<(), Failure> {
    let file = File::open(file).map_err(RecordingError::Read)?;
    let mut recording = Reader::begin(BufReader::with_capacity(BUF_LEN, file))?;
    let mut is_complete = true;
    while let Some(proof) = recording.next_repetition()? {
        let iteration = proof.iteration();
        proof.verdict().map_err(|conviction| Failure::Broken {
            iteration,
            conviction,
        })?;
        let (deliveries, messages) = (proof.recorded_count(), proof.message_count());
        is_complete &= proof.is_complete();
        let end = if proof.is_complete() {
            ""
        } else {
            ", but it did not come to its end"
        };
        match writeln!(
            out,
            "iteration {iteration}: one order of {messages} messages explains all of {deliveries} deliveries{end}"
        ) {
            // Whoever read this has had enough, which changes no verdict.
            Err(error) if !is_closed_pipe(&error) => return Err(error.into()),
            _ => {}
        }
    }
    if is_complete {
        Ok(())
    } else {
        Err(Failure::Incomplete)
    }
}

/// Why a recording did not pass.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("iteration {iteration}: {conviction}")]
    Broken {
        iteration: u16,
        conviction: Conviction,
    },
    #[error("a repetition did not come to its end, and only the run could tell why")]
    Incomplete,
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// What asks for this, as the first argument.
const NAME: &str = "recheck";

/// Length of the buffer in bytes. A judgement: recordings are long.
const BUF_LEN: usize = 1 << 20;
