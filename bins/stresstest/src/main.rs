//! A load tester for broadcast chat servers that proves their order promise while it measures them.
//!
//! `args` has the options, `plan` what they ask for, and `command` does it. All else is in
//! libraries: `chat-stress` runs the load, `chat-report` shows and writes what was found. `conform`
//! is a command of its own: it measures nothing and tells whether a server keeps the specification. So
//! is `compare`, which has servers take turns, and `gallery`, which does all of it with many servers.
//! `html` makes a page of what any of them found, `manual` the man page and the completions.

mod args;
mod command;
mod compare;
mod conform;
mod files;
mod gallery;
mod html;
mod manual;
mod plan;
mod recheck;
mod shape;

use std::process::ExitCode;

use chat_report::tell;
use chat_stress::guard;
use chat_stress::null::{self, NullError};

fn main() -> ExitCode {
    let args = || std::env::args_os().skip(1);
    let exit_code = guard::run(args())
        .map(|()| 0)
        .or_else(|| {
            null::run(args())
                .map(|served| served.map_or_else(|error| exit_code_of_null(&error), |()| 0))
        })
        .or_else(|| recheck::run(args()))
        .or_else(|| conform::run(args()))
        .or_else(|| compare::run(args()))
        .or_else(|| gallery::run(args()))
        .or_else(|| html::run(args()))
        .or_else(|| manual::run(args()))
        .unwrap_or_else(command::execute);
    exit_code.into()
}

/// Tells why the null broadcaster ended.
fn exit_code_of_null(error: &NullError) -> u8 {
    error.told().iter().for_each(tell);
    error.exit_code()
}
