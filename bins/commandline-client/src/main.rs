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

use std::{io::IsTerminal, process::ExitCode, sync::Arc};

use chat_client::Reconnect;
use chat_client::terminal::{self, Display, LongLines, Nick};
use clap::Parser;

use crate::{address::Address, report::Report};

fn main() -> ExitCode {
    let args = Args::parse();
    let address = args.address.clone();
    let report = Arc::new(Report::default());
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        if let Err(error) = terminal::run(&args.address_of_link(), &args.terminal_options()) {
            report.error(&error);
        }
    } else if let Err(error) = client::run(&address, &report) {
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
    /// The name before your messages on a terminal: NAME: text
    #[arg(long, value_name = "NAME")]
    nick: Option<Nick>,
    /// Cut long lines between words or characters, on a terminal
    #[arg(long)]
    split: bool,
    /// Draw nothing again on a terminal, for screen readers
    #[arg(long)]
    plain: bool,
    /// End when the connection is lost, on a terminal
    #[arg(long)]
    no_reconnect: bool,
}

impl Args {
    fn address_of_link(&self) -> chat_client::Address {
        let address = self.address.to_string();
        address.parse().expect("both have one form")
    }

    fn terminal_options(&self) -> terminal::Options {
        let mut options = terminal::Options::from_env();
        options.nick.clone_from(&self.nick);
        if self.split {
            options.long_lines = LongLines::Split;
        }
        if self.plain {
            options.display = Display::Lines;
        }
        if self.no_reconnect {
            options.link.reconnect = Reconnect::Never;
        }
        options
    }
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
