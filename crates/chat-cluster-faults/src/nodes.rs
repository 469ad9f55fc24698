//! The chat servers of a cluster.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;

use chat_target::Launch;
use chat_toxic::{Plan, Proxy};

use crate::ports::free_addrs;
use crate::process::Process;
use crate::{ClusterError, Settings, monitor};

/// The chat servers of a cluster. Dropping them ends them.
///
/// Each connects to NATS through proxies of its own, so that it can be cut off.
#[derive(Debug)]
pub struct Nodes {
    servers: Vec<Process>,
    addrs: Vec<SocketAddr>,
    monitors: Vec<SocketAddr>,
    proxies: Vec<Vec<Proxy>>,
}

impl Nodes {
    /// Starts the chat servers. In their arguments, `{nats}` stands for the URLs of NATS, `{stream}` for
    /// the name of the stream, `{metrics}` for the address of its metrics, and `{n}` for the number of the
    /// server, from 1.
    ///
    /// # Errors
    ///
    /// When one does not start or get ready.
    pub fn start(settings: &Settings, nats: &[SocketAddr]) -> Result<Self, ClusterError> {
        let mut addrs = free_addrs(2 * settings.node_count)?;
        let monitors = addrs.split_off(settings.node_count);
        let (mut servers, mut proxies) = (Vec::new(), Vec::new());
        for (index, addr) in addrs.iter().enumerate() {
            let number = index + 1;
            let own = nats.iter().map(|it| Proxy::start(*it, |_| Plan::default()));
            let own = own.collect::<Result<Vec<Proxy>, _>>();
            let own = own.map_err(|source| ClusterError::Io {
                what: "starting a proxy",
                source,
            })?;
            let urls: Vec<String> = own
                .iter()
                .map(|proxy| format!("nats://{}", proxy.addr()))
                .collect();
            let args = settings.args.iter().map(|arg| {
                let arg = arg.replace("{stream}", &settings.stream);
                let arg = arg.replace("{nats}", &urls.join(","));
                let arg = arg.replace("{metrics}", &monitors[index].to_string());
                OsString::from(arg.replace("{n}", &number.to_string()))
            });
            let (executable, clock) = clock(settings, index)?;
            let launch = Launch {
                args: clock.into_iter().chain(args).collect(),
                guard: settings.guard.clone(),
                ..Launch::new(executable, *addr)
            };
            servers.push(Process::new(format!("chat server {number}"), launch));
            proxies.push(own);
        }
        let mut nodes = Self {
            servers,
            addrs,
            monitors,
            proxies,
        };
        nodes.servers.iter_mut().try_for_each(Process::start)?;
        nodes.servers.iter_mut().try_for_each(Process::wait_ready)?;
        Ok(nodes)
    }

    /// Returns the addresses that clients connect to.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Tells whether a server says that it is ready.
    pub fn is_ready(&self, number: usize) -> bool {
        monitor::is_ready(self.monitors[number])
    }

    /// Tells how a server ended, if it did by itself.
    pub fn exit_status(&mut self, number: usize) -> Option<ExitStatus> {
        self.servers[number].exit_status()
    }

    /// Kills a server at once.
    pub fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    /// Asks a server to end, and tells whether it did with code 0.
    pub fn end(&mut self, number: usize) -> bool {
        self.servers[number].end(crate::WAIT)
    }

    /// Starts a server again, with the same name, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not start or get ready.
    pub fn restart(&mut self, number: usize) -> Result<(), ClusterError> {
        self.servers[number].start()?;
        self.servers[number].wait_ready()
    }

    /// Has a server not run until it is thawed.
    pub fn freeze(&self, number: usize) {
        self.servers[number].freeze();
    }

    /// Has it run again.
    pub fn thaw(&self, number: usize) {
        self.servers[number].thaw();
    }

    /// Cuts a server off from NATS, which nobody is told. Its clients stay.
    pub fn cut_off(&self, number: usize) {
        self.proxies[number].iter().for_each(Proxy::hold);
    }

    /// Connects it again.
    pub fn join_again(&self, number: usize) {
        self.proxies[number].iter().for_each(Proxy::release);
    }

    /// Returns the last that each printed on standard error.
    pub fn last_lines(&mut self) -> Vec<Vec<String>> {
        self.servers.iter_mut().map(Process::last_lines).collect()
    }
}

/// Finds libfaketime where Debian has it.
pub fn find_faketime() -> Option<PathBuf> {
    let dirs = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut files = dirs.map(|dir| dir.path().join("faketime/libfaketime.so.1"));
    files.find(|file| file.is_file())
}

/// Returns what has to be started so that a server has the clock that it should have, and what comes
/// before the server's own arguments.
fn clock(settings: &Settings, index: usize) -> Result<(PathBuf, Vec<OsString>), ClusterError> {
    let Some(clock) = settings.clocks.get(index) else {
        return Ok((settings.server.clone(), Vec::new()));
    };
    let library = find_faketime().ok_or_else(|| ClusterError::Io {
        what: "finding libfaketime",
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    let mut preload = OsString::from("LD_PRELOAD=");
    preload.push(library);
    let args = vec![
        preload,
        format!("FAKETIME={clock}").into(),
        // What measures how long something takes is right on a machine whose clock is wrong.
        "DONT_FAKE_MONOTONIC=1".into(),
        settings.server.clone().into(),
    ];
    Ok(("env".into(), args))
}
