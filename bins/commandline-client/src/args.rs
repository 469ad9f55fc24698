//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use chat_client::terminal::{self, Display, LongLines, Nick};
use chat_client::{Address, Form, Framing, Reconnect, pipe};
use chat_manual::Manual;
use chat_tls::TlsArgs;
use chat_units::parse_duration;
use clap::Parser;

/// Sends each line of standard input as a message to a broadcast chat server, and prints each
/// message received as a line.
///
/// It never sends faster than it receives its own messages back. Unless it is told to end earlier, it
/// ends with exit code 0 only if all of them came back.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where the server listens, as IP:PORT or NAME:PORT; of several, the first that accepts the
    /// connection. On a terminal, the next is tried when one is full or does not come back
    #[arg(value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) addresses: Vec<Address>,

    /// How long to try to connect to each address
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    pub(crate) connect_timeout: Duration,

    /// End after so many received messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End when nothing was received for so long after the input has ended
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    wait: Option<Duration>,

    /// Stay connected when the input has ended, until the server closes
    #[arg(long)]
    listen: bool,

    /// Print no messages
    #[arg(long, conflicts_with_all = ["json", "timestamps"])]
    send_only: bool,

    /// Print each message as an object of JSON on a line: time, length, and text or base64
    #[arg(long, conflicts_with_all = ["hex", "null"])]
    json: bool,

    /// Read and print messages as lines of hexadecimal digits
    #[arg(long, conflicts_with_all = ["null", "split"])]
    hex: bool,

    /// A byte of value 0 ends a message, in the input and in the output, instead of a newline
    #[arg(long)]
    null: bool,

    /// Print the time of arrival before each message
    #[arg(long, conflicts_with = "json")]
    timestamps: bool,

    /// Send this file instead of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) send_file: Option<PathBuf>,

    /// Send a line of more than 255 bytes as several messages, cut at a space or a character
    #[arg(long)]
    split: bool,

    /// The name before your messages on a terminal: NAME: text
    #[arg(long, value_name = "NAME")]
    nick: Option<Nick>,

    /// Draw nothing again on a terminal, for screen readers
    #[arg(long)]
    plain: bool,

    /// End when the connection is lost, on a terminal, instead of connecting again
    #[arg(long)]
    no_reconnect: bool,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    #[command(flatten)]
    pub(crate) manual: Manual,
}

impl Args {
    /// Tells whether people chat on a terminal. The options of pipes make it a pipe all the same.
    pub(crate) fn is_for_terminal(&self, is_terminal: bool) -> bool {
        let is_pipe = self.json || self.hex || self.null || self.send_only || self.timestamps;
        let is_limited = self.count.is_some() || self.wait.is_some() || self.listen;
        is_terminal && !is_pipe && !is_limited && self.send_file.is_none()
    }

    /// Returns how a terminal is to be connected.
    pub(crate) fn terminal_options(&self) -> terminal::Options {
        let mut options = terminal::Options::from_env();
        options.nick.clone_from(&self.nick);
        options.link.connect_timeout = self.connect_timeout;
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

    /// Returns how a pipe is to be connected. On a terminal nothing is printed that could control
    /// it.
    pub(crate) fn pipe_options(&self, is_output_terminal: bool) -> pipe::Options {
        let form = if self.json {
            Form::Json
        } else if self.hex {
            Form::Hex
        } else if self.null {
            Form::Null
        } else if is_output_terminal {
            Form::Escaped
        } else {
            Form::Raw
        };
        pipe::Options {
            framing: if self.hex {
                Framing::Hex
            } else if self.null {
                Framing::Null
            } else {
                Framing::Newline
            },
            is_splitting: self.split,
            form: (!self.send_only).then_some(form),
            is_timed: self.timestamps,
            count: self.count,
            wait: self.wait,
            is_listening: self.listen,
        }
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Err("no connection is made in no time".to_owned()),
        timeout => Ok(timeout),
    }
}

const AFTER_HELP: &str = "\
A line is up to 255 bytes of any value, without its newline; an empty line is an empty message. A
longer line is refused, unless --split is given, and the rest is still sent.

At the end of the input the client stops sending, prints the messages that are still on their way,
its own included, and ends when the server closes. --listen, --count and --wait end it otherwise.

On a terminal, characters that could control it are printed as escapes: ESC as \\x1b.

Try it:
  printf 'hello\\nworld\\n' | commandline-client 127.0.0.1:8080
  commandline-client --listen --json < /dev/null          print all messages, for programs
  commandline-client --send-only --send-file notes.txt    send the lines of a file

Exit codes:
  0  every line was sent and came back; or --count was reached, or nobody reads the output any more
     (with --count, nothing less is enough; with --listen, the server must not close)
  1  not every line came back, a line was refused, or the connection, the input or the output failed
  2  the arguments are wrong";
