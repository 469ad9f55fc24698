//! Three servers of NATS with one stream, on one machine.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chat_target::{Convention, Launch};
use chat_toxic::Proxy;

use crate::monitor::{self, StreamStatus};
use crate::ports::{KeptAddrs, start_proxy};
use crate::process::Process;
use crate::{ClusterError, wait_for};

/// Three servers of NATS in one cluster. Dropping them ends them.
///
/// The connections between them go through proxies, so that a server can be cut off from the others.
#[derive(Debug)]
pub struct Nats {
    servers: Vec<Process>,
    addrs: Vec<SocketAddr>,
    monitors: Vec<SocketAddr>,
    /// The proxies between two servers each.
    routes: Vec<Route>,
    _kept: KeptAddrs,
}

/// The connection of two servers.
#[derive(Debug)]
struct Route {
    ends: [usize; 2],
    proxy: Proxy,
}

impl Nats {
    /// How many servers there are: the fewest of which one may be gone.
    pub const COUNT: usize = 3;

    /// Starts the servers, which keep their files under `dir`, and waits until they are one cluster.
    /// `guard` ends them if this process is killed, see [`Launch::guard`].
    ///
    /// # Errors
    ///
    /// When one does not start, or they find no leader in time.
    pub fn start(
        executable: &Path,
        dir: &Path,
        guard: Option<&Path>,
    ) -> Result<Self, ClusterError> {
        let (kept, all) = KeptAddrs::find(3 * Self::COUNT)?;
        let (addrs, rest) = all.split_at(Self::COUNT);
        let (monitors, listens) = rest.split_at(Self::COUNT);
        let mut routes = Vec::new();
        for (later, earlier) in [(1, 0), (2, 0), (2, 1)] {
            let proxy = start_proxy(listens[earlier])?;
            let ends = [later, earlier];
            routes.push(Route { ends, proxy });
        }
        let mut servers = Vec::new();
        for number in 0..Self::COUNT {
            let config = config(number, dir, (monitors[number], listens[number]), &routes);
            let launch = Launch {
                args: ["-c", "/dev/stdin"].map(Into::into).into(),
                convention: Convention::Config(config),
                guard: guard.map(Path::to_owned),
                ..Launch::new(executable, addrs[number])
            };
            servers.push(Process::new(name(number), launch));
        }
        let mut nats = Self {
            servers,
            addrs: addrs.to_vec(),
            monitors: monitors.to_vec(),
            routes,
            _kept: kept,
        };
        nats.servers.iter_mut().try_for_each(Process::start)?;
        nats.servers.iter_mut().try_for_each(Process::wait_ready)?;
        nats.wait_healthy()?;
        Ok(nats)
    }

    /// Returns the addresses that clients of NATS connect to.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Returns the stream as the first server sees it that knows its leader, and the number of the
    /// leader.
    pub fn stream(&self, stream: &str) -> Option<(usize, StreamStatus)> {
        self.monitors.iter().find_map(|addr| {
            let status = monitor::stream(*addr, stream).ok().flatten()?;
            let leader = number(status.leader.as_deref()?)?;
            Some((leader, status))
        })
    }

    /// Returns the stream as each server has it, if it tells.
    pub fn replicas(&self, stream: &str) -> Vec<Option<StreamStatus>> {
        let addrs = self.monitors.iter();
        addrs
            .map(|addr| monitor::stream(*addr, stream).ok().flatten())
            .collect()
    }

    /// Waits until the stream has a leader that runs and sees all others up to date; returns its number.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub fn wait_whole(&self, stream: &str) -> Result<usize, ClusterError> {
        wait_for("having all replicas of the stream up to date", || {
            // What others think of a leader that is gone is not the news.
            let (leader, _) = self.stream(stream)?;
            let own = monitor::stream(self.monitors[leader], stream).ok()??;
            let leads = own.leader.as_deref().and_then(number) == Some(leader);
            (leads && own.current_replica_count == Self::COUNT - 1).then_some(leader)
        })
    }

    /// Waits until all servers are well.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub fn wait_healthy(&self) -> Result<(), ClusterError> {
        wait_for("having all servers of NATS well", || {
            let is_well = |addr: &SocketAddr| monitor::is_healthy(*addr);
            self.monitors.iter().all(is_well).then_some(())
        })
    }

    /// Kills a server at once.
    pub fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    /// Asks a server to end, and waits for it.
    pub fn end(&mut self, number: usize) {
        // Versions of 2022 end with code 1.
        let _ = self.servers[number].end();
    }

    /// Starts a server again.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn restart(&mut self, number: usize) -> Result<(), ClusterError> {
        self.servers[number].start()?;
        self.servers[number].wait_ready()
    }

    /// Has a server not run until it is thawed.
    pub fn freeze(&mut self, number: usize) {
        self.servers[number].freeze();
    }

    /// Has it run again.
    pub fn thaw(&mut self, number: usize) {
        self.servers[number].thaw();
    }

    /// Cuts a server off from the others, which nobody is told. Its clients stay.
    pub fn cut_off(&self, number: usize) {
        self.routes_of(number).for_each(|route| route.proxy.hold());
    }

    /// Connects it again.
    pub fn join_again(&self, number: usize) {
        self.routes_of(number)
            .for_each(|route| route.proxy.release());
    }

    /// Tells whether a server runs.
    pub fn is_running(&mut self, number: usize) -> bool {
        self.servers[number].is_running()
    }

    fn routes_of(&self, number: usize) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(move |route| route.ends.contains(&number))
    }
}

/// Finds the executable of NATS: `nats-server` in `$PATH`, or where Debian has it.
pub fn find_nats() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    dirs.push("/usr/sbin".into());
    let mut files = dirs.into_iter().map(|dir| dir.join("nats-server"));
    files.find(|file| file.is_file())
}

/// Makes the configuration of a server, but for the address of its clients. It connects to those before
/// it, and does not tell others where it is: they would go around the proxies. The first has a route to
/// itself, which is passed over: without any, there is no cluster.
fn config(
    number: usize,
    dir: &Path,
    (monitor, listen): (SocketAddr, SocketAddr),
    routes: &[Route],
) -> String {
    let mut config = format!(
        "server_name: {name}\nlisten: \"{{ip}}:{{port}}\"\nhttp: \"{monitor}\"\n\
         jetstream {{ store_dir: \"{dir}\", max_memory_store: 1GB, max_file_store: 4GB }}\n\
         cluster {{ name: chat, listen: \"{listen}\", no_advertise: true, routes: [",
        name = name(number),
        dir = dir.join(name(number)).display(),
    );
    let before = routes.iter().filter(|route| route.ends[0] == number);
    let mut urls: Vec<SocketAddr> = before.map(|route| route.proxy.addr()).collect();
    if urls.is_empty() {
        urls.push(listen);
    }
    let urls: Vec<String> = urls.iter().map(|it| format!("\"nats://{it}\"")).collect();
    config.push_str(&urls.join(", "));
    config.push_str("] }\n");
    config
}

pub(crate) fn name(number: usize) -> String {
    format!("nats-{number}")
}

fn number(name: &str) -> Option<usize> {
    let number: usize = name.strip_prefix("nats-")?.parse().ok()?;
    (number < Nats::COUNT).then_some(number)
}
