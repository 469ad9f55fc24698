//! The man page and the completions, of all commands.

use std::ffi::OsString;
use std::io::{self, Write};
use std::iter;

use chat_manual::Manual;
use chat_report::{WhileRead, tell};
use clap::{Command, CommandFactory, Parser};

use crate::{args, compare, conform, gallery, html, recheck};

/// Prints what shells and man want
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    manual: Manual,
}

/// Prints one of them, if that is what the process was started for, and returns the exit code. `args`
/// come after the executable.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> Option<u8> {
    let args: Vec<_> = args.collect();
    let first = args.first()?.to_str()?;
    if first != "--man" && !first.starts_with("--completions") {
        return None;
    }
    let args = Args::parse_from(iter::once("stresstest".into()).chain(args));
    let text = args.manual.text(command())?;
    match WhileRead(io::stdout()).write_all(text.as_bytes()) {
        Ok(()) => Some(0),
        Err(error) => {
            tell(format_args!("error: cannot print it: {error}"));
            Some(1)
        }
    }
}

/// Returns the command with the others that are found by their first word.
fn command() -> Command {
    args::Args::command().subcommands([
        compare::Args::command().name("compare"),
        conform::Args::command().name("conform"),
        gallery::Args::command().name("gallery"),
        html::Args::command().name("html"),
        recheck::Args::command().name("recheck"),
    ])
}
