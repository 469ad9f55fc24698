//! The options of a load that all commands have which put one on a server.

use std::time::Duration;

use chat_results::{BodyLens, Load, Slow, parse_per_second, parse_rate, parse_time};
use clap::{Args, value_parser};

/// Who takes part in a load, and what is sent.
#[derive(Debug, Args)]
pub(crate) struct Shape {
    /// Number of publishers
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..))]
    publishers: u32,

    /// Number of subscribers of each publisher
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    subscribers: u32,

    /// How long publishers send before anything is measured; what they send is still verified
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_time, help_heading = "Load")]
    warmup: Duration,

    /// Lengths of bodies in bytes, one or a range, from 8 to 255
    #[arg(
        long,
        value_name = "A..B",
        default_value = "8..255",
        help_heading = "Load"
    )]
    size: BodyLens,

    /// Clients that connect and never read
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Load")]
    stalled: u32,

    /// Clients that read slowly, 10000 bytes a second each if nothing is said. Their connections are
    /// set up so that the system holds little for them
    #[arg(
        long,
        value_name = "N[:BYTES/s]",
        default_value = "0",
        help_heading = "Load"
    )]
    slow: Slow,

    /// Clients that join every second during the load, stay for one, and leave; a repetition has
    /// up to 65536 clients
    #[arg(long, value_name = "N/s", default_value = "0", value_parser = parse_per_second, help_heading = "Load")]
    churn: f64,

    /// How many clients connect a second; without, as fast as the server accepts them
    #[arg(long, value_name = "N/s", value_parser = parse_rate, help_heading = "Load")]
    connect_rate: Option<f64>,

    /// Write whole messages only, and have no client leave inside one. Otherwise some writes end
    /// inside a message, whose rest follows when another client has written; no figure is touched
    #[arg(long, help_heading = "Load")]
    no_cuts: bool,
}

impl Shape {
    /// Returns such a load. How much is sent, and at which pace, is not said here.
    pub(crate) fn load(&self) -> Load {
        Load {
            publishers: self.publishers,
            subscribers: self.subscribers,
            warmup: self.warmup,
            size: self.size,
            stalled: self.stalled,
            slow: self.slow,
            churn: self.churn,
            connect_rate: self.connect_rate,
            cuts: !self.no_cuts,
            ..Load::default()
        }
    }
}
