//! The chat servers of a cluster.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard};

use chat_target::Launch;
use chat_toxic::Proxy;

use crate::keeper::{Keeper, Kept, Shared, lock};
use crate::ports::{KeptAddrs, start_proxy};
use crate::process::Process;
use crate::{ClusterError, Exit, Settings, monitor, wait_until};

/// The chat servers of a cluster. Dropping them ends them.
///
/// Each connects to NATS through proxies of its own, so that it can be cut off. One that ends by itself is
/// started again while a [`Trial`](crate::Trial) runs, and at no other time.
#[derive(Debug)]
pub struct Nodes {
    servers: Vec<Shared>,
    addrs: Vec<SocketAddr>,
    monitors: Vec<SocketAddr>,
    proxies: Vec<Vec<Proxy>>,
    _kept: KeptAddrs,
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
        let (kept, mut addrs) = KeptAddrs::find(2 * settings.node_count)?;
        let monitors = addrs.split_off(settings.node_count);
        let (mut servers, mut proxies) = (Vec::new(), Vec::new());
        for (index, addr) in addrs.iter().enumerate() {
            let number = index + 1;
            let own = nats.iter().map(|it| start_proxy(*it));
            let own = own.collect::<Result<Vec<Proxy>, _>>()?;
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
            let process = Process::new(format!("chat server {number}"), launch);
            servers.push(Arc::new(Mutex::new(Kept::new(index, process))));
            proxies.push(own);
        }
        let nodes = Self {
            servers,
            addrs,
            monitors,
            proxies,
            _kept: kept,
        };
        let all = || nodes.servers.iter().map(lock);
        all().try_for_each(|mut it| it.start())?;
        all().try_for_each(|mut it| it.process.wait_ready())?;
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
        self.server(number).process.exit_status()
    }

    /// Returns the id of a server's process, if it was started.
    pub fn process_id(&self, number: usize) -> Option<u32> {
        self.server(number).process.id()
    }

    /// Kills a server at once.
    pub fn kill(&mut self, number: usize) {
        self.server(number).kill();
    }

    /// Asks a server to end, and waits for it.
    ///
    /// # Errors
    ///
    /// When it does not end with code 0 in time.
    pub fn end(&mut self, number: usize) -> Result<(), ClusterError> {
        self.server(number).process.end()
    }

    /// Starts a server again, with the same name, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not start or get ready.
    pub fn restart(&mut self, number: usize) -> Result<(), ClusterError> {
        self.server(number).start()?;
        self.wait_ready(number)
    }

    /// Waits until a server is ready; during a trial, also for one that ended by itself.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub fn wait_ready(&self, number: usize) -> Result<(), ClusterError> {
        let what = format!("getting chat server {} ready", number + 1);
        wait_until(&what, || self.server(number).poll_ready())
    }

    /// Has a server not run until it is thawed.
    pub fn freeze(&self, number: usize) {
        self.server(number).process.freeze();
    }

    /// Has it run again.
    pub fn thaw(&self, number: usize) {
        self.server(number).process.thaw();
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
        let servers = self.servers.iter().map(lock);
        servers.map(|mut it| it.process.last_lines()).collect()
    }

    /// Returns how servers ended by themselves since the last trial began, those of each one after the
    /// other.
    pub fn exits(&self) -> Vec<Exit> {
        let servers = self.servers.iter().map(lock);
        servers.flat_map(|it| it.exits().to_vec()).collect()
    }

    /// Starts servers again that end by themselves, until the keeper is dropped.
    pub(crate) fn keep(&self) -> Result<Keeper, ClusterError> {
        Keeper::start(&self.servers)
    }

    fn server(&self, number: usize) -> MutexGuard<'_, Kept> {
        lock(&self.servers[number])
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
    let library = find_faketime().ok_or_else(|| {
        let failed = ClusterError::io("finding libfaketime");
        failed(std::io::ErrorKind::NotFound.into())
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
