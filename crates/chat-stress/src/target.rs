//! What is tested.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use chat_target::{Convention, Launch};

use crate::known::settings;

/// The server to test.
#[derive(Debug)]
#[non_exhaustive]
pub enum Target {
    /// An executable, which is started for the run and ended after it, with all that it started.
    Launch(Launch),
    /// A server that runs already. Others may use it too: messages that are not of this run are
    /// passed over.
    Running(SocketAddr),
    /// A server in this process.
    Served(Served),
    /// Several servers that promise one order together, as nodes of a cluster do. Clients are spread
    /// over them in turn, and one order is proved over the clients of all of them. What servers take
    /// that were started is added up.
    Group(Vec<Self>),
}

impl Target {
    /// Makes the target of an executable, which is told to listen on a free port of the loopback.
    pub fn executable(path: impl Into<PathBuf>) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::Launch(Launch::new(path, addr))
    }

    /// Makes the target of `count` servers that belong together, started as [`Launch::group`] says.
    pub fn group_of(launch: &Launch, count: u16) -> Self {
        Self::Group(launch.group(count).into_iter().map(Self::Launch).collect())
    }

    /// Makes the target of servers that run already.
    pub fn running(addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut servers: Vec<Self> = addrs.into_iter().map(Self::Running).collect();
        match servers.pop() {
            Some(only) if servers.is_empty() => only,
            last => {
                servers.extend(last);
                Self::Group(servers)
            }
        }
    }

    /// Returns how many servers there are.
    pub fn server_count(&self) -> usize {
        match self {
            Self::Group(members) => members.iter().map(Self::server_count).sum(),
            _ => 1,
        }
    }

    /// Tells whether all of its servers are such.
    pub(crate) fn all(&self, is_such: fn(&Self) -> bool) -> bool {
        match self {
            Self::Group(members) => members.iter().all(|member| member.all(is_such)),
            one => is_such(one),
        }
    }

    /// Serves a free port of the loopback in this process: `serve` gets the listener, in a thread of
    /// its own.
    ///
    /// The listener is bound before this returns, so nobody waits for `serve` to be ready. Async
    /// runtimes take it with `TcpListener::from` or `from_std`; tokio wants `set_nonblocking` first.
    /// When `serve` returns or panics before the run is over, the run fails. The thread is not ended
    /// after the run: where `serve` goes on for ever, it does so until the process ends.
    ///
    /// # Errors
    ///
    /// When the system gives no port or no thread.
    pub fn serve<T>(serve: impl FnOnce(TcpListener) -> T + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let thread = thread::Builder::new()
            .name("server under test".to_owned())
            .spawn(move || drop(serve(listener)))?;
        Ok(Self::Served(Served { addr, thread }))
    }

    /// Does the same with a server that wants an address, and no listener: a free port of the
    /// loopback. Returns when `serve` accepts connections; the one that finds out is closed at once.
    ///
    /// Somebody else may take the port first, so [`serve`](Self::serve) is better where it can be.
    ///
    /// # Errors
    ///
    /// When the system gives no port or no thread, and when nobody listens there for long or
    /// `serve` is over.
    pub fn serve_at<T>(serve: impl FnOnce(SocketAddr) -> T + Send + 'static) -> io::Result<Self> {
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let thread = thread::Builder::new()
            .name("server under test".to_owned())
            .spawn(move || drop(serve(addr)))?;
        wait_for(addr, &thread)?;
        Ok(Self::Served(Served { addr, thread }))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(addr) => write!(f, "{addr}"),
            Self::Served(Served { addr, .. }) => write!(f, "{addr}, in this process"),
            Self::Group(members) => {
                for (index, member) in members.iter().enumerate() {
                    let separator = if index > 0 { ", " } else { "" };
                    write!(f, "{separator}{member}")?;
                }
                Ok(())
            }
            Self::Launch(launch) => {
                write!(f, "{}", launch.executable.display())?;
                launch
                    .args
                    .iter()
                    .try_for_each(|arg| write!(f, " {}", arg.display()))?;
                if let Convention::Config(config) = &launch.convention {
                    let settings: Vec<&str> = settings(config).collect();
                    write!(f, " ({})", settings.join("; "))?;
                }
                Ok(())
            }
        }
    }
}

/// A server in a thread of this process. [`Target::serve`] makes one.
#[derive(Debug)]
pub struct Served {
    pub(crate) addr: SocketAddr,
    thread: JoinHandle<()>,
}

impl Served {
    /// Tells whether the server has returned or panicked.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Waits until somebody accepts connections at `addr`.
fn wait_for(addr: SocketAddr, thread: &JoinHandle<()>) -> io::Result<()> {
    let deadline = Instant::now() + LISTEN_WAIT;
    loop {
        match TcpStream::connect(addr) {
            Ok(_) => return Ok(()),
            Err(error) if thread.is_finished() || Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(LISTEN_POLL_INTERVAL),
        }
    }
}

/// How long a server in this process has until it listens. A judgement: a thread that has no
/// processor for so long will have none for a test either.
const LISTEN_WAIT: Duration = Duration::from_secs(10);

/// How often it is asked whether it does.
const LISTEN_POLL_INTERVAL: Duration = Duration::from_millis(2);
