//! The verdict on a recording.

use std::ffi::OsString;
use std::io::{self, Write};
use std::iter;
use std::path::PathBuf;

use chat_report::{WhileRead, tell};
use chat_stress::{RecheckError, recheck_file};
use clap::Parser;

/// Repeats the verdict on what --record has recorded, without the server
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// What was recorded
    file: PathBuf,
}

/// Rechecks a recording, if that is what the process was started for, and returns the exit code.
/// `args` come after the executable.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    args.next().filter(|name| name == "recheck")?;
    let Args { file } = Args::parse_from(iter::once("stresstest recheck".into()).chain(args));
    // Whoever reads this may have had enough, which changes no verdict.
    let mut out = WhileRead(io::stdout());
    let Err(error) = recheck_file(&file, |kept| writeln!(out, "{kept}")) else {
        return Some(0);
    };
    let what = match &error {
        RecheckError::Broken { .. } => "error:".to_owned(),
        RecheckError::Incomplete => "error: inconclusive:".to_owned(),
        _ => format!("error: cannot recheck {}:", file.display()),
    };
    tell(format_args!("{what} {error}"));
    Some(error.verdict().exit_code())
}
