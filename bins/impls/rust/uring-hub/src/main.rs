//! A chat server on io_uring: one thread, which hands many requests to the kernel with one system call,
//! and takes in what has become of others with the same call.
//!
//! - **Order.** The hub has one log; the thread appends what one completion brought.
//! - **A slow client** is a cursor into the log that stays behind. Senders wait for it as long as it
//!   takes 8 MiB a second; then it lags, and loses the oldest messages when the log is full.
//! - **Cost.** A place in a table and two requests with the kernel: one receives into buffers that all
//!   clients share, the other one sends from the log itself. A client that waits has no buffer.
//! - **End.** Closing the hub has the thread send what is left. Then it receives for nothing until the
//!   clients close, too: closing a socket with unread bytes would reset the connection.

mod client;
mod ring;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::thread;
use std::time::{Duration, Instant};

use chat_hub::{Clock, Config, Hub};
use slab::Slab;

use self::client::Client;
use self::ring::{Event, Ring};

fn main() -> ExitCode {
    stage::run(serve)
}

fn serve(listener: TcpListener) -> io::Result<()> {
    let wait_for_signal = stage::ending()?;
    let ring = Ring::new().map_err(|error| {
        let needs = "it needs Linux 6.1, sysctl kernel.io_uring_disabled=0, and no seccomp filter \
                     against it, as containers have";
        io::Error::new(
            error.kind(),
            format!("cannot set up io_uring: {error}; {needs}"),
        )
    })?;
    // The signal has to end a wait for the kernel, so it closes one end of a stream.
    let (ending, end) = UnixStream::pair()?;
    thread::Builder::new().spawn(|| {
        wait_for_signal();
        drop(end);
    })?;
    stage::ready(&listener)?;
    Server::new(ring, listener, ending)?.run()
}

struct Server {
    ring: Ring,
    listener: TcpListener,
    /// Is read to its end when the server ends.
    ending: UnixStream,
    hub: Hub,
    clock: Clock,
    clients: Slab<Client>,
    due: Arc<Due>,
    /// Whether the kernel accepts. As long as it does, the listener is not closed.
    is_accepting: bool,
    /// When to accept again after an error: there may be too many, and it takes one to leave.
    accept_at: Option<Instant>,
    /// When the time is up that clients have at the end.
    ends_at: Option<Instant>,
}

impl Server {
    fn new(ring: Ring, listener: TcpListener, ending: UnixStream) -> io::Result<Self> {
        let config = Config::default();
        let (hub, clock) = config.build_with_clock().map_err(io::Error::other)?;
        Ok(Self {
            ring,
            listener,
            ending,
            hub,
            clock,
            clients: Slab::new(),
            due: Arc::default(),
            is_accepting: false,
            accept_at: Some(Instant::now()),
            ends_at: None,
        })
    }

    /// Serves every client that connects, until the server ends and all are gone.
    fn run(mut self) -> io::Result<()> {
        self.ring.receive(ENDING, &self.ending)?;
        let (mut events, mut due) = (Vec::new(), Vec::new());
        loop {
            let now = Instant::now();
            if let Some(at) = self.ends_at
                && (at <= now || self.clients.is_empty() && !self.is_accepting)
            {
                return Ok(());
            }
            if self.accept_at.take_if(|at| *at <= now).is_some() {
                self.ring.accept(&self.listener)?;
                self.is_accepting = true;
            }
            let timeout = self.timeout(now);
            self.ring.wait(timeout)?;
            self.ring.events(&mut events);
            for event in events.drain(..) {
                self.handle(event)?;
            }
            self.advance(&mut due)?;
        }
    }

    /// Returns for how long nothing has to be done, unless the kernel completes something.
    fn timeout(&mut self, now: Instant) -> Option<Duration> {
        let tick_in = self.clock.advance(now);
        if !self.due.is_empty() {
            return Some(Duration::ZERO);
        }
        let times = [self.accept_at, self.ends_at].into_iter().flatten();
        times.map(|at| at - now).chain(tick_in).min()
    }

    /// Takes in what has become of a request. Messages are published at once, and nothing is sent before
    /// all have been: so one send takes what many clients have sent.
    fn handle(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Accepted(Ok(stream)) if self.ends_at.is_none() => self.join(stream),
            Event::Accepted(Ok(_)) => {}
            Event::Accepted(Err(error)) => complain(&error),
            Event::AcceptEnded => {
                self.is_accepting = false;
                let is_ending = self.ends_at.is_some();
                self.accept_at = (!is_ending).then(|| Instant::now() + ACCEPT_PAUSE);
            }
            Event::Received(ENDING, _) => self.end()?,
            Event::ReceiveEnded(ENDING) => {}
            Event::Received(key, Ok(Some(received))) => {
                self.clients[key].received(self.ring.bytes(&received));
                self.ring.give_back(received);
                self.due.push(key);
            }
            Event::Received(key, Ok(None)) => {
                self.clients[key].received_all();
                self.due.push(key);
            }
            Event::Received(key, Err(_)) => {
                self.clients[key].fail();
                self.due.push(key);
            }
            Event::ReceiveEnded(key) => {
                self.clients[key].receive_ended();
                self.due.push(key);
            }
            Event::Sent(key, Ok(rest)) => {
                self.clients[key].sent(rest, &mut self.ring)?;
                self.due.push(key);
            }
            Event::Sent(key, Err(_)) => {
                self.clients[key].send_failed();
                self.due.push(key);
            }
        }
        Ok(())
    }

    fn join(&mut self, stream: TcpStream) {
        let entry = self.clients.vacant_entry();
        let (key, due) = (entry.key(), Arc::clone(&self.due));
        let waker = Arc::new(ClientWaker { key, due }).into();
        match Client::new(key, stream, waker, &self.hub) {
            Ok(client) => {
                entry.insert(client);
                self.due.push(key);
            }
            Err(error) => complain(&error),
        }
    }

    /// Has all clients that are due go on: first they publish, then they send.
    fn advance(&mut self, due: &mut Vec<usize>) -> io::Result<()> {
        self.due.take(due);
        for &key in &*due {
            if let Some(client) = self.clients.get_mut(key) {
                client.publish();
            }
        }
        self.due.take(due);
        due.sort_unstable();
        due.dedup();
        for key in due.drain(..) {
            // One that left may still be due, or the next in its place, which does no harm.
            if let Some(client) = self.clients.get_mut(key) {
                client.advance(&mut self.ring)?;
                if client.is_gone() {
                    self.clients.remove(key);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.ends_at = Some(Instant::now() + DEADLINE);
        self.accept_at = None;
        self.hub.close();
        if self.is_accepting {
            self.ring.stop_accepting()?;
        }
        Ok(())
    }
}

/// The clients for whom there is something to do.
#[derive(Default)]
struct Due(Mutex<Vec<usize>>);

impl Due {
    fn push(&self, key: usize) {
        self.0.lock().expect(NO_PANIC).push(key);
    }

    fn take(&self, due: &mut Vec<usize>) {
        due.append(&mut self.0.lock().expect(NO_PANIC));
    }

    fn is_empty(&self) -> bool {
        self.0.lock().expect(NO_PANIC).is_empty()
    }
}

/// Makes a client due. Only the one thread wakes clients, so it need not be woken itself.
struct ClientWaker {
    key: usize,
    due: Arc<Due>,
}

impl Wake for ClientWaker {
    fn wake(self: Arc<Self>) {
        self.due.push(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.due.push(self.key);
    }
}

fn complain(error: &io::Error) {
    stage::tell(format_args!("cannot serve a client: {error}"));
}

/// The key of the stream that says that the server ends.
const ENDING: usize = usize::MAX >> 2;

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);

/// Why the lock is not poisoned.
const NO_PANIC: &str = "nothing panics with it";
