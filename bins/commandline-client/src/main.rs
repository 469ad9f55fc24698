//! A client of a broadcast chat server, for terminals and pipes.
//!
//! Each line of standard input is sent as one message, each message received is a line of standard
//! output. At the end of input the client half-closes: it stops sending and prints what still
//! comes, until the server closes. It has no line editing.
//!
//! Sending and receiving are two threads with blocking sockets, so that no size of input can make
//! the two sides wait for each other.

mod address;
mod client;
mod lines;
mod print;
mod receive;
mod report;
mod send;

use std::{process::ExitCode, sync::Arc};

use clap::Parser;

use crate::{address::Address, report::Report};

fn main() -> ExitCode {
    let Args { address } = Args::parse();
    let report = Arc::new(Report::default());
    if let Err(error) = client::run(&address, &report) {
        report.error(&error);
    }
    report.exit_code()
}

/// Sends each line of standard input as a message to a broadcast chat server, and prints each
/// message received as a line.
#[derive(Debug, Parser)]
#[command(version, after_help = HELP)]
struct Args {
    /// Where the server listens, as IP:PORT or HOST:PORT
    #[arg(default_value = "127.0.0.1:8080")]
    address: Address,
}

/// What a user has to know beyond the arguments.
const HELP: &str = r"A line is up to 255 bytes of any value, without its newline; an empty line is an
empty message. A longer line is refused, the rest is still sent.

At the end of standard input the client stops sending, prints everything that
still comes, its own messages included, and ends when the server closes.

On a terminal, what could control it is printed escaped: ESC as \x1b.

Example:
  printf 'hello\nworld\n' | commandline-client 127.0.0.1:8080

Exit codes:
  0  the server closed after the end of input, or standard output was closed
  1  a line was refused, or the connection, the input or the output failed
  2  the arguments are wrong";
