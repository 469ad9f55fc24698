//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::filter::Targets;

use crate::limits::{self, LimitsError};

/// A broadcast chat server: forwards every message to every client, in one order that all clients agree on.
///
/// A message is one byte with the length of its body, and the body of 0 to 255 bytes. Every message goes to every connected client,
/// its sender included. A client that does not keep up loses messages, the oldest first and only whole ones; nobody waits for it.
///
/// When clients can connect, the server prints `listening on ADDRESS` to stdout, and nothing else there ever.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// IP address and port to listen on; with port 0 the system chooses one, and the ready line names it
    #[arg(value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = parse_address)]
    pub(crate) address: SocketAddr,

    /// How many clients may be connected at a time; further ones are accepted and closed at once [default: what the limit on open
    /// files has room for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: Option<u32>,

    /// On SIGINT or SIGTERM, how long clients have to take what the server still holds for them
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain_timeout: u32,

    /// What to log to stderr: off, error, warn, info, debug, trace or a list of TARGET=LEVEL; bodies are never logged
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "warn")]
    pub(crate) log: Targets,
}

impl Args {
    /// Raises the process's limit on open files and returns how many clients there may be.
    pub(crate) fn client_count_max(&self) -> Result<usize, LimitsError> {
        limits::client_count_max(self.max_clients.map(|count| count as usize))
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout.into())
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an IP address and a port are needed, like 127.0.0.1:8080 or [::1]:8080")
}

const AFTER_HELP: &str = "\
Try it:
  chat-server                                serve on 127.0.0.1:8080
  printf '\\5hello' | nc -N 127.0.0.1 8080    send one message and print its echo

Exit codes:
  0  ended by a signal, after delivering what it could (a second signal ends it at once)
  1  could not serve, for example because the address is in use
  2  the command line is wrong";
