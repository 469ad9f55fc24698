//! A chat server on mio: one thread serves all clients by turns.
//!
//! `cargo run -p chat-hub --example event_loop -- 127.0.0.1:8080`
//!
//! It keeps the rules of chat-proto's SPEC.md but for the last: a signal ends it at once.

use std::collections::BTreeSet;
use std::io::{
    self, ErrorKind::ConnectionAborted, ErrorKind::Interrupted, ErrorKind::WouldBlock, IoSlice,
    Read, Write,
};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::{env, mem, net::SocketAddr, process::ExitCode};

use chat_hub::{Hub, Position, Publisher, Subscriber};
use chat_proto::Messages;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Registry, Token};
use slab::Slab;

fn main() -> ExitCode {
    let Some(Ok(address)) = env::args_os()
        .nth(1)
        .map(|address| address.to_string_lossy().parse())
    else {
        eprintln!("usage: event_loop ADDRESS");
        return ExitCode::from(2);
    };
    let Err(error) = listen(address).and_then(serve) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    io::stdout().flush()?;
    Ok(listener)
}

/// Serves whoever connects, for ever.
pub(crate) fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (mut listener, mut poll, mut events) = (
        TcpListener::from_std(listener),
        mio::Poll::new()?,
        Events::with_capacity(1024),
    );
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let due = Arc::new(Due {
        keys: Mutex::default(),
        poll_ender: mio::Waker::new(poll.registry(), POLL_ENDER)?,
    });
    let (hub, mut clients, mut buf) = (Hub::default(), Slab::<Client>::new(), vec![0; READ_LEN]);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != Interrupted => return Err(error),
            _ => {}
        }
        let (mut keys, mut may_accept) = (mem::take(&mut *due.keys()), false);
        for event in &events {
            may_accept |= event.token() == LISTENER;
            if let Some(client) = clients.get_mut(event.token().0) {
                client.may_read = true;
                keys.insert(event.token().0);
            }
        }
        for key in keys {
            // A client that has left may still be due, or the next one in its place: a turn too
            // many does no harm.
            if clients
                .get_mut(key)
                .is_some_and(|client| client.turn(&mut buf).is_ready())
            {
                clients.remove(key);
                // If there were too many, mio does not tell again of those that wait.
                may_accept = true;
            }
        }
        while may_accept {
            let entry = clients.vacant_entry();
            match listener.accept() {
                Ok((stream, _)) => {
                    match Client::new(stream, entry.key(), &hub, poll.registry(), &due) {
                        Ok(client) => _ = entry.insert(client),
                        Err(error) => eprintln!("cannot serve a client: {error}"),
                    }
                }
                Err(error) if error.kind() == WouldBlock => break,
                Err(error) => {
                    eprintln!("cannot accept a client: {error}");
                    may_accept = error.kind() == ConnectionAborted;
                }
            }
        }
    }
}

/// The clients that are due for a turn.
struct Due {
    /// Guards the keys. There are no more than there are clients, for each is due once, whatever
    /// for.
    keys: Mutex<BTreeSet<usize>>,
    poll_ender: mio::Waker,
}

impl Due {
    fn keys(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.keys
            .lock()
            .expect("nobody panics while the keys are locked")
    }
}

/// Makes a client due for a turn. It is what the hub wakes, so `poll` waits for the hub as it does
/// for sockets.
struct ClientWaker {
    key: usize,
    due: Arc<Due>,
}

impl Wake for ClientWaker {
    fn wake(self: Arc<Self>) {
        let mut keys = self.due.keys();
        if keys.insert(self.key) && keys.len() == 1 {
            self.due
                .poll_ender
                .wake()
                .expect("the descriptor that ends the wait is open");
        }
    }
}

struct Client {
    stream: TcpStream,
    waker: Waker,
    publisher: Publisher,
    subscriber: Subscriber,
    /// Whether there may be something to read. mio tells only once, so this holds until a read
    /// finds nothing.
    may_read: bool,
    /// What was read and not published yet: at most one read, and an unfinished message before it.
    received: Vec<u8>,
    /// The rest of a message whose beginning was written.
    owed: Vec<u8>,
    /// Behind the last message that was published.
    end: Position,
}

impl Client {
    fn new(
        mut stream: TcpStream,
        key: usize,
        hub: &Hub,
        registry: &Registry,
        due: &Arc<Due>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // The stream can be written to, so there is an event at once, and a first turn.
        registry.register(
            &mut stream,
            Token(key),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let waker = Arc::new(ClientWaker {
            key,
            due: Arc::clone(due),
        })
        .into();
        let (publisher, subscriber) = (hub.publisher(), hub.subscribe());
        let end = subscriber.position();
        Ok(Self {
            stream,
            waker,
            publisher,
            subscriber,
            may_read: true,
            received: Vec::new(),
            owed: Vec::new(),
            end,
        })
    }

    /// Reads and writes once. Is ready when the client has all it is to get, or is gone: that ends
    /// this client and no other.
    fn turn(&mut self, buf: &mut [u8]) -> Poll<io::Result<()>> {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        // Nothing is read while the hub takes no messages: so the client has to wait, too.
        if self.publish(&mut cx).is_ready() && self.may_read {
            match unless_blocked(self.stream.read(buf))? {
                None => self.may_read = false,
                Some(0) => {
                    self.may_read = false;
                    self.subscriber.end_at(self.end);
                }
                Some(len) => {
                    self.received.extend_from_slice(&buf[..len]);
                    waker.wake_by_ref();
                }
            }
        }
        let written = if self.owed.is_empty() {
            let Some(batch) = ready!(self.subscriber.poll_batch(&mut cx)) else {
                return Poll::Ready(Ok(()));
            };
            let slices: Vec<_> = batch.chunks().map(IoSlice::new).collect();
            unless_blocked(self.stream.write_vectored(&slices))?
                .map(|len| self.owed = batch.consume(len))
        } else {
            unless_blocked(self.stream.write(&self.owed))?.map(|len| _ = self.owed.drain(..len))
        };
        match written {
            Some(()) => waker.wake_by_ref(),
            None => self.subscriber.block(&mut cx),
        }
        Poll::Pending
    }

    /// Publishes the whole messages that were received. Is pending while some are left.
    fn publish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (mut messages, rest) = Messages::split(&self.received);
        if messages.is_empty() {
            return Poll::Ready(());
        }
        let poll = self.publisher.poll_publish(cx, &mut messages);
        let kept_len = messages.as_bytes().len() + rest.len();
        self.received.drain(..self.received.len() - kept_len);
        poll.map(|end| self.end = end.expect("nobody closes the hub"))
    }
}

/// Returns `None` for a call that would have to wait: only `poll` waits.
fn unless_blocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    result.map(Some).or_else(|error| {
        if error.kind() == WouldBlock {
            Ok(None)
        } else {
            Err(error)
        }
    })
}

const LISTENER: Token = Token(usize::MAX);
const POLL_ENDER: Token = Token(usize::MAX - 1);

/// How much is read in one turn, in bytes. A judgement.
const READ_LEN: usize = 64 * 1024;
