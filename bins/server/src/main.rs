//! `chat-server`: forwards every message to every client, in one order that all clients agree on.

mod args;
mod limits;
mod runtime;
mod server;
mod serving;
mod socket;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Args;
use crate::server::{Server, StartError};

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(args.log.clone());
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal says to end. Other threads do all the work; this one waits for the signal.
fn run(args: &Args) -> Result<(), StartError> {
    let mut signals = terminating_signals().map_err(StartError::Signals)?;
    let server = Server::start(args)?;
    print_ready_line(&server);
    signals.forever().next();
    tracing::info!("ending");
    server.end(args.drain_timeout());
    Ok(())
}

/// Returns SIGINT and SIGTERM as they come. From the second one on they end the process at once.
fn terminating_signals() -> io::Result<Signals> {
    let is_ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: a signal that finds the flag set ends the process, one that does not sets
        // it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_ending))?;
        flag::register(signal, Arc::clone(&is_ending))?;
    }
    Signals::new([SIGINT, SIGTERM])
}

/// Prints the only line that ever goes to stdout.
fn print_ready_line(server: &Server) {
    let mut stdout = io::stdout().lock();
    let printed =
        writeln!(stdout, "listening on {}", server.address()).and_then(|()| stdout.flush());
    if let Err(error) = printed {
        tracing::warn!("cannot print the ready line: {error}; serving all the same");
    }
}

fn log_to_stderr(filter: Targets) {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(layer)
        .with(filter)
        .init();
}
