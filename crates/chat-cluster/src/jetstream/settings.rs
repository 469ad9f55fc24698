//! What a member is told at its start.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use std::{env, fs, io};

use chat_tls::{Tls, TlsOptions};

use super::{End, connect};
use crate::NodeId;

/// What a member is told at its start. Nothing of it is a secret: those are read where they are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers of NATS, at least one. Others of their cluster are found.
    pub servers: Vec<Server>,
    /// The stream: the room.
    pub stream: StreamName,
    /// The node.
    pub node: NodeId,
    /// How to log in.
    pub login: Login,
    /// What TLS to NATS takes.
    pub tls: TlsFiles,
    /// The JetStream domain, if it is not that of the servers.
    pub domain: Option<String>,
    /// The prefix of the JetStream API, if it is another one than `$JS.API`. Goes before the domain.
    pub api_prefix: Option<String>,
    /// On how many servers of NATS the stream is.
    pub replicas: usize,
    /// Where they keep it.
    pub storage: Storage,
    /// How many bytes the stream keeps; see [`MAX_BYTES_MIN`](super::MAX_BYTES_MIN). Only a stream
    /// that is created gets it.
    pub max_bytes: u64,
    /// How long the stream keeps an entry; zero is for ever. Only a stream that is created gets it.
    pub max_age: Duration,
    /// The most bytes that are accepted from clients and have not come back; see
    /// [`OUTBOX_LEN_MIN`].
    pub outbox_len_max: usize,
    /// How long the node tries to join before it gives up.
    pub join_timeout: Duration,
}

/// The least length of an outbox in bytes: a batch that is under way, and one that is collected.
pub const OUTBOX_LEN_MIN: usize = 2 * crate::BATCH_LEN_MAX;

/// How to log in to NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// Not at all.
    #[default]
    None,
    /// By a credentials file: a JWT, and the seed of its key.
    Credentials(PathBuf),
    /// By a key; the secret is its seed.
    Nkey(Secret),
    /// By a name and a password.
    User {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// By a token.
    Token(Secret),
}

/// Where a secret is. It is read when it is needed, and never kept or shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Secret {
    /// The first line of a file.
    File(PathBuf),
    /// The value of an environment variable.
    Variable(String),
}

/// Says why a secret could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret in {path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The variable is not set, or is no text.
    #[error("the variable {0} with the secret is not set, or is no text")]
    Variable(String),
    /// There is nothing in it.
    #[error("the secret in {0} is empty")]
    Empty(String),
}

/// Files that TLS to NATS takes, all in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA of the servers, if it is none of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate of this client, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where the servers of NATS keep the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// In files: the stream outlives a restart of all servers.
    #[default]
    File,
    /// In memory: it is lost when most of its servers are down at a time.
    Memory,
}

/// A server of NATS: `nats://HOST[:PORT]`, or `tls://HOST[:PORT]` where TLS is required.
#[derive(Clone, PartialEq, Eq)]
pub struct Server(String);

/// Says why a text is no server of NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It has another form.
    #[error("a server of NATS is nats://HOST[:PORT] or tls://HOST[:PORT]")]
    Form,
    /// It has a name, a password or a token.
    #[error("a URL has no secrets here, for URLs are shown; name a file or a variable with them")]
    Secret,
}

/// The name of a stream: 1 to 64 ASCII letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamName(String);

/// Says that a text is no name of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stream's name has 1 to 64 letters, digits, `-` and `_`, and no others")]
pub struct StreamNameError;

impl Settings {
    /// Makes settings with three replicas in files, 1 GiB of entries of any age, an outbox of 1 MiB,
    /// and 30 seconds to join.
    pub fn new(servers: Vec<Server>, stream: StreamName, node: NodeId) -> Self {
        Self {
            servers,
            stream,
            node,
            login: Login::None,
            tls: TlsFiles::default(),
            domain: None,
            api_prefix: None,
            replicas: 3,
            storage: Storage::File,
            max_bytes: 1 << 30,
            max_age: Duration::ZERO,
            outbox_len_max: 1 << 20,
            join_timeout: Duration::from_secs(30),
        }
    }

    /// Reads the files with secrets and certificates, and checks what can be checked without NATS.
    ///
    /// # Errors
    ///
    /// [`End::Secret`] or [`End::Login`] when one is missing or no good. [`join`](super::join) ends with
    /// the same.
    pub fn check(&self) -> Result<(), End> {
        connect::options(self).map(drop)
    }

    /// Returns the servers of NATS as one text.
    pub(super) fn server_list(&self) -> String {
        let servers: Vec<_> = self.servers.iter().map(Server::as_str).collect();
        servers.join(", ")
    }
}

impl TlsFiles {
    /// Fails where the client of NATS would say less of what is wrong, and that it may pass.
    pub(super) fn check(&self) -> Result<(), End> {
        let options = TlsOptions {
            ca: self.ca.clone(),
            identity: self.client.clone(),
            ..TlsOptions::default()
        };
        match Tls::new(&options) {
            Ok(_) => Ok(()),
            Err(error) => Err(End::Login(error.to_string())),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

impl Secret {
    pub(super) fn read(&self) -> Result<String, SecretError> {
        let (text, place) = match self {
            Self::File(path) => {
                let failed = |source| SecretError::File {
                    path: path.clone(),
                    source,
                };
                let text = fs::read_to_string(path).map_err(failed)?;
                (text, path.display().to_string())
            }
            Self::Variable(name) => {
                let text = env::var(name).map_err(|_| SecretError::Variable(name.clone()))?;
                (text, name.clone())
            }
        };
        match text.lines().next().map(str::trim) {
            Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
            _ => Err(SecretError::Empty(place)),
        }
    }
}

impl Server {
    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        if text.contains('@') {
            return Err(ServerError::Secret);
        }
        let host = ["nats://", "tls://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let is_host = |host: &&str| !host.is_empty() && !host.contains(['/', ' ', ',', '?', '#']);
        host.filter(is_host).ok_or(ServerError::Form)?;
        let parsed: Result<async_nats::ServerAddr, _> = text.parse();
        parsed.map_err(|_| ServerError::Form)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StreamName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the subject of openings and batches.
    pub(super) fn entries_subject(&self) -> String {
        format!("chat-cluster.{self}.entries")
    }

    /// Returns the subject of snapshots.
    pub(super) fn snapshots_subject(&self) -> String {
        format!("chat-cluster.{self}.snapshots")
    }
}

impl FromStr for StreamName {
    type Err = StreamNameError;

    fn from_str(text: &str) -> Result<Self, StreamNameError> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match (1..=64).contains(&text.len()) && text.bytes().all(is_fine) {
            true => Ok(Self(text.to_owned())),
            false => Err(StreamNameError),
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_host_and_no_secret() {
        for text in ["nats://h", "nats://127.0.0.1:4222", "tls://[::1]:1"] {
            assert_eq!(text.parse::<Server>().unwrap().as_str(), text);
        }
        for text in ["h:1", "http://h", "nats://", "nats://h/x", "nats://h:x", ""] {
            assert_eq!(text.parse::<Server>(), Err(ServerError::Form), "{text}");
        }
        for text in ["nats://me:secret@h", "tls://token@h"] {
            assert_eq!(text.parse::<Server>(), Err(ServerError::Secret), "{text}");
        }
    }

    #[test]
    fn a_stream_has_a_name_that_is_a_word() {
        for text in ["room", "A-b_9", &"x".repeat(64)] {
            assert_eq!(text.parse::<StreamName>().unwrap().as_str(), text);
        }
        for text in ["", "a.b", "a b", "*", ">", "é", &"x".repeat(65)] {
            assert_eq!(text.parse::<StreamName>(), Err(StreamNameError), "{text}");
        }
    }

    #[test]
    fn a_secret_is_the_first_line_and_is_never_shown() {
        let path = env::temp_dir().join(format!("chat-cluster-secret-{}", std::process::id()));
        fs::write(&path, "hush \nmore").unwrap();
        let secret = Secret::File(path.clone());
        assert_eq!(secret.read().unwrap(), "hush");
        assert!(!format!("{:?}", Login::Token(secret.clone())).contains("hush"));
        fs::write(&path, "\n").unwrap();
        assert!(matches!(secret.read(), Err(SecretError::Empty(_))));
        fs::remove_file(&path).unwrap();
        assert!(matches!(secret.read(), Err(SecretError::File { .. })));
        let variable = Secret::Variable("CHAT_CLUSTER_NO_SUCH_VARIABLE".to_owned());
        assert!(matches!(variable.read(), Err(SecretError::Variable(_))));
    }
}
