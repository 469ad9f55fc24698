//! A chat server with an event loop a processor. Each has a listener of its own on the one address, and
//! serves the clients that the system gives it. All loops share one log, that of chat-hub.
//!
//! - **Order.** The hub has one log; a loop appends what one read brought, under the hub's lock. No loop
//!   gives a message to its own clients before it stands there.
//! - **A slow client** is a cursor into the log that stays behind. Senders wait for it as long as it
//!   takes 8 MiB a second; then it lags, and loses the oldest messages when the log is full.
//! - **Cost.** A place in a table. Nothing is queued for a client, and all clients of a loop are read
//!   into one buffer.
//! - **End.** Closing the hub has loops write what is left. Then they read for nothing until the clients
//!   close, too: closing a socket with unread bytes would reset the connection.

// A client is the same on one loop and on several.
#[path = "../../mio-hub/src/client.rs"]
mod client;
mod mailbox;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use chat_hub::{Config, Hub};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, SockRef, Socket, Type};

use self::client::{Client, State};
use self::mailbox::Mailbox;

fn main() -> ExitCode {
    stage::run(serve)
}

fn serve(listener: TcpListener) -> io::Result<()> {
    let wait_for_signal = stage::ending()?;
    let address = listener.local_addr()?;
    let (hub, clock) = Config::default()
        .build_with_clock()
        .map_err(io::Error::other)?;
    // Linux allows others beside a socket that has it, even if it was bound before.
    SockRef::from(&listener).set_reuse_port(true)?;
    let mut listeners = vec![listener];
    for _ in 1..thread::available_parallelism()?.get() {
        listeners.push(listen_beside(address)?);
    }
    // It is disconnected when the last loop has ended.
    let (alive, gone) = mpsc::channel();
    let mut mailboxes = Vec::new();
    for listener in &listeners {
        let shard = Shard::new(listener.try_clone()?, hub.clone(), alive.clone())?;
        mailboxes.push(Arc::clone(&shard.mailbox));
        thread::Builder::new().spawn(|| {
            if let Err(error) = shard.run() {
                stage::tell(format_args!(
                    "a loop cannot go on, and its clients are lost: {error}"
                ));
            }
        })?;
    }
    drop(alive);
    thread::Builder::new().spawn(|| clock.keep_time_blocking(thread::sleep))?;
    stage::ready(&listeners[0])?;
    drop(listeners);
    wait_for_signal();
    hub.close();
    mailboxes.iter().for_each(|mailbox| mailbox.end());
    while gone.recv_timeout(DEADLINE).is_ok() {}
    Ok(())
}

/// Listens on an address that is listened on already. The system shares the connections out.
fn listen_beside(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An event loop and its clients.
struct Shard {
    /// None from when the server ends.
    listener: Option<mio::net::TcpListener>,
    hub: Hub,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    clients: Slab<Client>,
    /// When to accept again after an error: there may be too many, and it takes one to leave.
    accept_at: Option<Instant>,
    _alive: Sender<()>,
}

impl Shard {
    fn new(listener: TcpListener, hub: Hub, alive: Sender<()>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (mut listener, poll) = (mio::net::TcpListener::from_std(listener), Poll::new()?);
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = mio::Waker::new(registry, MAILBOX)?;
        Ok(Self {
            listener: Some(listener),
            hub,
            poll,
            mailbox: Arc::new(Mailbox::new(waker)),
            clients: Slab::new(),
            accept_at: None,
            _alive: alive,
        })
    }

    /// Serves by turns the clients for whom there is something to do, until the server ends and all are gone.
    fn run(mut self) -> io::Result<()> {
        let (mut events, mut buf) = (Events::with_capacity(EVENTS_MAX), vec![0; READ_LEN]);
        let mut due = Vec::new();
        while self.listener.is_some() || !self.clients.is_empty() {
            self.wait(&mut events, &mut due)?;
            // All are read from before any is written to, so that one write takes what all have sent.
            for &key in &due {
                self.clients[key].read(&mut buf);
            }
            for key in due.drain(..) {
                if self.clients[key].write() == State::Gone {
                    self.clients.remove(key);
                }
            }
            if self.accept_at.is_some_and(|at| at <= Instant::now()) {
                self.accept();
            }
        }
        Ok(())
    }

    /// Waits until something is to be done, and finds out for whom, each client once.
    fn wait(&mut self, events: &mut Events, due: &mut Vec<usize>) -> io::Result<()> {
        let timeout = if self.mailbox.rest() {
            self.accept_at
                .map(|at| at.saturating_duration_since(Instant::now()))
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for token in events.iter().map(Event::token) {
            match token {
                LISTENER => self.accept_at = Some(Instant::now()),
                MAILBOX => {}
                Token(key) => {
                    self.clients[key].is_readable = true;
                    due.push(key);
                }
            }
        }
        if self.mailbox.take(due) {
            self.listener = None;
            self.accept_at = None;
        }
        due.sort_unstable();
        due.dedup();
        // One that left may still be due, or the next in its place, which does no harm.
        due.retain(|&key| self.clients.contains(key));
        Ok(())
    }

    /// Accepts all that wait, or stops for a while at an error.
    fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            let entry = self.clients.vacant_entry();
            let (mailbox, registry) = (Arc::clone(&self.mailbox), self.poll.registry());
            let accepted = listener.accept();
            let client = accepted.and_then(|(stream, _)| {
                let waker = (entry.key(), mailbox.waker(entry.key()));
                Client::new(stream, waker, &self.hub, registry)
            });
            match client {
                Ok(client) => _ = entry.insert(client),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.accept_at = None;
                    break;
                }
                Err(error) => {
                    stage::tell(format_args!("cannot serve a client: {error}"));
                    self.accept_at = Some(Instant::now() + ACCEPT_PAUSE);
                    break;
                }
            }
        }
    }
}

const LISTENER: Token = Token(usize::MAX);
const MAILBOX: Token = Token(usize::MAX - 1);

/// How many connections wait for one loop at most, as for a listener of the standard library.
const BACKLOG: i32 = 128;

/// How many events are taken at once. A judgement.
const EVENTS_MAX: usize = 1024;

/// How much is read in one turn, in bytes. A judgement.
const READ_LEN: usize = 64 * 1024;

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
