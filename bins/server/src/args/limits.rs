//! The options that limit what clients may do.

use std::time::Duration;

use chat_units::{parse_duration, parse_size};

use super::DropPolicy;
use crate::throttle::Rates;

/// Limits for clients. None of those that are on by default keeps a client out that keeps to the
/// specification; `--public` turns on what a public address needs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// Set limits for an address that strangers can reach, where nothing else is said:
    /// max-clients-per-ip 100, connect-rate-per-ip 20, stall-timeout 60s, message-timeout 60s,
    /// rate-messages 100
    #[arg(long)]
    pub(crate) public: bool,

    /// How many clients may be connected at a time; further ones are accepted and closed at once
    /// [default: what the limit on open files has room for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_clients: Option<u32>,

    /// How many of them may come from one IP address, or from one IPv6 network of 64 bits; 0 is any
    /// number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) max_clients_per_ip: u32,

    /// How many clients may connect in a second from one IP address, or from one IPv6 network of 64
    /// bits; 0 is any number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) connect_rate_per_ip: u32,

    /// Close a client that takes nothing for so long while there is something for it; 0 is never
    /// [default: 30s with the policy block, 0 with others]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    stall_timeout: Option<Duration>,

    /// Close a client, too, that takes fewer bytes per second than this over the stall timeout; 0 is
    /// any number [default: 6KiB with the policy block, 0 with others]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    min_drain_rate: Option<u64>,

    /// Close a client that has ended its sending side and takes nothing for so long, while there is
    /// something for it; 0 is never
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    half_closed_timeout: Duration,

    /// Close a client that has begun a message and does not finish it for so long; 0 is never
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    message_timeout: Duration,

    /// How many messages per second are read of a client; one that sends more is read later, and
    /// nothing of it is lost. As many may come at once; 0 is any number
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate_messages: u32,

    /// How many bytes per second are read of a client, in the same way; 0 is any number
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    rate_bytes: u64,

    /// How many bytes per second are read of all clients together, in the same way, each in its
    /// turn; 0 is any number
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    ingress_rate: u64,
}

/// What a client has to take of what there is for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draining {
    /// How long it may take nothing, if there is a limit.
    pub(crate) stall_timeout: Option<Duration>,
    /// How many bytes per second it has to take in that time.
    pub(crate) rate_min: u64,
    /// How long it may take nothing when it has ended its sending side, if there is a limit.
    pub(crate) half_closed_timeout: Option<Duration>,
}

impl Limits {
    /// Returns how long a client may take for a message, if there is a limit.
    pub(super) fn message_timeout(&self) -> Option<Duration> {
        limit(self.message_timeout)
    }

    pub(super) fn rates(&self) -> Rates {
        Rates {
            messages: self.rate_messages,
            bytes: self.rate_bytes,
            ingress: self.ingress_rate,
        }
    }

    pub(super) fn draining(&self, policy: DropPolicy) -> Draining {
        let (timeout, rate_min) = match policy {
            DropPolicy::Block => (STALL_TIMEOUT_BLOCK, RATE_MIN_BLOCK),
            _ => (Duration::ZERO, 0),
        };
        let timeout = self.stall_timeout.unwrap_or(timeout);
        Draining {
            stall_timeout: limit(timeout),
            rate_min: self.min_drain_rate.unwrap_or(rate_min),
            half_closed_timeout: limit(self.half_closed_timeout),
        }
    }
}

/// Returns a time limit, where 0 is none.
fn limit(timeout: Duration) -> Option<Duration> {
    Some(timeout).filter(|timeout| !timeout.is_zero())
}

/// What `--public` sets, by the names of the options. Judgements: a hundred people may share an
/// address behind a router, nobody reads nothing for a minute who is there, or types a hundred lines in
/// a second.
pub(crate) const PUBLIC: [(&str, &str); 5] = [
    ("max-clients-per-ip", "100"),
    ("connect-rate-per-ip", "20"),
    ("stall-timeout", "60s"),
    ("message-timeout", "60s"),
    ("rate-messages", "100"),
];

/// After what time a client that takes nothing is closed when everybody waits for it. Measured: what
/// a client has read that takes 8 KiB per second reaches a server on the same machine in lumps, up to
/// 18 seconds apart.
const STALL_TIMEOUT_BLOCK: Duration = Duration::from_secs(30);

/// How many bytes per second a client must take when everybody waits for it. A judgement: the chat
/// would be as slow as that.
const RATE_MIN_BLOCK: u64 = 6 * 1024;
