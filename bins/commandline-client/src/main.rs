//! `commandline-client`: a client of a broadcast chat server, for terminals and pipes.

mod args;

use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::process::ExitCode;

use chat_client::pipe::{self, Notice};
use chat_client::{Address, ConnectError, Stream, Tls, patient, terminal};
use clap::{CommandFactory, Parser};

use crate::args::Args;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            tell("error", error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(text) = args.manual.text(Args::command()) {
        print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let tls = args.tls.read()?;
    if let Some(text) = args.tls.warning() {
        tell("warning", text);
    }
    if args.is_for_terminal(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let mut options = args.terminal_options();
        options.link.tls = tls;
        terminal::run(&args.addresses, &options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let input = input(args)?;
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let options = args.pipe_options(output.is_terminal());
    let (address, stream) = connect(args, tls.as_ref())?;
    let summary = pipe::run(stream, input, output, &options, |notice| match notice {
        Notice::Refused(line) => tell("error", line),
        notice => tell("warning", notice),
    })
    .map_err(|error| format!("{address}: {error}"))?;
    Ok(ExitCode::from(u8::from(summary.refused > 0)))
}

/// Opens the input. It is read without a buffer in between.
fn input(args: &Args) -> Result<File, Box<dyn Error>> {
    match &args.send_file {
        Some(path) => File::open(path)
            .map_err(|error| format!("cannot open {}: {error}", path.display()).into()),
        None => Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?)),
    }
}

/// Connects to the first address that answers.
fn connect<'a>(args: &'a Args, tls: Option<&Tls>) -> Result<(&'a Address, Stream), ConnectError> {
    let connect = |address: &Address| match tls {
        Some(tls) => address.connect_over(tls, args.connect_timeout),
        None => address.connect(args.connect_timeout).map(Stream::from),
    };
    let (last, others) = args.addresses.split_last().expect("there is a default");
    for address in others {
        match connect(address) {
            Ok(stream) => return Ok((address, stream)),
            Err(error) => tell("warning", format!("{error}; trying the next address")),
        }
    }
    Ok((last, connect(last)?))
}

/// Prints what was asked for instead of a chat.
fn print(text: &str) -> io::Result<()> {
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    match patient::write_all(&mut output, text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Tells the user something, in one write, so that the lines of two threads do not mix.
fn tell(kind: &str, text: impl Display) {
    // Nobody is left to be told when standard error is closed.
    let _ = patient::write_all(&mut io::stderr(), format!("{kind}: {text}\n").as_bytes());
}
