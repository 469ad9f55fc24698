//! The options of `stresstest compare`.

use std::path::PathBuf;
use std::time::Duration;

use chat_compare::{Candidate, sweep_rates, sweep_windows};
use chat_report::parse_output;
use chat_results::comparison::SweepPoint;
use chat_results::{parse_count, parse_some_time, parse_timeout, random_seed};
use clap::{Parser, ValueEnum, value_parser};

use crate::shape::Shape;

/// Compares servers: which is right, which is faster, and whether the difference is real
///
/// Servers take turns in rounds, in an order that chance decides and the next round reverses. The
/// others are compared with the first by pairs of one round. A difference is told only where an
/// interval, whose confidence holds for the whole comparison, says that there is one.
#[derive(Debug, Parser)]
#[command(name = "stresstest compare", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Servers: `name=path args`, `name=N*path args` for N that promise one order together, with the
    /// letter n in braces in the arguments for the number of each and {run} for a word of the group,
    /// `name=@address` for one that runs or `@address,address` for several, `name=nats:`, `redis:` or
    /// `mqtt:` for the server that people know the protocol by, or any of these without a name
    #[arg(required = true, value_name = "SERVER")]
    pub(super) servers: Vec<Candidate>,

    /// Run these loads instead of one: quick takes some minutes, full an hour
    #[arg(long, conflicts_with_all = ["publishers", "subscribers", "messages", "duration", "warmup", "window", "rate", "size", "stalled", "slow", "churn", "connect_rate", "no_cuts"])]
    pub(super) preset: Option<PresetName>,

    #[command(flatten)]
    pub(super) shape: Shape,

    /// Number of messages each publisher sends at most
    #[arg(short, long, value_name = "N", value_parser = parse_count)]
    pub(super) messages: Option<u32>,

    /// How long publishers send in each round [default: 1s, without --messages]
    #[arg(long, value_name = "TIME", value_parser = parse_some_time, help_heading = "Load")]
    pub(super) duration: Option<Duration>,

    /// Messages in flight per publisher, 0 being any number; several are a sweep, like 1,10,100
    #[arg(long, value_name = "N,...", value_parser = windows, help_heading = "Load")]
    pub(super) window: Option<Sweep>,

    /// Messages per second of all publishers together; several are a sweep, like 1k,5k or 1k..1M
    #[arg(long, value_name = "N,...", conflicts_with = "window", value_parser = rates, help_heading = "Load")]
    pub(super) rate: Option<Sweep>,

    /// Where servers and load tester run [default: both with --preset full, or else all]
    #[arg(long)]
    pub(super) processors: Option<Processors>,

    /// Number of rounds [default: as many as the confidence needs, at least 12]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=1000))]
    pub(super) rounds: Option<u32>,

    /// At which confidence, in percent, all told differences are real
    #[arg(long, value_name = "PERCENT", default_value = "95", value_parser = confidence)]
    pub(super) confidence: f64,

    /// Do not measure what the load tester itself can do with each load
    #[arg(long)]
    pub(super) no_ceiling: bool,

    /// Write the comparison to this file as JSON, as crates/chat-results/schema describes it. `-` is
    /// standard output, as for the next options
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    pub(super) json: Option<PathBuf>,

    /// Add the figures of all rounds to this file as comma-separated values
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    pub(super) csv: Option<PathBuf>,

    /// Write the comparison to this file as Markdown
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    pub(super) markdown: Option<PathBuf>,

    /// Write the comparison to this file as one HTML page with pictures, which needs no network
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    pub(super) html: Option<PathBuf>,

    /// Time to wait for a server to get ready, and for anything to go on, before giving it up
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_timeout)]
    pub(super) timeout: Duration,

    /// Seed of the order in rounds and of all bodies; drawn at random when it is not given
    #[arg(long, value_name = "N", default_value_t = random_seed(), hide_default_value = true)]
    pub(super) seed: u64,

    /// Print no table and no progress
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Which loads belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PresetName {
    Quick,
    Full,
}

/// Where everything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Processors {
    All,
    One,
    Both,
}

/// One load, or several that differ in one thing.
#[derive(Clone, Debug)]
pub(super) struct Sweep(pub(super) Vec<SweepPoint>);

fn windows(text: &str) -> Result<Sweep, String> {
    sweep_windows(text).map(Sweep).map_err(|it| it.to_string())
}

fn rates(text: &str) -> Result<Sweep, String> {
    sweep_rates(text).map(Sweep).map_err(|it| it.to_string())
}

fn confidence(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    let percent = percent.ok().filter(|it| (50.0..=99.9).contains(it));
    percent
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "a number of percent from 50 to 99.9 is needed".to_owned())
}

const AFTER_HELP: &str = "\
Exit codes:
  3    a server broke the specification; its figures are struck out
  1    a server could not be started or died, or a file cannot be written
  130  interrupted; what was found until then is shown
  0    all servers did what they promise, whichever is faster
  2    the command line makes no sense; nothing was started

Examples:
  stresstest compare new=./target/release/chat-server old=./chat-server-0.1
  stresstest compare --preset quick --markdown table.md ./a './b --threads 4' c=@127.0.0.1:8080
  stresstest compare --rate 1k..100k ./a ./b";
