//! The null broadcaster: what the load tester can do at most is what it does with a server that
//! does next to nothing.
//!
//! It keeps the specification, but a signal ends it at once, with code 0. One thread serves all clients by
//! rounds: it reads what has arrived, one client's bytes behind the other's, and writes this batch
//! to everybody, straight from where it was read to.

mod client;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use slab::Slab;

use crate::descriptors::raise_descriptor_limit;
use crate::null::client::Client;
use crate::server::Launch;

/// Returns how to start the null broadcaster: it is this executable, whose `main` asks [`run`]
/// first.
///
/// # Errors
///
/// When this executable does not find itself.
pub fn launch() -> io::Result<Launch> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let args = vec![
        NAME.into(),
        PARENT.into(),
        std::process::id().to_string().into(),
    ];
    Ok(Launch {
        args,
        ..Launch::new(std::env::current_exe()?, addr)
    })
}

/// Is the null broadcaster, if that is what the process was started as. `args` come after the
/// executable. Otherwise returns `None`, and it is up to the caller what the process is.
///
/// # Errors
///
/// It only ends when something is wrong.
pub fn run(mut args: impl Iterator<Item = OsString>) -> Option<Result<(), NullError>> {
    args.next().filter(|name| name == NAME)?;
    let mut args = args.peekable();
    if args.next_if(|arg| arg == PARENT).is_some() {
        let parent = args.next();
        // When this fails, somebody else has to end it.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        // The parent may have been gone before.
        if getppid().map(|pid| pid.to_string().into()) != parent {
            return Some(Err(NullError::Orphaned));
        }
    }
    let addr = args
        .next()
        .as_deref()
        .and_then(OsStr::to_str)
        .and_then(|addr| addr.parse().ok());
    let served = addr.ok_or(NullError::Usage).and_then(|addr| {
        end_on_signals().map_err(NullError::Io)?;
        Broadcaster::listen(addr)
            .and_then(Broadcaster::serve)
            .map_err(NullError::Io)
    });
    Some(served)
}

/// Has SIGINT and SIGTERM end the process at once, with code 0.
fn end_on_signals() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, 0, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}

/// Why there is no null broadcaster any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NullError {
    /// It was given no address.
    #[error("usage: stresstest {NAME} ADDRESS")]
    Usage,
    /// The process that asked for it is gone.
    #[error("the process that started it is gone")]
    Orphaned,
    /// Something failed.
    #[error("{0}")]
    Io(io::Error),
}

impl NullError {
    /// Returns what to tell people, unless nobody is left to be told.
    pub fn told(&self) -> Option<String> {
        match self {
            Self::Usage => Some(self.to_string()),
            Self::Orphaned => None,
            Self::Io(error) => Some(format!("error: {error}")),
        }
    }

    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Orphaned | Self::Io(_) => 1,
        }
    }
}

/// A broadcaster on one thread.
struct Broadcaster {
    listener: TcpListener,
    poll: Poll,
    clients: Slab<Client>,
    /// Which clients may have something to read, each once.
    ready: VecDeque<usize>,
    batch: Batch,
    may_accept: bool,
}

impl Broadcaster {
    fn listen(addr: SocketAddr) -> io::Result<Self> {
        // When raising fails, there are fewer clients.
        raise_descriptor_limit();
        let (mut listener, poll) = (TcpListener::bind(addr)?, Poll::new()?);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut stdout = io::stdout();
        writeln!(stdout, "listening on {}", listener.local_addr()?)?;
        stdout.flush()?;
        let batch = Batch {
            buf: vec![0; BATCH_LEN].into(),
            len: 0,
        };
        Ok(Self {
            listener,
            poll,
            clients: Slab::new(),
            ready: VecDeque::new(),
            batch,
            may_accept: false,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            // What was left of the last round does not wait.
            let timeout = (!self.ready.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                waited => waited?,
            }
            events.iter().for_each(|event| self.note(event));
            self.read();
            self.write();
            self.accept();
        }
    }

    fn note(&mut self, event: &Event) {
        let Token(key) = event.token();
        self.may_accept |= event.token() == LISTENER;
        if let Some(client) = self.clients.get_mut(key) {
            client.socket.is_writable |= event.is_writable();
            client.may_end |= event.is_read_closed() || event.is_error();
            if (event.is_readable() || client.may_end) && !client.is_ready {
                client.is_ready = true;
                self.ready.push_back(key);
            }
        }
    }

    /// Fills the batch, with one read a client by turns.
    fn read(&mut self) {
        while self.batch.has_room()
            && let Some(key) = self.ready.pop_front()
        {
            if let Some(client) = self.clients.get_mut(key) {
                client.is_ready = client.read(&mut self.batch);
                if client.is_ready {
                    self.ready.push_back(key);
                }
            }
        }
    }

    /// Writes the batch to everybody. Ends the clients that have got all that they are owed.
    fn write(&mut self) {
        let client_count = self.clients.len();
        let queue_len_max = QUEUE_LEN_MAX.min(QUEUES_LEN_MAX / client_count.max(1));
        let batch = &self.batch.buf[..self.batch.len];
        self.clients.retain(|_, client| {
            client
                .write(batch, queue_len_max)
                .is_ok_and(|()| !client.is_done())
        });
        self.batch.len = 0;
        if self.clients.len() < client_count {
            self.ready.retain(|&key| self.clients.contains(key));
            // If there were too many clients, nobody tells again of those that wait.
            self.may_accept = true;
        }
    }

    fn accept(&mut self) {
        while self.may_accept {
            let entry = self.clients.vacant_entry();
            match self.listener.accept() {
                // Whoever is gone already is no client.
                Ok((stream, _)) => {
                    _ = Client::new(stream, entry.key(), self.poll.registry())
                        .map(|client| entry.insert(client))
                }
                Err(error) => {
                    self.may_accept = matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    )
                }
            }
        }
    }
}

/// What is read in a round: whole messages, and room behind them.
struct Batch {
    buf: Box<[u8]>,
    len: usize,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.buf.len() - self.len >= READ_LEN_MIN
    }
}

/// What this executable is called with to be the null broadcaster.
const NAME: &str = "null-broadcaster";

/// What it is called with behind that, before the id of the process that started it, to end with
/// it, however that ends.
const PARENT: &str = "--parent";

const LISTENER: Token = Token(usize::MAX);

/// How many events one wait returns at most. A judgement: more clients than that just have their
/// turn with the next.
const EVENTS_MAX: usize = 1024;

/// How many bytes are read in a round. A judgement: many messages a system call, and still in the
/// second-level cache.
const BATCH_LEN: usize = 256 << 10;

/// How much room a read has at least. A judgement, but it has to be more than a message.
const READ_LEN_MIN: usize = 64 << 10;

/// How many bytes are queued for a client at most, but for the rest of one batch. A judgement: a
/// pause of a second or so.
const QUEUE_LEN_MAX: usize = 64 << 20;

/// How many bytes are queued for all clients at most. A judgement: it fits in memory, however many
/// clients never read.
const QUEUES_LEN_MAX: usize = 1 << 30;
