//! A chat server with one event loop: one thread serves all clients by turns, over chat-hub.
//!
//! - **Order.** The hub has one log, and the one thread appends to it what one read brought.
//! - **A slow client** is a cursor into the log that stays behind. Senders wait for it as long as it
//!   takes 8 MiB a second; then it lags, and loses the oldest messages when the log is full.
//! - **Cost.** A place in a table. Nothing is queued for a client, and all are read into one buffer.
//! - **End.** Closing the hub has the loop write what is left. Then it reads for nothing until the
//!   clients close, too: closing a socket with unread bytes would reset the connection.

mod client;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::task::Wake;
use std::thread;
use std::time::{Duration, Instant};

use chat_hub::{Clock, Config, Hub};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use self::client::{Client, State};

fn main() -> ExitCode {
    stage::run(|listener| EventLoop::new(listener)?.run())
}

struct EventLoop {
    /// None from when the server ends.
    listener: Option<TcpListener>,
    hub: Hub,
    clock: Clock,
    poll: Poll,
    clients: Slab<Client>,
    /// Who is to have a turn. Only this thread puts clients there, so it need not end a wait.
    due: (Sender<usize>, Receiver<usize>),
    /// When to accept again after an error: there may be too many, and it takes one to leave.
    accept_at: Option<Instant>,
    ending: Arc<Ending>,
}

impl EventLoop {
    fn new(listener: net::TcpListener) -> io::Result<Self> {
        let wait_for_signal = stage::ending()?;
        listener.set_nonblocking(true)?;
        let config = Config::default();
        let (hub, clock) = config.build_with_clock().map_err(io::Error::other)?;
        let poll = Poll::new()?;
        let ending = Arc::new(Ending {
            deadline: OnceLock::new(),
            waker: Waker::new(poll.registry(), SIGNAL)?,
        });
        let telling = Arc::clone(&ending);
        thread::Builder::new().spawn(move || {
            wait_for_signal();
            telling.begin();
        })?;
        stage::ready(&listener)?;
        let mut listener = TcpListener::from_std(listener);
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener: Some(listener),
            hub,
            clock,
            poll,
            clients: Slab::new(),
            due: mpsc::channel(),
            accept_at: None,
            ending,
        })
    }

    /// Serves by turns the clients for whom there is something to do, until a signal says to end and
    /// all are gone.
    fn run(mut self) -> io::Result<()> {
        let (mut events, mut buf) = (Events::with_capacity(EVENTS_MAX), vec![0; READ_LEN]);
        while self.listener.is_some() || !self.clients.is_empty() {
            let due = self.wait(&mut events)?;
            // All are read from before any is written to, so that one write takes what all have sent.
            for &key in &due {
                self.clients[key].read(&mut buf);
            }
            for key in due {
                if self.clients[key].write() == State::Gone {
                    self.clients.remove(key);
                }
            }
            if self.accept_at.is_some_and(|at| at <= Instant::now()) {
                self.accept();
            }
            match self.ending.deadline.get() {
                Some(&deadline) if deadline <= Instant::now() => break,
                Some(_) => self.stop_accepting(),
                None => {}
            }
        }
        Ok(())
    }

    /// Waits until something is to be done, and finds out for whom, each client once.
    fn wait(&mut self, events: &mut Events) -> io::Result<BTreeSet<usize>> {
        let now = Instant::now();
        let tick_in = self.clock.advance(now);
        let mut due: BTreeSet<usize> = self.due.1.try_iter().collect();
        let times = [self.accept_at, self.ending.deadline.get().copied()];
        let in_time = times
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now));
        let timeout = match due.is_empty() {
            true => in_time.chain(tick_in).min(),
            false => Some(Duration::ZERO),
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &*events {
            match event.token() {
                LISTENER => self.accept_at = Some(now),
                SIGNAL => {}
                Token(key) => {
                    self.clients[key].is_readable = true;
                    due.insert(key);
                }
            }
        }
        // One that left may still be due, or the next in its place, which does no harm.
        due.retain(|&key| self.clients.contains(key));
        Ok(due)
    }

    /// Accepts all that wait, or stops for a while at an error.
    fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            let entry = self.clients.vacant_entry();
            let waker = Arc::new(ClientWaker(entry.key(), self.due.0.clone()));
            let accepted = listener.accept();
            let client = accepted.and_then(|(stream, _)| {
                Client::new(
                    stream,
                    (entry.key(), waker.into()),
                    &self.hub,
                    self.poll.registry(),
                )
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

    fn stop_accepting(&mut self) {
        if self.listener.take().is_some() {
            self.accept_at = None;
            self.hub.close();
        }
    }
}

/// What the thread that waits for a signal has for the loop. The system's end of the waker is closed with
/// it, so the loop has it, too.
struct Ending {
    /// Until when clients have time to take what is left.
    deadline: OnceLock<Instant>,
    waker: Waker,
}

impl Ending {
    fn begin(&self) {
        self.deadline.get_or_init(|| Instant::now() + DEADLINE);
        if let Err(error) = self.waker.wake() {
            stage::tell(format_args!("cannot end the event loop: {error}"));
        }
    }
}

/// Makes a client due for a turn. Each place where the hub keeps a waker wakes it once.
struct ClientWaker(usize, Sender<usize>);

impl Wake for ClientWaker {
    fn wake(self: Arc<Self>) {
        // The loop has the other end, so this fails only when nobody is served any more.
        _ = self.1.send(self.0);
    }
}

const LISTENER: Token = Token(usize::MAX);
const SIGNAL: Token = Token(usize::MAX - 1);

/// How many events are taken at once. A judgement.
const EVENTS_MAX: usize = 1024;

/// How much is read in one turn, in bytes. A judgement.
const READ_LEN: usize = 64 * 1024;

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
