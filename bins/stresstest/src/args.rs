//! The options of the command line.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use chat_report::{BaselineName, parse_output};
use chat_results::judge::{Thresholds, noise_from_percent};
use chat_results::{Check, parse_count, parse_rate, parse_some_time, parse_timeout, random_seed};
use chat_stress::{ProtocolName, REPETITIONS_MAX, WINDOW_MAX};
use chat_tls::TlsArgs;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, value_parser};

use crate::shape::Shape;

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
#[command(name = "stresstest", version, after_help = include_str!("help.txt"))]
pub(crate) struct Args {
    /// Address the server is told to listen on; with port 0 the system chooses the port
    #[arg(short = 'a', long = "server", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_addr)]
    pub(crate) server: SocketAddr,

    #[command(flatten)]
    pub(crate) shape: Shape,

    /// Number of messages each publisher sends [default: 1000, or as many as --duration has room
    /// for]
    #[arg(short, long, value_name = "N", value_parser = parse_count)]
    pub(crate) messages: Option<u32>,

    /// Number of times all this is repeated, with new connections to the same server [default:
    /// 100, or 1 with --window, --rate or --duration]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(REPETITIONS_MAX)))]
    pub(crate) repetitions: Option<u32>,

    /// Measure a server that runs already, at IP:PORT or NAME:PORT, instead of starting one; messages
    /// that others send are passed over. Of several servers with commas between them, clients connect
    /// to each in turn, and all are to see one order
    #[arg(long, value_name = "ADDR,...", value_parser = resolve, value_delimiter = ',', conflicts_with_all = ["server", "servers", "executable", "args"])]
    pub(crate) connect: Vec<Place>,

    // Here and elsewhere in a help text, the word of that letter would be the end of a line.
    /// Start N servers, each at the next port, that promise one order together. In their arguments, the
    /// letter n in braces is the number of the server, from 1, and {run} a word of this group alone
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=SERVERS_MAX))]
    pub(crate) servers: Option<u16>,

    #[command(flatten, next_help_heading = "TLS")]
    pub(crate) tls: TlsArgs,

    /// Protocol of the server. With another than the chat's, EXECUTABLE is by default nats-server,
    /// redis-server or mosquitto from $PATH, and is started with settings that the results name
    #[arg(long, default_value = "chat", value_parser = protocol_parser(), help_heading = "Load")]
    pub(crate) protocol: ProtocolName,

    /// Number of messages each publisher has in flight, not yet received by all of its
    /// subscribers; 0 is any number
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(..=i64::from(WINDOW_MAX)), help_heading = "Load")]
    pub(crate) window: Option<u32>,

    /// Messages a second of all publishers together, on a schedule that never shifts: what cannot
    /// be sent in time is counted as unsent
    #[arg(long, value_name = "N", conflicts_with = "window", value_parser = parse_rate, help_heading = "Load")]
    pub(crate) rate: Option<f64>,

    /// How long publishers send in each repetition, like 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_some_time, help_heading = "Load")]
    pub(crate) duration: Option<Duration>,

    /// Have publishers never read, as old load testers did, and no second load with many messages
    /// in flight
    #[arg(long, help_heading = "Load")]
    pub(crate) classic: bool,

    /// Run without the stalled, slow and visiting clients first, and tell how much the others
    /// suffer from them
    #[arg(long, help_heading = "Load")]
    pub(crate) isolation: bool,

    /// Measure first what this program itself can do with the same load, on a server that does
    /// next to nothing, and tell what was the limit: the server, this program or the schedule. In
    /// the protocol of the chat only
    #[arg(long, help_heading = "Load")]
    pub(crate) calibrate: bool,

    /// How much is checked
    #[arg(long, default_value = "full", value_parser = check_parser())]
    pub(crate) check: Check,

    /// Conditions on the results under which the run fails, like 'drop>1%,p99>5ms'; an unknown one
    /// lists what there is
    #[arg(long, value_name = "CONDITIONS", default_value = None, help_heading = "Judging")]
    pub(crate) fail_on: Option<Thresholds>,

    /// Keep the results under this name, to compare later runs with
    #[arg(long, value_name = "NAME", help_heading = "Judging")]
    pub(crate) save_baseline: Option<BaselineName>,

    /// Fail when the results are worse than those kept under this name
    #[arg(long, value_name = "NAME", help_heading = "Judging")]
    pub(crate) baseline: Option<BaselineName>,

    /// How much worse than the baseline is no more than noise. With 6 --repetitions or more in both, the
    /// whole interval of a figure has to be worse; with one, it has to be 4 times worse
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = noise_from_percent, help_heading = "Judging")]
    pub(crate) noise: f64,

    /// Where baselines are kept
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".stresstest",
        help_heading = "Judging"
    )]
    pub(crate) baseline_dir: PathBuf,

    /// Write the results to this file as JSON, as crates/chat-results/schema describes it. `-` is
    /// standard output, which has nothing else then; so it is for the next options
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    /// Add the figures to this file as comma-separated values, a line for each run; the names of
    /// the columns are its first line
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = "Output")]
    pub(crate) csv: Option<PathBuf>,

    /// Write the results to this file as one HTML page with pictures, which needs no network
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,

    /// Write the distributions of latencies to this file as an HDR histogram log
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = "Output")]
    pub(crate) hdr: Option<PathBuf>,

    /// Write all that a verdict needs to this file, four bytes for each delivery; `stresstest
    /// recheck FILE` repeats the verdict. With --isolation, the run without antagonists is in
    /// FILE.without
    #[arg(long, value_name = "FILE", value_parser = parse_output, help_heading = "Output")]
    pub(crate) record: Option<PathBuf>,

    /// Write all that the server prints on standard error to this file; with --servers, that of server
    /// 1 to FILE.1, and so on
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "connect",
        help_heading = "Output"
    )]
    pub(crate) server_log: Option<PathBuf>,

    /// Print nothing but what went wrong; the exit code tells the verdict
    #[arg(short, long, help_heading = "Output")]
    pub(crate) quiet: bool,

    /// Time to wait for the server to get ready, and for anything to go on, before giving up
    #[arg(long, alias = "patience", value_name = "TIME", default_value = "10s", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,

    /// Seed of all bodies and their lengths; drawn at random, and printed after a failure, when it
    /// is not given
    #[arg(long, value_name = "N", default_value_t = random_seed(), hide_default_value = true)]
    pub(crate) seed: u64,

    /// Server to test [default: the chat-server beside this program; see --protocol]
    pub(crate) executable: Option<PathBuf>,

    /// Arguments for the server, which gets them before the address, or with another --protocol
    /// behind those that name its settings
    #[arg(last = true)]
    pub(crate) args: Vec<OsString>,
}

/// Reads how much is checked.
fn check_parser() -> impl TypedValueParser<Value = Check> {
    let words = [
        (
            Check::Off,
            "Nothing but the first eight bytes of each message, which the load needs to go on",
        ),
        (
            Check::Basic,
            "Every byte, and the order of each publisher's messages; needs no memory for deliveries",
        ),
        (
            Check::Full,
            "All that, and that one order explains what everybody saw",
        ),
    ];
    PossibleValuesParser::new(
        words.map(|(check, help)| PossibleValue::new(check.word()).help(help)),
    )
    .map(|word| Check::named(&word).unwrap_or(Check::Full))
}

/// Reads the protocol.
fn protocol_parser() -> impl TypedValueParser<Value = ProtocolName> {
    PossibleValuesParser::new(ProtocolName::ALL.map(ProtocolName::word))
        .map(|word| ProtocolName::named(&word).unwrap_or_default())
}

/// Where a server runs already.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) addr: SocketAddr,
    /// The name or the IP address that it was found by.
    pub(crate) host: String,
}

/// Finds the address of a server that runs already, by its name too.
pub(crate) fn resolve(text: &str) -> Result<Place, String> {
    let mut addrs = text.to_socket_addrs().map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => {
            "an IP address or a name, and a port are needed, like 127.0.0.1:8080 or chat.example:8080"
                .to_owned()
        }
        _ => format!("the name has no address: {error}"),
    })?;
    let addr = addrs
        .next()
        .ok_or_else(|| "the name has no address".to_owned())?;
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    let host = host.trim_matches(['[', ']']).to_owned();
    Ok(Place { addr, host })
}

/// Reads an address to listen on.
fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port are needed, like 127.0.0.1:8080 or [::1]:0".to_owned()
    })
}

/// How many servers can be started as a group. A judgement: more than one machine is for.
pub(crate) const SERVERS_MAX: i64 = 64;
