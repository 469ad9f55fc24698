//! `chat-server`: forwards every message to every client, in one order that all clients agree on.

mod args;
mod clients;
mod limits;
mod listener;
mod log_writer;
mod logging;
mod runtime;
mod server;
mod serving;
mod signals;
mod socket;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use clap::Parser;

use crate::args::Args;
use crate::server::{Server, StartError};

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal says to end. Other threads do all the work; this one waits for the signal.
fn run(args: &Args) -> Result<(), StartError> {
    let mut signals = signals::terminating().map_err(StartError::Signals)?;
    limits::check_threads()?;
    let _log = logging::start(args.log.clone()).map_err(StartError::Log)?;
    let server = Server::start(args)?;
    print_ready_lines(server.address(), server.tls_address());
    signals.forever().next();
    tracing::info!("ending");
    server.end(args.drain_timeout);
    Ok(())
}

/// Prints why the server did not start, but does not wait for ever until somebody reads it.
fn tell(error: &StartError) {
    let line = format!("error: {error}\n");
    match log_writer::start(io::stderr(), 1) {
        Ok((mut writer, _end)) => writer.write_all(line.as_bytes()),
        Err(_) => io::stderr().write_all(line.as_bytes()),
    }
    // Nobody is left to be told.
    .unwrap_or_default();
}

/// Prints the only line that ever goes to stdout; where there is TLS, there is a second one, after
/// it. It may have to wait until somebody reads there; nothing else waits for that.
fn print_ready_lines(address: SocketAddr, tls_address: Option<SocketAddr>) {
    let mut lines = format!("listening on {address}\n");
    if let Some(address) = tls_address {
        lines += &format!("listening on {address} with TLS\n");
    }
    let print = move || {
        let mut stdout = io::stdout().lock();
        let printed = stdout
            .write_all(lines.as_bytes())
            .and_then(|()| stdout.flush());
        if let Err(error) = printed {
            tracing::warn!("cannot print the ready line: {error}; serving all the same");
        }
    };
    let printing = thread::Builder::new().name("ready".to_owned()).spawn(print);
    if let Err(error) = printing {
        tracing::warn!("cannot print the ready line: {error}; serving all the same");
    }
}
