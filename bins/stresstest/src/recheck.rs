//! The verdict on a recording.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::iter;
use std::path::{Path, PathBuf};

use chat_report::{WhileRead, tell};
use chat_stress::{RecheckError, RecordingError};
use clap::Parser;

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
    let Args { file } = Args::parse_from(iter::once("stresstest recheck".into()).chain(args));
    let Err(error) = recheck(&file) else {
        return Some(0);
    };
    match &error {
        RecheckError::Broken { .. } => tell(format_args!("error: {error}")),
        RecheckError::Incomplete => tell(format_args!("error: inconclusive: {error}")),
        _ => tell(format_args!(
            "error: cannot recheck {}: {error}",
            file.display()
        )),
    }
    Some(error.verdict().exit_code())
}

fn recheck(file: &Path) -> Result<(), RecheckError> {
    let file = File::open(file).map_err(RecordingError::Read)?;
    // Whoever reads this may have had enough, which changes no verdict.
    let mut out = WhileRead(io::stdout());
    chat_stress::recheck(BufReader::with_capacity(BUF_LEN, file), |kept| {
        writeln!(out, "{kept}")
    })
}

/// What asks for this, as the first argument.
const NAME: &str = "recheck";

/// Length of the buffer in bytes. A judgement: recordings are long.
const BUF_LEN: usize = 1 << 20;
