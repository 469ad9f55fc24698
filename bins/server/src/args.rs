//! The command line.

#[cfg(feature = "cluster")]
mod cluster;
mod inside;
mod limits;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chat_hub::{Clock, Config, Hub, Policy};
use chat_manual::Manual;
use chat_units::{parse_duration, parse_size};
use clap::{Parser, ValueEnum};
use tracing::info;

use crate::address::{Address, AddressTwice, NoAddress, check_distinct};
use crate::admission::ClientLimits;
#[cfg(not(feature = "cluster"))]
use crate::cluster::ClusterArgs;
use crate::inside::Top;
use crate::limits::{ClientsError, client_count_max};
use crate::logging::Filter;
use crate::memory::{MemoryError, check_log_len};
use crate::proxy::ProxyArgs;
use crate::throttle::Rates;
use crate::tls::TlsArgs;

#[cfg(feature = "cluster")]
pub(crate) use cluster::{ClusterArgs, ClusterArgsError};
pub(crate) use inside::{InsideArgs, LogFormat};
pub(crate) use limits::{Draining, Limits, PUBLIC};

/// A broadcast chat server: forwards every message to every client, in one order that all clients
/// agree on.
///
/// A message is one byte with the length of its body, and the body of 0 to 255 bytes. Every message
/// goes to every connected client, its sender included. Nobody waits for a client that does not
/// keep up: it loses messages, the oldest first and only whole ones, unless --drop-policy says
/// otherwise. A client that keeps up loses nothing.
///
/// When clients can connect, the server prints `listening on ADDRESS` to stdout, and nothing else
/// there ever; but with --tls-listen, in a second line, where it speaks TLS.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// IP address and port to listen on; with port 0 the system chooses one, and the ready line
    /// names it. Or unix: and the path of a Unix socket, for whom the umask lets write to its file
    /// [default: 127.0.0.1:8080]
    #[arg(value_name = "ADDRESS", value_parser = parse_address)]
    address: Option<Address>,

    /// One more address to listen on, any number of times; each has a ready line, in this order.
    /// Sockets that a service manager hands over (LISTEN_FDS) take the place of all addresses, those
    /// called tls that of --tls-listen
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    listen: Vec<Address>,

    /// File in TOML with options under their long names, such as log-bytes = "16MiB". Variables like
    /// CHAT_SERVER_LOG_BYTES go before it, and the command line before both
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print all options as a configuration file if they make sense, and do not serve
    #[arg(long)]
    pub(crate) check_config: bool,

    /// What happens to a client that does not take its messages for longer than the log lasts
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    drop_policy: DropPolicy,

    /// How many bytes of messages are kept for clients that are behind; all clients share them. It is
    /// at most half of the memory
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_log_bytes)]
    log_bytes: usize,

    /// How many bytes per second a client must take to keep up, while there are more for it;
    /// senders slow down to clients that take so many
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_rate)]
    keep_up_rate: u64,

    /// How long a client may take less than the rate until it no longer keeps up; all senders may
    /// have to wait for it that long
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_grace)]
    grace: Duration,

    /// On SIGINT or SIGTERM, how long clients have to take what the server still holds for them; one
    /// that takes nothing for a quarter of that is not waited for
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub(crate) drain_timeout: Duration,

    /// What to log to stderr: a level (off, error, warn, info, debug or trace), and others for parts
    /// of the server, as in warn,chat_server=debug; bodies are never logged [default: what the
    /// variable RUST_LOG says, or else warn]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<Filter>,

    #[command(flatten)]
    pub(crate) inside: InsideArgs,

    #[command(flatten)]
    pub(crate) manual: Manual,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Top(Top),
}

impl Args {
    /// Returns where to listen.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let mut addresses: Vec<_> = self.address.iter().chain(&self.listen).cloned().collect();
        if addresses.is_empty() {
            addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)).into());
        }
        addresses
    }

    /// Checks that no address is to be listened on twice.
    pub(crate) fn check_addresses(&self) -> Result<(), AddressTwice> {
        check_distinct(&[self.addresses(), self.tls.addresses()].concat())
    }

    /// Raises the process's limit on open files and returns how many clients there may be.
    pub(crate) fn client_limits(&self) -> Result<ClientLimits, ClientsError> {
        let asked = self.limits.max_clients.map(|count| count as usize);
        Ok(ClientLimits {
            count_max: client_count_max(asked)?,
            per_network_max: self.limits.max_clients_per_ip,
            rate_per_network_max: self.limits.connect_rate_per_ip,
        })
    }

    /// Checks that there is memory for what is kept.
    pub(crate) fn check_memory(&self) -> Result<(), MemoryError> {
        check_log_len(u64::try_from(self.log_bytes).unwrap_or(u64::MAX))
    }

    /// Makes the hub of all clients, and the clock that is to be run for it.
    pub(crate) fn hub(&self) -> (Hub, Clock) {
        let config = Config::default()
            .with_capacity(self.log_bytes)
            .with_policy(self.drop_policy.policy())
            .with_rate(self.keep_up_rate)
            .with_grace(self.grace);
        config
            .build_with_clock()
            .expect("the capacity was checked when it was parsed")
    }

    /// Returns what a client has to take of what there is for it.
    pub(crate) fn draining(&self) -> Draining {
        self.limits.draining(self.drop_policy)
    }

    /// Returns what clients may send.
    pub(crate) fn rates(&self) -> Rates {
        self.limits.rates()
    }

    /// Returns how long a client may take for a message, if there is a limit.
    pub(crate) fn message_timeout(&self) -> Option<Duration> {
        self.limits.message_timeout()
    }

    /// Returns the name of what happens to a client that does not keep up.
    pub(crate) fn policy_name(&self) -> &'static str {
        match self.drop_policy {
            DropPolicy::Oldest => "oldest",
            DropPolicy::Newest => "newest",
            DropPolicy::Disconnect => "disconnect",
            DropPolicy::Block => "block",
        }
    }

    /// Logs what is served where.
    pub(crate) fn log_start(
        &self,
        addresses: &[Address],
        tls_addresses: &[Address],
        client_count_max: usize,
    ) {
        let named = |addresses: &[Address]| {
            let names: Vec<_> = addresses.iter().map(Address::to_string).collect();
            names.join(", ")
        };
        info!(
            addresses = named(addresses),
            tls_addresses = (!tls_addresses.is_empty()).then(|| named(tls_addresses)),
            version = env!("CARGO_PKG_VERSION"),
            policy = self.policy_name(),
            log_bytes = self.log_bytes,
            max_clients = client_count_max,
            "serving"
        );
    }
}

/// What happens to a client that does not keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DropPolicy {
    /// It loses the oldest messages that it has not taken
    #[default]
    Oldest,
    /// It gets what was there for it when it fell behind, and loses newer messages
    Newest,
    /// Its connection is closed
    Disconnect,
    /// All senders wait for it; nothing is lost
    Block,
}

impl DropPolicy {
    fn policy(self) -> Policy {
        match self {
            Self::Oldest => Policy::Oldest,
            Self::Newest => Policy::Newest,
            Self::Disconnect => Policy::Disconnect,
            Self::Block => Policy::Block,
        }
    }
}

fn parse_log_bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    Config::default()
        .with_capacity(bytes)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn parse_rate(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    if bytes == 0 {
        return Err("it is at least 1".to_owned());
    }
    Ok(bytes)
}

fn parse_grace(text: &str) -> Result<Duration, String> {
    let grace = parse_duration(text).map_err(|error| error.to_string())?;
    if grace < Duration::from_millis(1) {
        return Err("it is at least 1ms".to_owned());
    }
    Ok(grace)
}

pub(crate) fn parse_address(text: &str) -> Result<Address, NoAddress> {
    text.parse()
}

pub(crate) fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text).map_err(|error| error.to_string())?;
    if timeout.is_zero() {
        return Err("it is more than 0".to_owned());
    }
    Ok(timeout)
}

/// The port to listen on unless somebody says otherwise.
const PORT: u16 = 8080;

const AFTER_HELP: &str = "\
Try it:
  chat-server                                serve on 127.0.0.1:8080
  printf '\\5hello' | nc -N 127.0.0.1 8080    send one message and print its echo

Signals:
  SIGINT, SIGTERM  deliver what is held, and end; a second one ends at once, unless it comes
                   within 50 ms of the first
  SIGHUP           read the configuration again, for limits, drain-timeout and log; timeouts and
                   min-drain-rate hold for clients that connect from now on, rates for all
  SIGUSR1          log how many clients there are, and what was delivered and dropped

Exit codes:
  0  ended by a signal, after delivering what it could
  1  could not serve, for example because the address is in use
  2  the command line or the configuration is wrong
  3  another server has taken over this one's name in the cluster
  130, 143  a second SIGINT or SIGTERM ended it at once";
