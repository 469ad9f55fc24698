//! The chat servers of a cluster.

use std::ffi::OsString;
use std::net::SocketAddr;

use chat_target::Launch;
use chat_toxic::{Plan, Proxy};

use crate::ports::free_addrs;
use crate::process::Process;
use crate::{ClusterError, Settings};

/// The chat servers of a cluster. Dropping them ends them.
///
/// Each connects to NATS through proxies of its own, so that it can be cut off.
#[derive(Debug)]
pub struct Nodes {
    servers: Vec<Process>,
    addrs: Vec<SocketAddr>,
    proxies: Vec<Vec<Proxy>>,
}

impl Nodes {
    /// Starts the chat servers. In their arguments, `{nats}` stands for the URLs of NATS, `{stream}` for
    /// the name of the stream, and `{n}` for the number of the server, from 1.
    ///
    /// # Errors
    ///
    /// When one does not start or get ready.
    pub fn start(settings: &Settings, nats: &[SocketAddr]) -> Result<Self, ClusterError> {
        let addrs = free_addrs(settings.node_count)?;
        let (mut servers, mut proxies) = (Vec::new(), Vec::new());
        for (number, addr) in (1..).zip(&addrs) {
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
                OsString::from(arg.replace("{n}", &number.to_string()))
            });
            let launch = Launch {
                args: args.collect(),
                guard: settings.guard.clone(),
                ..Launch::new(&settings.server, *addr)
            };
            servers.push(Process::new(format!("chat server {number}"), launch));
            proxies.push(own);
        }
        let mut nodes = Self {
            servers,
            addrs,
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
