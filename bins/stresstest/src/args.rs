//! The command line.

mod problem;
mod value;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chat_report::{Baseline, BaselineError, BaselineName};
use chat_results::judge::{Thresholds, noise_from_percent};
use chat_results::{
    BodyLens, Check, Load, Pacing, Slow, parse_per_second, parse_rate, parse_some_time, parse_time,
};
use chat_target::Launch;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum, value_parser};

use crate::args::value::{parse_addr, parse_output, random_seed};

/// Proves the order promise of a broadcast chat server while it measures it
///
/// Starts the server EXECUTABLE with an address to listen on, connects publishers and subscribers,
/// and has each publisher send messages. Every delivery at every client is checked to the last
/// byte, and the whole run is checked for one order of all messages that explains what everybody
/// saw. Without options that say otherwise, a publisher sends a message as soon as its own
/// subscribers have the one before.
///
/// A server is any executable that takes an address as its last argument, prints `listening on
/// ADDRESS` when it is ready, and forwards every message (one byte with the length of the body,
/// then the body) to all its clients, the sender included. It may drop whole messages: what it
/// drops is counted, proved by later messages of the same publisher and never by a clock.
#[derive(Debug, Parser)]
#[command(name = "stresstest", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Address the server is told to listen on; with port 0 the system chooses the port
    #[arg(short = 'a', long = "server", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_addr)]
    pub(crate) server: SocketAddr,

    /// Number of publishers
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..))]
    publishers: u32,

    /// Number of subscribers of each publisher
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    subscribers: u32,

    /// Number of messages each publisher sends [default: 1000, or as many as --duration has room
    /// for]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    messages: Option<u32>,

    /// Number of times all this is repeated, with new connections to the same server [default:
    /// 100, or 1 with --window, --rate or --duration]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=REPETITIONS_MAX))]
    repetitions: Option<u32>,

    /// Measure a server that runs already, at this address, instead of starting one; messages that
    /// others send are passed over
    #[arg(long, value_name = "ADDR", value_parser = parse_addr, conflicts_with_all = ["server", "executable", "args"])]
    connect: Option<SocketAddr>,

    /// Number of messages each publisher has in flight, not yet received by all of its
    /// subscribers; 0 is any number
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(..=WINDOW_MAX), help_heading = LOAD)]
    window: Option<u32>,

    /// Messages a second of all publishers together, on a schedule that never shifts: what cannot
    /// be sent in time is counted as unsent
    #[arg(long, value_name = "N", conflicts_with = "window", value_parser = parse_rate, help_heading = LOAD)]
    rate: Option<f64>,

    /// How long publishers send in each repetition, like 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_some_time, help_heading = LOAD)]
    duration: Option<Duration>,

    /// How long publishers send before anything is measured; checked it is all the same
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_time, help_heading = LOAD)]
    warmup: Duration,

    /// Lengths of bodies in bytes, one or a range, from 8 to 255
    #[arg(long, value_name = "A..B", default_value = "8..255", help_heading = LOAD)]
    size: BodyLens,

    /// Clients that connect and never read
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = LOAD)]
    stalled: u32,

    /// Clients that read slowly, 10000 bytes a second each if nothing is said
    #[arg(long, value_name = "N[:BYTES/s]", default_value = "0", help_heading = LOAD)]
    slow: Slow,

    /// Clients that join every second during the load, stay for one, and leave; a repetition has
    /// up to 65536 clients
    #[arg(long, value_name = "N/s", default_value = "0", value_parser = parse_per_second, help_heading = LOAD)]
    churn: f64,

    /// How many clients connect a second; without, as fast as the server accepts them
    #[arg(long, value_name = "N/s", value_parser = parse_rate, help_heading = LOAD)]
    connect_rate: Option<f64>,

    /// Have publishers never read, as old load testers did
    #[arg(long, help_heading = LOAD)]
    classic: bool,

    /// Run without the stalled, slow and visiting clients first, and tell how much the others
    /// suffer from them
    #[arg(long, help_heading = LOAD)]
    pub(crate) isolation: bool,

    /// Measure first what this program itself can do with the same load, on a server that does
    /// next to nothing
    #[arg(long, help_heading = LOAD)]
    pub(crate) calibrate: bool,

    /// How much is checked
    #[arg(long, value_enum, default_value_t = Checked::Full)]
    check: Checked,

    /// Conditions on the results under which the run fails, like 'drop>1%,p99>5ms'; an unknown one
    /// lists what there is
    #[arg(long, value_name = "CONDITIONS", default_value = None, help_heading = JUDGING)]
    fail_on: Option<Thresholds>,

    /// Keep the results under this name, to compare later runs with
    #[arg(long, value_name = "NAME", help_heading = JUDGING)]
    pub(crate) save_baseline: Option<BaselineName>,

    /// Fail when the results are worse than those kept under this name
    #[arg(long, value_name = "NAME", help_heading = JUDGING)]
    baseline: Option<BaselineName>,

    /// How much worse than the baseline is no more than noise
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = noise_from_percent, help_heading = JUDGING)]
    pub(crate) noise: f64,

    /// Where baselines are kept
    #[arg(long, value_name = "DIR", default_value = ".stresstest", help_heading = JUDGING)]
    pub(crate) baseline_dir: PathBuf,

    /// Write the results to this file as JSON; schema.json in the source describes it
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = OUTPUT)]
    pub(crate) json: Option<PathBuf>,

    /// Write the figures to this file as comma-separated values, a line for each run
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = OUTPUT)]
    pub(crate) csv: Option<PathBuf>,

    /// Write the distributions of latencies to this file as an HDR histogram log
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = OUTPUT)]
    pub(crate) hdr: Option<PathBuf>,

    /// Write all that a verdict needs to this file, four bytes for each delivery; `stresstest
    /// recheck FILE` repeats the verdict
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = OUTPUT)]
    pub(crate) record: Option<PathBuf>,

    /// Print nothing but what went wrong; the exit code tells the verdict
    #[arg(short, long, help_heading = OUTPUT)]
    pub(crate) quiet: bool,

    /// Time to wait for the server to get ready, and for anything to go on, before giving up
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=3600))]
    patience: u64,

    /// Seed of all bodies and their lengths; drawn at random, and printed after a failure, when it
    /// is not given
    #[arg(long, value_name = "N", default_value_t = random_seed(), hide_default_value = true)]
    pub(crate) seed: u64,

    /// Server to test [default: the chat-server beside this program]
    executable: Option<PathBuf>,

    /// Arguments for the server, which gets them before the address
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Checked {
    /// Nothing but the first eight bytes of each message, which the load needs to go on
    Off,
    /// Every byte, and the order of each publisher's messages; needs no memory for deliveries
    Basic,
    /// All that, and that one order explains what everybody saw
    Full,
}

/// What is tested.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A server that is started for it.
    Launch(Launch),
    /// A server that runs already.
    Running(SocketAddr),
}

impl Args {
    /// Reads the command line. Ends the process on `--help`, `--version` and everything that makes
    /// no sense.
    pub(crate) fn read() -> Self {
        let args = Self::parse();
        if let Some(problem) = args.problem() {
            Self::command()
                .error(ErrorKind::ValueValidation, problem)
                .exit();
        }
        args
    }

    /// Returns what the results are compared with, if anything.
    pub(crate) fn load_baseline(&self) -> Result<Option<Baseline>, BaselineError> {
        self.baseline
            .as_ref()
            .map(|name| Baseline::load(&self.baseline_dir, name))
            .transpose()
    }

    /// Returns the conditions under which the run fails.
    pub(crate) fn thresholds(&self) -> Thresholds {
        self.fail_on.clone().unwrap_or_default()
    }

    /// Tells whether there are none but the classic options, so that the classic lines are all that
    /// is printed on anything but a terminal.
    pub(crate) fn is_classic(&self) -> bool {
        let load = self.load();
        let has_default_load = load.pacing == Pacing::LOCK_STEP
            && self.window.is_none()
            && load.duration.is_none()
            && load.warmup.is_zero()
            && self.size == BodyLens::ALL
            && load.publishers_read
            && load.connect_rate.is_none()
            && !load.has_antagonists();
        has_default_load && !self.is_judged() && self.check() == Check::Full && !self.calibrate
    }

    /// Tells whether the results are compared with anything, or kept for that.
    pub(crate) fn is_judged(&self) -> bool {
        self.fail_on.is_some() || self.baseline.is_some() || self.save_baseline.is_some()
    }

    /// Tells whether the results, or some of them, go to a file.
    pub(crate) fn has_files(&self) -> bool {
        [&self.json, &self.csv, &self.hdr, &self.record]
            .into_iter()
            .any(Option::is_some)
    }

    /// Returns what is tested.
    pub(crate) fn target(&self) -> Target {
        if let Some(addr) = self.connect {
            return Target::Running(addr);
        }
        let beside = || {
            std::env::current_exe().map_or_else(
                |_| SERVER_NAME.into(),
                |path| path.with_file_name(SERVER_NAME),
            )
        };
        let executable = self.executable.clone().unwrap_or_else(beside);
        Target::Launch(Launch {
            executable,
            args: self.args.clone(),
            addr: self.server,
        })
    }

    /// Returns what is asked of the server.
    pub(crate) fn load(&self) -> Load {
        let pacing = match (self.rate, self.window) {
            (Some(rate), _) => Pacing::Rate(rate),
            (None, Some(window)) => Pacing::window(window),
            (None, None) => Pacing::LOCK_STEP,
        };
        let messages = self.messages.or(if self.duration.is_none() {
            Some(MESSAGES)
        } else {
            None
        });
        Load {
            publishers: self.publishers,
            subscribers: self.subscribers,
            publishers_read: !self.classic,
            repetitions: self.repetitions(),
            messages,
            duration: self.duration,
            warmup: self.warmup,
            pacing,
            size: self.size,
            stalled: self.stalled,
            slow: self.slow,
            churn: self.churn,
            connect_rate: self.connect_rate,
            check: self.check(),
            seed: self.seed,
            timeout: Duration::from_secs(self.patience),
        }
    }

    /// Returns how often all this is repeated.
    fn repetitions(&self) -> u32 {
        let is_classic = self.window.is_none() && self.rate.is_none() && self.duration.is_none();
        self.repetitions
            .unwrap_or(if is_classic { REPETITIONS } else { 1 })
    }

    /// Returns how much is checked.
    fn check(&self) -> Check {
        match self.check {
            Checked::Off => Check::Off,
            Checked::Basic => Check::Basic,
            Checked::Full => Check::Full,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(addr) => addr.fmt(f),
            Self::Launch(Launch {
                executable, args, ..
            }) => {
                write!(f, "{}", executable.display())?;
                args.iter()
                    .try_for_each(|arg| write!(f, " {}", arg.display()))
            }
        }
    }
}

/// What the options are listed under that shape the load, that judge the results, and that write
/// them.
const LOAD: &str = "Load";
const JUDGING: &str = "Judging";
const OUTPUT: &str = "Output";

/// The server that is tested when none is named.
const SERVER_NAME: &str = "chat-server";

/// How many messages a publisher sends and how many repetitions there are, when nothing is said.
/// They are classic.
const MESSAGES: u32 = 1000;
const REPETITIONS: u32 = 100;

/// How many messages a publisher may have in flight. A judgement: 16 MiB of the longest.
const WINDOW_MAX: i64 = 1 << 16;

/// How many repetitions a tag can tell apart.
const REPETITIONS_MAX: i64 = 1 << 16;

const AFTER_HELP: &str = "\
Each repetition prints three lines on standard output:
  iteration 0 out of 100: launching 2 publishers, each sending 1000 messages to 3 subscribers...
  successfully received 6000 messages out of 6000 sent (= drop rate of 0)
  took 0.52 seconds
A table of all results follows on a terminal, and where more than the classic options are given. Progress and errors are on standard error.

Exit codes:
  3    the server broke the specification
  1    could not run to the end
  130  interrupted; what was printed is true
  4    a condition of --fail-on holds, or it is worse than the baseline
  5    inconclusive: not all is resolved, the load tester was the limit, or the baseline is of another load
  0    passed
  2    the command line makes no sense; nothing was started
Of several that apply, it is the first in this list.

Examples:
  stresstest ./target/release/chat-server
  stresstest -a 127.0.0.1:0 -p 10 -s 10 -m 5000 -r 3 ./my-server -- --threads 4
  stresstest --rate 1000 --duration 10s -p 1 -s 99 --size 64 --fail-on 'p99>5ms'
  stresstest --window 1000 --duration 5s -p 10 -s 9 --calibrate --json results.json
  stresstest --window 100 --duration 5s -s 20 --stalled 20 --isolation
  stresstest --window 100 --duration 5s --record recording; stresstest recheck recording";
