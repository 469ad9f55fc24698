//! The options of a cluster.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use chat_cluster::NodeId;
use chat_cluster::jetstream::{
    Login, MAX_BYTES_MIN, OUTBOX_LEN_MIN, Secret, Server, ServerError, Settings, Storage,
    StreamName, TlsFiles,
};
use chat_units::{parse_duration, parse_size};
use clap::{Parser, ValueEnum};

/// Several servers that serve one room with one order, over a stream of NATS JetStream.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Serve one room with others: servers of NATS, such as nats://10.0.0.1:4222, or tls:// where TLS
    /// is required; takes --cluster-stream and --node. The ready line comes when this server has
    /// joined
    // Not parsed here: what is wrong with one would be told with a secret in it.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    cluster: Vec<String>,

    /// The room: a stream of JetStream, which is created if there is none
    #[arg(long, value_name = "NAME")]
    cluster_stream: Option<StreamName>,

    /// The name of this server among the others, the same at each start
    #[arg(long, value_name = "ID")]
    node: Option<NodeId>,

    /// On how many servers of NATS the stream is; with 3, one of them may fail
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    cluster_replicas: u8,

    /// Where NATS keeps the stream; in memory it is lost when most of its servers are down at a time
    #[arg(long, value_name = "WHERE", value_enum, default_value_t)]
    cluster_storage: StorageArg,

    /// How many bytes a stream keeps that is created, at least 128MiB
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_max_bytes)]
    cluster_max_bytes: u64,

    /// How long a stream keeps messages that is created, at least 1h; 0 is until it is full
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_max_age)]
    cluster_max_age: Duration,

    /// How many bytes of clients' messages wait for the stream; when so many do, clients are not
    /// read. At least 128KiB
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_outbox)]
    cluster_outbox_bytes: usize,

    /// How long to try to join before giving up
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    cluster_join_timeout: Duration,

    /// Log in to NATS by this credentials file
    #[arg(long, value_name = "FILE")]
    cluster_credentials: Option<PathBuf>,

    /// Log in to NATS by the key whose seed is in this file [or in the variable CHAT_CLUSTER_NKEY]
    #[arg(long, value_name = "FILE")]
    cluster_nkey_file: Option<PathBuf>,

    /// Log in to NATS by this name and a password
    #[arg(long, value_name = "NAME")]
    cluster_user: Option<String>,

    /// The file with the password [default: the variable CHAT_CLUSTER_PASSWORD]
    #[arg(long, value_name = "FILE")]
    cluster_password_file: Option<PathBuf>,

    /// Log in to NATS by the token in this file [or in the variable CHAT_CLUSTER_TOKEN]
    #[arg(long, value_name = "FILE")]
    cluster_token_file: Option<PathBuf>,

    /// The CA of the servers of NATS, in PEM, if it is none of the system's
    #[arg(long, value_name = "FILE")]
    cluster_tls_ca: Option<PathBuf>,

    /// This server's certificate for NATS, in PEM
    #[arg(long, value_name = "FILE")]
    cluster_tls_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(long, value_name = "FILE")]
    cluster_tls_key: Option<PathBuf>,

    /// The JetStream domain of the stream
    #[arg(long, value_name = "NAME", value_parser = parse_domain)]
    cluster_domain: Option<String>,

    /// The prefix of the JetStream API, where it is not $JS.API
    #[arg(long, value_name = "SUBJECT", value_parser = parse_prefix)]
    cluster_api_prefix: Option<String>,
}

/// Where NATS keeps the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum StorageArg {
    /// In files
    #[default]
    File,
    /// In memory
    Memory,
}

/// Why the options of a cluster make no sense together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClusterArgsError {
    #[error("a cluster takes --{0}")]
    Missing(&'static str),
    #[error("--{0} makes sense with --cluster alone")]
    NoCluster(&'static str),
    #[error("--cluster: {0}")]
    Server(#[from] ServerError),
    #[error("--cluster-user takes --cluster-password-file, or the variable {PASSWORD}")]
    NoPassword,
    #[error("--cluster-domain and --cluster-api-prefix both say where JetStream is; leave one")]
    DomainAndPrefix,
    #[error("there is more than one way to log in to NATS: {0} and {1}; leave one")]
    Logins(&'static str, &'static str),
    #[error("--cluster-tls-cert and --cluster-tls-key make sense together alone")]
    HalfCertificate,
}

impl ClusterArgs {
    /// Returns what a member of the cluster is told, if there is to be one.
    pub(crate) fn settings(&self) -> Result<Option<Settings>, ClusterArgsError> {
        // Not checked by the parser: what a configuration says is a default to it.
        if self.cluster.is_empty() {
            return match self.first_of_a_cluster() {
                Some(name) => Err(ClusterArgsError::NoCluster(name)),
                None => Ok(None),
            };
        }
        let stream = self.cluster_stream.clone();
        let stream = stream.ok_or(ClusterArgsError::Missing("cluster-stream"))?;
        let node = self.node.ok_or(ClusterArgsError::Missing("node"))?;
        let servers = self.cluster.iter().map(|url| url.parse::<Server>());
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        if self.cluster_domain.is_some() && self.cluster_api_prefix.is_some() {
            return Err(ClusterArgsError::DomainAndPrefix);
        }
        let mut settings = Settings::new(servers, stream, node);
        settings.login = self.login()?;
        settings.tls = self.tls()?;
        settings.domain.clone_from(&self.cluster_domain);
        settings.api_prefix.clone_from(&self.cluster_api_prefix);
        settings.replicas = self.cluster_replicas.into();
        settings.storage = match self.cluster_storage {
            StorageArg::File => Storage::File,
            StorageArg::Memory => Storage::Memory,
        };
        settings.max_bytes = self.cluster_max_bytes;
        settings.max_age = self.cluster_max_age;
        settings.outbox_len_max = self.cluster_outbox_bytes;
        settings.join_timeout = self.cluster_join_timeout;
        Ok(Some(settings))
    }

    /// Returns an option that says something of a cluster alone, if there is one.
    fn first_of_a_cluster(&self) -> Option<&'static str> {
        let default = Alone::default().args;
        let options = [
            ("cluster-stream", self.cluster_stream.is_some()),
            ("node", self.node.is_some()),
            (
                "cluster-replicas",
                self.cluster_replicas != default.cluster_replicas,
            ),
            (
                "cluster-storage",
                self.cluster_storage != default.cluster_storage,
            ),
            (
                "cluster-max-bytes",
                self.cluster_max_bytes != default.cluster_max_bytes,
            ),
            (
                "cluster-max-age",
                self.cluster_max_age != default.cluster_max_age,
            ),
            (
                "cluster-outbox-bytes",
                self.cluster_outbox_bytes != default.cluster_outbox_bytes,
            ),
            (
                "cluster-join-timeout",
                self.cluster_join_timeout != default.cluster_join_timeout,
            ),
            ("cluster-credentials", self.cluster_credentials.is_some()),
            ("cluster-nkey-file", self.cluster_nkey_file.is_some()),
            ("cluster-user", self.cluster_user.is_some()),
            (
                "cluster-password-file",
                self.cluster_password_file.is_some(),
            ),
            ("cluster-token-file", self.cluster_token_file.is_some()),
            ("cluster-tls-ca", self.cluster_tls_ca.is_some()),
            ("cluster-tls-cert", self.cluster_tls_cert.is_some()),
            ("cluster-tls-key", self.cluster_tls_key.is_some()),
            ("cluster-domain", self.cluster_domain.is_some()),
            ("cluster-api-prefix", self.cluster_api_prefix.is_some()),
        ];
        let first = options.into_iter().find(|(_, is_there)| *is_there);
        first.map(|(name, _)| name)
    }

    fn login(&self) -> Result<Login, ClusterArgsError> {
        let credentials = self.cluster_credentials.clone().map(Login::Credentials);
        let nkey = secret(self.cluster_nkey_file.as_ref(), "CHAT_CLUSTER_NKEY");
        let token = secret(self.cluster_token_file.as_ref(), "CHAT_CLUSTER_TOKEN");
        let password = secret(self.cluster_password_file.as_ref(), PASSWORD);
        let user = match (&self.cluster_user, password) {
            (Some(name), Some(password)) => Some(Login::User {
                name: name.clone(),
                password,
            }),
            (Some(_), None) => return Err(ClusterArgsError::NoPassword),
            (None, Some(Secret::File(_))) => return Err(ClusterArgsError::Missing("cluster-user")),
            (None, _) => None,
        };
        let ways = [
            ("--cluster-credentials", credentials),
            ("an nkey", nkey.map(Login::Nkey)),
            ("--cluster-user", user),
            ("a token", token.map(Login::Token)),
        ];
        let mut ways = ways
            .into_iter()
            .filter_map(|(name, login)| Some((name, login?)));
        match (ways.next(), ways.next()) {
            (Some((one, _)), Some((other, _))) => Err(ClusterArgsError::Logins(one, other)),
            (Some((_, login)), None) => Ok(login),
            (None, _) => Ok(Login::None),
        }
    }

    fn tls(&self) -> Result<TlsFiles, ClusterArgsError> {
        let (cert, key) = (self.cluster_tls_cert.clone(), self.cluster_tls_key.clone());
        if cert.is_some() != key.is_some() {
            return Err(ClusterArgsError::HalfCertificate);
        }
        Ok(TlsFiles {
            ca: self.cluster_tls_ca.clone(),
            client: cert.zip(key),
        })
    }
}

/// The options as they are when nothing is said.
#[derive(Debug, Parser)]
struct Alone {
    #[command(flatten)]
    args: ClusterArgs,
}

impl Default for Alone {
    fn default() -> Self {
        Self::parse_from(["chat-server"])
    }
}

/// Returns where a secret is, if it is anywhere.
fn secret(file: Option<&PathBuf>, variable: &str) -> Option<Secret> {
    let of_variable = || {
        let is_set = env::var_os(variable).is_some();
        is_set.then(|| Secret::Variable(variable.to_owned()))
    };
    file.cloned().map(Secret::File).or_else(of_variable)
}

fn parse_max_bytes(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    match (MAX_BYTES_MIN..=i64::MAX.cast_unsigned()).contains(&bytes) {
        true => Ok(bytes),
        false => Err("it is at least 128MiB, and less than 8EiB".to_owned()),
    }
}

fn parse_max_age(text: &str) -> Result<Duration, String> {
    let age = parse_duration(text).map_err(|error| error.to_string())?;
    match age.is_zero() || (MAX_AGE_MIN..=MAX_AGE_MAX).contains(&age) {
        true => Ok(age),
        false => Err("it is 1h to 36500d, or 0".to_owned()),
    }
}

/// Parses a domain: one part of a subject of NATS.
fn parse_domain(text: &str) -> Result<String, String> {
    match is_word(text) {
        true => Ok(text.to_owned()),
        false => Err("it is a word without dots, spaces, `*` and `>`".to_owned()),
    }
}

/// Parses the beginning of subjects of NATS.
fn parse_prefix(text: &str) -> Result<String, String> {
    match text.split('.').all(is_word) {
        true => Ok(text.to_owned()),
        false => Err("it is words with dots between them, without spaces, `*` and `>`".to_owned()),
    }
}

fn is_word(text: &str) -> bool {
    let is_odd = |char: char| char.is_whitespace() || char.is_control() || ".*>".contains(char);
    !text.is_empty() && !text.contains(is_odd)
}

fn parse_outbox(text: &str) -> Result<usize, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    let bytes = usize::try_from(bytes).map_err(|error| error.to_string())?;
    match bytes >= OUTBOX_LEN_MIN {
        true => Ok(bytes),
        false => Err("it is at least 128KiB".to_owned()),
    }
}

/// The shortest that a stream may keep messages. chat-cluster refuses less.
const MAX_AGE_MIN: Duration = Duration::from_secs(60 * 60);

/// The longest: a hundred years. NATS counts nanoseconds in 63 bits.
const MAX_AGE_MAX: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// The variable with a password, where no file has it.
const PASSWORD: &str = "CHAT_CLUSTER_PASSWORD";
