//! A whole cluster on one machine.

use std::path::{Path, PathBuf};

use crate::dir::Dir;
use crate::{ClusterError, Disks, Nats, Nodes};

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
    /// By default it is a script, for executables that cannot ask [`guard::run`](crate::guard::run).
    pub guard: Option<PathBuf>,
    /// How many bytes the disk of each server of NATS has, where the system lets us have disks of our
    /// own. With `None`, they keep their files where all are.
    pub disk_len: Option<u64>,
    /// How much the clock of each chat server is off, as libfaketime has it: `+1h`. Where there are fewer
    /// than chat servers, those of the others are right.
    pub clocks: Vec<String>,
}

impl Settings {
    /// Makes those of two chat servers with a stream in memory.
    pub fn new(nats: impl Into<PathBuf>, server: impl Into<PathBuf>) -> Self {
        let args = [
            "--cluster={nats}",
            "--cluster-stream={stream}",
            "--node=node-{n}",
            "--cluster-storage=memory",
            "--metrics={metrics}",
        ];
        Self {
            nats: nats.into(),
            server: server.into(),
            args: args.map(str::to_owned).into(),
            node_count: 2,
            stream: "room".to_owned(),
            guard: Some(guard_script()),
            disk_len: None,
            clocks: Vec::new(),
        }
    }
}

/// Three servers of NATS and some chat servers. Dropping it ends them and removes their files. A signal that
/// ends this process does so as well, where [`Settings::guard`] is set.
#[derive(Debug)]
pub struct Cluster {
    /// The chat servers. They end first.
    pub nodes: Nodes,
    /// The servers of NATS.
    pub nats: Nats,
    /// The name of the stream.
    pub stream: String,
    /// The disks of the servers of NATS, where they have some of their own.
    pub disks: Option<Disks>,
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
        let guard = settings.guard.as_deref();
        let len = settings.disk_len;
        let disks = len.and_then(|len| Disks::mount(dir.path(), len, guard));
        let stores = disks.as_ref().map_or(dir.path(), Disks::root);
        let nats = Nats::start(&settings.nats, stores, guard)?;
        let nodes = Nodes::start(settings, nats.addrs())?;
        nats.wait_whole(&settings.stream)?;
        Ok(Self {
            nodes,
            nats,
            stream: settings.stream.clone(),
            disks,
            _dir: dir,
        })
    }

    /// Tells which chat servers ended by themselves since the last trial began, what all printed last, and
    /// how each server of NATS has the stream.
    pub fn report(&mut self) -> String {
        let mut report = String::new();
        for exit in self.nodes.exits() {
            // What one that is not started again printed comes below.
            let lines = exit.last_lines.iter().filter(|_| exit.is_passing());
            for line in lines {
                report.push_str(&format!("chat server {}: {line}\n", exit.node + 1));
            }
            report.push_str(&format!("{exit}\n"));
        }
        for (number, lines) in (1..).zip(self.nodes.last_lines()) {
            for line in lines {
                report.push_str(&format!("chat server {number}: {line}\n"));
            }
        }
        for (number, replica) in self.nats.replicas(&self.stream).iter().enumerate() {
            let told = replica.as_ref().map_or_else(
                || "tells nothing".to_owned(),
                |it| {
                    format!(
                        "last entry {}, {} entries, {} deleted",
                        it.last, it.entry_count, it.deleted_count
                    )
                },
            );
            report.push_str(&format!("{}: {told}\n", crate::nats::name(number)));
        }
        report
    }
}

/// Returns the script that guards servers. It is beside the sources.
fn guard_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guard.sh")
}
