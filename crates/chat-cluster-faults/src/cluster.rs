//! A whole cluster on one machine.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::{ClusterError, Nats, Nodes};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The executable of NATS.
    pub nats: PathBuf,
    /// The executable of the chat server.
    pub server: PathBuf,
    /// What chat servers are told, see [`Nodes::start`]; `{stream}` stands for the stream's name.
    pub args: Vec<String>,
    /// How many chat servers there are.
    pub node_count: usize,
    /// The name of the stream.
    pub stream: String,
    /// The executable of a process that ends a server if this one is killed, see
    /// [`Launch::guard`](chat_target::Launch::guard).
    pub guard: Option<PathBuf>,
}

impl Settings {
    /// Makes those of two chat servers with a stream in memory.
    pub fn new(nats: impl Into<PathBuf>, server: impl Into<PathBuf>) -> Self {
        let args = [
            "--cluster={nats}",
            "--cluster-stream={stream}",
            "--node=node-{n}",
            "--cluster-storage=memory",
        ];
        Self {
            nats: nats.into(),
            server: server.into(),
            args: args.map(str::to_owned).into(),
            node_count: 2,
            stream: "room".to_owned(),
            guard: None,
        }
    }
}

/// Three servers of NATS and some chat servers. Dropping it ends them and removes their files.
#[derive(Debug)]
pub struct Cluster {
    /// The chat servers. They end first.
    pub nodes: Nodes,
    /// The servers of NATS.
    pub nats: Nats,
    /// The name of the stream.
    pub stream: String,
    _dir: Dir,
}

impl Cluster {
    /// Starts all, and waits until the stream has all its replicas.
    ///
    /// # Errors
    ///
    /// When something does not start or get ready.
    pub fn start(settings: &Settings) -> Result<Self, ClusterError> {
        let dir = Dir::create()?;
        let nats = Nats::start(&settings.nats, &dir.0, settings.guard.as_deref())?;
        let nodes = Nodes::start(settings, nats.addrs())?;
        nats.wait_whole(&settings.stream)?;
        Ok(Self {
            nodes,
            nats,
            stream: settings.stream.clone(),
            _dir: dir,
        })
    }
}

/// A directory that is removed at the end.
#[derive(Debug)]
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn create() -> Result<Self, ClusterError> {
        let name = format!("chat-cluster-{:016x}", fastrand::u64(..));
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).map_err(|source| ClusterError::Io {
            what: "making a directory",
            source,
        })?;
        Ok(Self(path))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Whatever stays there harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
