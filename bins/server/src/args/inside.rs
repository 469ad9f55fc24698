//! The options for seeing inside.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chat_units::parse_duration;
use clap::ValueEnum;

/// What those see who run the server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InsideArgs {
    /// Serve figures as OpenMetrics over HTTP at /metrics, with /healthz and /readyz; a port alone is
    /// on the loopback interface, and whoever can reach the address can read them
    #[arg(long, value_name = "[IP:]PORT", value_parser = parse_metrics)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Answer commands (state, clients, close) at this Unix socket, which only the same user can open
    #[arg(long, value_name = "PATH")]
    pub(crate) admin: Option<PathBuf>,

    /// Log the state so often; 0 is never
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) stats: Duration,

    /// How the lines of the log are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object for each
    Json,
}

fn parse_metrics(text: &str) -> Result<SocketAddr, &'static str> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse()
        .map_err(|_| "a port is needed, like 9090, or an IP address and a port")
}
