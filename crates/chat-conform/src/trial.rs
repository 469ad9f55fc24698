//! The running of one case: its servers, its clients, and what went wrong.

use std::ffi::OsString;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use chat_target::{Launch, Server};
use rustix::process::{Pid, Signal, kill_process};

use crate::case::Case;
use crate::client::Client;
use crate::story::Story;
use crate::watch::Watch;
use crate::wire::Patience;
use crate::wrong::Wrong;

/// What is tested.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) executable: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Which servers a case has.
    pub(crate) servers: Servers,
    pub(crate) patience: Patience,
}

/// Which servers a case has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// One of its own.
    One,
    /// So many of its own, which promise one order together.
    Group(u16),
    /// These, which run already and promise one order together.
    Running(Vec<SocketAddr>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.servers {
            Servers::Running(addrs) => {
                let addrs: Vec<String> = addrs.iter().map(SocketAddr::to_string).collect();
                return f.write_str(&addrs.join(","));
            }
            Servers::Group(count) => write!(f, "{count} of ")?,
            Servers::One => {}
        }
        write!(f, "{}", self.executable.display())?;
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {}", arg.display()))
    }
}

impl Servers {
    /// Tells why a case cannot be run on these, if it cannot.
    pub(crate) fn no_place_for(&self, case: &Case) -> Option<&'static str> {
        if !case.is_about_process() {
            return None;
        }
        match self {
            Self::One => None,
            Self::Group(_) => Some("it is about one server that is started, and here is a group"),
            Self::Running(_) => Some("it is about a server that is started, and these run already"),
        }
    }
}

/// What a case has: a server, or several, and clients for it.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    target: &'a Target,
    /// Those that were started for the case.
    servers: Vec<Server>,
    /// Where clients connect, in turn.
    addrs: Vec<SocketAddr>,
    connect_count: AtomicUsize,
    pub(crate) story: Story,
    hello_count: AtomicU32,
}

impl<'a> Trial<'a> {
    /// Makes one without a server.
    pub(crate) fn new(target: &'a Target) -> Self {
        Self {
            target,
            servers: Vec::new(),
            addrs: vec![LOOPBACK],
            connect_count: AtomicUsize::new(0),
            story: Story::default(),
            hello_count: AtomicU32::new(0),
        }
    }

    /// Starts a server, or all of a group, and waits until it is ready. Servers that run already are.
    pub(crate) fn serve(&mut self) -> Result<(), Wrong> {
        match &self.target.servers {
            Servers::One => self.serve_at(LOOPBACK),
            Servers::Running(addrs) => {
                self.addrs.clone_from(addrs);
                Ok(())
            }
            Servers::Group(count) => {
                self.launch(self.pattern(LOOPBACK).group(*count))?;
                self.wait_ready()
            }
        }
    }

    /// Waits until nothing arrives any more that other clients have sent to servers that run already,
    /// those of an earlier case. Others may not use them. Each server has a witness, so that no mark
    /// of this is on its way to any of them afterwards.
    pub(crate) fn settle(&mut self) -> Result<(), Wrong> {
        if !matches!(self.target.servers, Servers::Running(_)) {
            return Ok(());
        }
        let deadline = self.patience().begin();
        let mut witnesses = self.witnesses()?;
        let mut quiet_count = 0;
        while quiet_count < QUIET_COUNT {
            thread::sleep(QUIET_TIME);
            let (_, before_count) = pass_mark(&mut witnesses)?;
            let is_quiet = before_count == 0;
            quiet_count = if is_quiet { quiet_count + 1 } else { 0 };
            if self.patience().is_over(deadline) {
                return Err(Wrong::Skipped(
                    "messages arrive that no client of a case has sent: others use the servers"
                        .to_owned(),
                ));
            }
        }
        self.story = Story::default();
        Ok(())
    }

    /// Starts a server that is to listen on `addr`, and waits until it is ready.
    pub(crate) fn serve_at(&mut self, addr: SocketAddr) -> Result<(), Wrong> {
        self.start(addr)?;
        self.wait_ready()
    }

    /// Starts a server by a shell script, in which `"$0" "$@"` is its command line, and waits until
    /// it is ready.
    pub(crate) fn serve_by(&mut self, script: &str) -> Result<(), Wrong> {
        self.start_by(script, LOOPBACK)?;
        self.wait_ready()
    }

    /// Starts a server.
    pub(crate) fn start(&mut self, addr: SocketAddr) -> Result<(), Wrong> {
        self.launch(vec![self.pattern(addr)])
    }

    /// Tells how a server is started.
    fn pattern(&self, addr: SocketAddr) -> Launch {
        Launch {
            args: self.target.args.clone(),
            ..Launch::new(&self.target.executable, addr)
        }
    }

    /// Starts a server by a shell script, in which `"$0" "$@"` is its command line.
    pub(crate) fn start_by(&mut self, script: &str, addr: SocketAddr) -> Result<(), Wrong> {
        let mut args: Vec<OsString> = vec!["-c".into(), script.into()];
        args.push(self.target.executable.clone().into());
        args.extend(self.target.args.iter().cloned());
        self.launch(vec![Launch {
            args,
            ..Launch::new("sh", addr)
        }])
    }

    /// Starts a server with any text in place of the address.
    pub(crate) fn start_with_address(&mut self, text: &str) -> Result<(), Wrong> {
        // The shell gets the real address as the last argument and leaves it out.
        let args: String = (1..=self.target.args.len())
            .map(|number| format!("\"${{{number}}}\" "))
            .collect();
        self.start_by(&format!("exec \"$0\" {args}'{text}'"), LOOPBACK)
    }

    /// Waits until the server is ready.
    pub(crate) fn wait_ready(&mut self) -> Result<(), Wrong> {
        let patience = self.patience().time;
        let ready = self.servers.iter_mut().map(|it| it.wait_ready(patience));
        self.addrs = ready.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Ends the server, its whole process group.
    pub(crate) fn end_server(&mut self) {
        self.servers.clear();
    }

    /// Returns the server, of a case that has one.
    pub(crate) fn server_mut(&mut self) -> &mut Server {
        self.servers
            .first_mut()
            .expect("a case starts a server before it asks for it")
    }

    /// Returns the servers that were started for the case.
    pub(crate) fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    /// Returns the address that the server said it listens on, or that of the next one in turn.
    pub(crate) fn addr(&self) -> SocketAddr {
        // Each takes its own number, so no ordering is needed.
        let number = self.connect_count.fetch_add(1, Ordering::Relaxed);
        self.addrs[number % self.addrs.len()]
    }

    /// Has clients connect to another address than the one that the server said.
    pub(crate) fn set_addr(&mut self, addr: SocketAddr) {
        self.addrs = vec![addr];
    }

    /// Returns how long anything may take.
    pub(crate) fn patience(&self) -> &'a Patience {
        &self.target.patience
    }

    /// Connects a client. The server knows it only once it has taken part.
    pub(crate) fn connect(&self) -> Result<Client, Wrong> {
        Client::connect(self.addr(), self.patience(), self.story.begin())
    }

    /// Connects a client and waits for its own first message, so that the server is known to serve
    /// it.
    pub(crate) fn join(&self) -> Result<Client, Wrong> {
        let mut client = self.connect()?;
        self.greet(&mut client)?;
        Ok(client)
    }

    /// Connects the first client of a case, and waits until all servers have what it said: one that joins
    /// another server of a group does not receive it.
    pub(crate) fn join_first(&self) -> Result<Client, Wrong> {
        let mut client = self.join()?;
        if self.addrs.len() > 1 {
            let (mark, _) = pass_mark(&mut self.witnesses()?)?;
            client.skip_to(&mark)?;
        }
        Ok(client)
    }

    /// Connects a client to each server, and waits until all of them have what each of them said. What all
    /// of them have received, no client receives that connects afterwards.
    pub(crate) fn witnesses(&self) -> Result<Vec<Client>, Wrong> {
        let witnesses = self.addrs.iter().map(|_| self.connect());
        let mut witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
        for witness in &mut witnesses {
            let mark = witness.send_mark()?;
            witness.skip_to(&mark)?;
        }
        pass_mark(&mut witnesses)?;
        Ok(witnesses)
    }

    /// Connects clients that have all taken part, and have nothing to receive.
    pub(crate) fn join_many(&self, count: usize) -> Result<Vec<Client>, Wrong> {
        let mut clients: Vec<Client> = Vec::with_capacity(count);
        for _ in 0..count {
            let mut client = self.connect()?;
            let hello = self.greet(&mut client)?;
            for earlier in &mut clients {
                earlier.skip_to(&hello)?;
            }
            clients.push(client);
        }
        Ok(clients)
    }

    /// Connects as many clients as a pattern has, as [`join_many`](Self::join_many) does.
    pub(crate) fn join_all<const N: usize>(&self) -> Result<[Client; N], Wrong> {
        let clients = self.join_many(N)?;
        Ok(clients.try_into().expect("there are as many as asked for"))
    }

    /// Has a client take part, and returns what it said.
    pub(crate) fn greet(&self, client: &mut Client) -> Result<Vec<u8>, Wrong> {
        // Nothing else depends on it than that no two are the same.
        let number = self.hello_count.fetch_add(1, Ordering::Relaxed);
        let hello = format!("hi{number}").into_bytes();
        client.send(&hello)?;
        client.skip_to(&hello)?;
        Ok(hello)
    }

    /// Fails unless the server still runs and serves a client that comes now, and so do the others.
    pub(crate) fn assert_serves(&mut self) -> Result<(), Wrong> {
        for _ in 0..self.addrs.len() {
            self.join()?;
        }
        match self.servers.iter_mut().find_map(Server::exit_status) {
            None => Ok(()),
            Some(status) => Err(Wrong::broken(format!("the server ended: {status}"))),
        }
    }

    /// Sends the server a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let id = self.server_mut().id().cast_signed();
        if let Some(pid) = Pid::from_raw(id).filter(|_| self.server_mut().exit_status().is_none()) {
            // A server that has ended in the meantime needs none.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until the server has ended by itself, and tells how.
    pub(crate) fn wait_end(&mut self) -> Result<ExitStatus, Wrong> {
        let (patience, deadline) = (self.patience(), self.patience().begin());
        loop {
            if let Some(status) = self.server_mut().exit_status() {
                return Ok(status);
            }
            if patience.is_over(deadline) {
                let what = format!("the server still runs after {} s", patience.time.as_secs());
                return Err(Wrong::broken(what));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Repeats a look at something until it is as wished, and fails at the deadline with what the
    /// last look found.
    pub(crate) fn wait_until(
        &mut self,
        mut look: impl FnMut(&Self) -> Result<(), String>,
    ) -> Result<(), Wrong> {
        let deadline = self.patience().begin();
        while let Err(what) = look(self) {
            let has_ended = |server: &mut Server| server.exit_status().is_some();
            if self.patience().is_over(deadline) || self.servers.iter_mut().any(has_ended) {
                return Err(Wrong::broken(what));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Begins to watch what the server takes.
    pub(crate) fn watch(&mut self) -> Watch {
        Watch::new(self.server_mut().id().cast_signed())
    }
}

impl Trial<'_> {
    fn launch(&mut self, launches: Vec<Launch>) -> Result<(), Wrong> {
        self.servers.clear();
        for launch in launches {
            let server = Server::start(&launch, &self.patience().interrupt)?;
            self.servers.push(server);
        }
        Ok(())
    }
}

/// Has the first client send a mark, and waits until all have it. Returns its body, and how many messages
/// arrived before it.
fn pass_mark(clients: &mut [Client]) -> Result<(Vec<u8>, usize), Wrong> {
    let first = clients.first_mut().expect("there is a server");
    let mark = first.send_mark()?;
    let before = clients.iter_mut().map(|it| Ok(it.take_until(&mark)?.len()));
    let before_count = before.sum::<Result<usize, Wrong>>()?;
    Ok((mark, before_count))
}

/// Finds an address at which nobody listens.
pub(crate) fn free_addr() -> Result<SocketAddr, Wrong> {
    let listener = TcpListener::bind(LOOPBACK).map_err(Wrong::of_machine)?;
    listener.local_addr().map_err(Wrong::of_machine)
}

/// Where servers listen, at a port that the system chooses.
pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// How often something is looked at that does not tell of itself.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How many times in a row nothing may arrive. A judgement.
const QUIET_COUNT: u32 = 2;

/// For how long. A judgement: long beside a round trip of a cluster. Of what comes later, the cases may
/// fail, so a suite on servers that run already begins on quiet ones.
const QUIET_TIME: Duration = Duration::from_millis(50);
