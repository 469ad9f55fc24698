//! The command line.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, value_parser};

use crate::load::roles::Roles;

/// Proves the order promise of a broadcast chat server while it measures it
///
/// Starts the server EXECUTABLE with an address to listen on, connects publishers and subscribers, and has each publisher send
/// messages, each as soon as its own subscribers have the one before. Every delivery at every client is checked to the last byte, and
/// the whole run is checked for one order of all messages that explains what everybody saw.
///
/// A server is any executable that takes an address as its last argument, prints `listening on ADDRESS` when it is ready, and forwards
/// every message (one byte with the length of the body, then the body) to all its clients, the sender included. It may drop whole
/// messages: what it drops is counted, proved by later messages of the same publisher and never by a clock.
#[derive(Debug, Parser)]
#[command(name = "stresstest", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Address the server is told to listen on; with port 0 the system chooses the port
    #[arg(short = 'a', long = "server", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) server: SocketAddr,

    /// Number of publishers
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..))]
    publishers: u32,

    /// Number of subscribers of each publisher
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    subscribers: u32,

    /// Number of messages each publisher sends
    #[arg(short, long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    pub(crate) messages: u32,

    /// Number of times all this is repeated, with new connections to the same server
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=REPETITIONS_MAX))]
    pub(crate) repetitions: u32,

    /// Time to wait for the server to get ready, and for anything to go on, before giving up
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=3600))]
    patience: u64,

    /// Seed of all bodies and their lengths; drawn at random, and printed after a failure, when it is not given
    #[arg(long, value_name = "N", default_value_t = random_seed(), hide_default_value = true)]
    pub(crate) seed: u64,

    /// Server to test
    pub(crate) executable: PathBuf,

    /// Arguments for the server, which gets them before the address
    #[arg(last = true)]
    pub(crate) args: Vec<OsString>,
}

impl Args {
    /// Reads the command line. Ends the process on `--help`, `--version` and everything that makes no sense.
    pub(crate) fn read() -> Self {
        let args = Self::parse();
        if let Some(problem) = args.problem() {
            Self::command().error(ErrorKind::ValueValidation, problem).exit();
        }
        args
    }

    /// Returns who takes part.
    pub(crate) fn roles(&self) -> Roles {
        let count = |n: u32| usize::try_from(n).expect("a count of clients that was checked");
        Roles { publishers: count(self.publishers), subscribers: count(self.subscribers) }
    }

    /// Returns how long to wait for anything.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }

    /// Tells what is wrong with numbers that are each right.
    fn problem(&self) -> Option<String> {
        let clients = u64::from(self.publishers) * (1 + u64::from(self.subscribers));
        if clients > CLIENTS_MAX {
            return Some(format!("{clients} clients are too many: publishers times (1 + subscribers) may be up to {CLIENTS_MAX}"));
        }
        let cells = clients * u64::from(self.publishers);
        if cells > CELLS_MAX {
            return Some(format!(
                "{clients} clients of {} publishers are too many: clients times publishers may be up to {CELLS_MAX}",
                self.publishers
            ));
        }
        let messages = u64::from(self.publishers) * u64::from(self.messages);
        if messages > MESSAGES_MAX {
            return Some(format!("{messages} messages are too many: publishers times messages may be up to {MESSAGES_MAX}"));
        }
        None
    }
}

/// Draws a seed.
fn random_seed() -> u64 {
    // The standard library seeds its hash maps from the system's randomness, and this is all that is needed of it here.
    RandomState::new().build_hasher().finish()
}

/// How many repetitions a tag can tell apart.
const REPETITIONS_MAX: i64 = 1 << 16;

/// How many clients a tag can tell apart.
const CLIENTS_MAX: u64 = 1 << 16;

/// How many pairs of a client and a publisher there can be: what is known of each takes four bytes. A judgement: 256 MiB.
const CELLS_MAX: u64 = 1 << 26;

/// How many load messages a repetition can have: half of what records can number, the rest being for hello, probe and closing messages.
const MESSAGES_MAX: u64 = (chat_check::MESSAGE_COUNT_MAX / 2) as u64;

const AFTER_HELP: &str = "\
Each repetition prints three lines on standard output, everything else is on standard error:
  iteration 0 out of 100: launching 2 publishers, each sending 1000 messages to 3 subscribers...
  successfully received 6000 messages out of 6000 sent (= drop rate of 0)
  took 0.52 seconds

Exit codes:
  0    all repetitions passed
  1    could not run, or could not prove what became of a message: the reason is on standard error
  2    the command line makes no sense
  3    the server broke the specification: what happened is told on standard error
  130  interrupted

Examples:
  stresstest ./target/release/chat-server
  stresstest -a 127.0.0.1:0 -p 10 -s 10 -m 5000 -r 3 ./my-server -- --threads 4";
