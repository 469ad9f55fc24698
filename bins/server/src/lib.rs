//! The program `chat-server`: forwards every message to every client, in one order that all clients
//! agree on.
//!
//! This is no library for other programs: it has [`run`] for the binary and, under `--cfg fuzzing`,
//! checks for the fuzzer. A program that is to serve a chat itself uses chat-session and chat-hub.

mod acceptor;
mod activation;
mod address;
mod admission;
mod args;
mod client;
mod clients;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(not(feature = "cluster"))]
#[path = "no_cluster.rs"]
mod cluster;
mod config;
mod entrance;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod inside;
mod limits;
mod listener;
mod log_writer;
mod logging;
mod loss_log;
mod memory;
mod message_limit;
mod notify;
mod parting;
mod patience;
mod peer;
mod proxy;
mod runtime;
mod server;
mod serving;
mod settings;
mod signals;
mod socket;
mod socket_file;
mod stream;
mod throttle;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use clap::CommandFactory;
use tracing::{info, warn};

use crate::activation::HandedOver;
use crate::address::Address;
use crate::args::{Args, Command, LogFormat};
use crate::cluster::Cluster;
use crate::config::{Options, OptionsError};
use crate::logging::Log;
use crate::notify::ServiceManager;
use crate::server::{Server, StartError};
use crate::signals::{Request, Requests};

/// Does what the command line of this process asks for, which usually is to serve until a signal says
/// to end. Returns the exit code of the process.
pub fn run() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(OptionsError::Usage(error)) => error.exit(),
        Err(error) => {
            tell(&error);
            return ExitCode::from(2);
        }
    };
    let ended = if let Some(Command::Top(top)) = &options.args.command {
        top.run().map_err(StartError::Top)
    } else if options.args.check_config {
        check(&options)
    } else if let Some(text) = options.args.manual.text(Args::command()) {
        print(text.as_bytes()).map_err(StartError::Print)
    } else {
        serve(options)
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            error.exit_code()
        }
    }
}

/// Checks what can be checked without serving, and prints the options as a file that says the same.
fn check(options: &Options) -> Result<(), StartError> {
    options.args.check_addresses()?;
    options.args.check_memory()?;
    options.args.tls.check()?;
    Cluster::check_args(&options.args.cluster)?;
    print(options.to_string().as_bytes()).map_err(StartError::Print)
}

/// Prints what was asked for instead of serving. A reader may have seen enough of it.
fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Serves until a signal says to end. Other threads do all the work; this one waits for the signal.
fn serve(mut options: Options) -> Result<(), StartError> {
    let handed_over = HandedOver::take()?;
    let caught = signals::catch().map_err(StartError::Signals)?;
    limits::check_threads()?;
    let requests = caught.take().map_err(StartError::Signals)?;
    let log = logging::start(options.args.log.clone(), options.args.inside.log_format)
        .map_err(StartError::Log)?;
    let mut server = Server::start(&options.args, handed_over)?;
    if !server.accept(&mut || requests.is_end_asked())? {
        return end(server, requests);
    }
    server.watch(requests.end())?;
    print_ready_lines(server.addresses().to_vec(), server.tls_addresses().to_vec());
    let manager = ServiceManager::find();
    manager.ready();
    manager
        .keep_told(server.view())
        .map_err(StartError::Notify)?;
    loop {
        match requests.wait() {
            Request::Reload => {
                manager.reloading();
                reload(&mut options, &server, &log);
                manager.ready();
            }
            Request::State => server.view().log_asked(),
            Request::End => break,
        }
    }
    info!("ending");
    manager.stopping(server.drain_timeout());
    end(server, requests)
}

/// Ends the server in order, and answers signals meanwhile.
fn end(server: Server, requests: Requests) -> Result<(), StartError> {
    let view = server.view().clone();
    let answer = move || {
        loop {
            match requests.wait() {
                Request::Reload => {
                    warn!("the configuration stays as it was: the server is ending");
                }
                Request::State => view.log_asked(),
                Request::End => {}
            }
        }
    };
    let thread = thread::Builder::new().name("ending".to_owned());
    // Without it the server ends all the same, and a second signal ends it at once.
    let _ = thread.spawn(answer);
    server.end()
}

/// Reads the options again, and has those take effect that can.
fn reload(options: &mut Options, server: &Server, log: &Log) {
    let read = match Options::read() {
        Ok(read) => read,
        Err(error) => return warn!("the configuration stays as it was: {error}"),
    };
    if let Err(error) = server.change(&read.args) {
        return warn!("the configuration stays as it was: {error}");
    }
    if let Err(error) = server.reload_tls() {
        warn!("the certificate stays as it was: {error}");
    }
    log.set_filter(read.args.log.clone());
    for name in options.changes(&read) {
        if LATER.contains(&name) {
            info!("{name} has changed, for clients that connect from now on");
        } else if LIVE.contains(&name) {
            info!("{name} has changed");
        } else {
            warn!("{name} has changed in the configuration, which takes a restart");
        }
    }
    options.adopt(read, &LIVE);
}

/// Prints why the server did not start, but does not wait for ever until somebody reads it.
fn tell(error: &dyn std::error::Error) {
    let line = format!("error: {error}\n");
    match log_writer::start(io::stderr(), 1, LogFormat::Text) {
        Ok((mut writer, _end)) => writer.write_all(line.as_bytes()),
        Err(_) => io::stderr().write_all(line.as_bytes()),
    }
    // Nobody is left to be told.
    .unwrap_or_default();
}

/// Prints a line for each address, those of TLS last, and nothing else ever goes to stdout. It may have
/// to wait until somebody reads there; nothing else waits for that.
fn print_ready_lines(addresses: Vec<Address>, tls_addresses: Vec<Address>) {
    let print = move || {
        let mut stdout = io::stdout().lock();
        let plain = addresses
            .iter()
            .map(|address| format!("listening on {address}\n"));
        let tls = tls_addresses
            .iter()
            .map(|address| format!("listening on {address} with TLS\n"));
        let lines: String = plain.chain(tls).collect();
        let printed = stdout.write_all(lines.as_bytes());
        if let Err(error) = printed.and_then(|()| stdout.flush()) {
            warn!("cannot print the ready line: {error}; serving all the same");
        }
    };
    let printing = thread::Builder::new().name("ready".to_owned()).spawn(print);
    if let Err(error) = printing {
        warn!("cannot print the ready line: {error}; serving all the same");
    }
}

/// The options that can change while the server runs.
const LIVE: [&str; 13] = [
    "connect-rate-per-ip",
    "drain-timeout",
    "half-closed-timeout",
    "ingress-rate",
    "log",
    "max-clients",
    "max-clients-per-ip",
    "message-timeout",
    "min-drain-rate",
    "public",
    "rate-bytes",
    "rate-messages",
    "stall-timeout",
];

/// Those that clients keep as they were when they connected.
const LATER: [&str; 4] = [
    "half-closed-timeout",
    "message-timeout",
    "min-drain-rate",
    "stall-timeout",
];
