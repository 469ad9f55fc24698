//! A chat server on mio: one thread serves all clients by turns.
//!
//! `cargo run -p chat-hub --example event_loop -- 127.0.0.1:8080`
//!
//! It keeps the rules of chat-proto's SPEC.md but for the last: a signal ends it at once.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, mpsc, mpsc::Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::{collections::BTreeSet, env, net, process::ExitCode, time::Duration, time::Instant};

use chat_hub::{Config, Hub, Progress, Publisher, WriteError, Writer};
use chat_proto::Partial;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Registry, Token, event::Event};
use slab::Slab;

fn main() -> ExitCode {
    let address = env::args_os().nth(1);
    let Some(Ok(address)) = address.map(|address| address.to_string_lossy().parse()) else {
        eprintln!("usage: event_loop ADDRESS");
        return ExitCode::from(2);
    };
    let Err(error) = listen(address).and_then(serve) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn listen(address: net::SocketAddr) -> io::Result<net::TcpListener> {
    let listener = net::TcpListener::bind(address)?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    io::stdout().flush().map(|()| listener)
}

/// Serves every client that connects, for ever.
pub(crate) fn serve(listener: net::TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (mut listener, mut poll) = (TcpListener::from_std(listener), mio::Poll::new()?);
    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, Token(usize::MAX), Interest::READABLE)?;
    let config = Config::default();
    let (hub, mut clock) = config.build_with_clock().map_err(io::Error::other)?;
    let (mut clients, (waking, woken)) = (Slab::<Client>::new(), mpsc::channel());
    let (mut events, mut buf) = (Events::with_capacity(1024), vec![0; READ_LEN]);
    loop {
        let tick_in = clock.advance(Instant::now());
        // Only this thread wakes clients, so what they are due for need not end the wait.
        let mut due: BTreeSet<usize> = woken.try_iter().collect();
        let timeout = due.first().map(|_| Duration::ZERO).or(tick_in);
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut may_accept = false;
        for Token(key) in events.iter().map(Event::token) {
            match clients.get_mut(key) {
                Some(client) => client.may_read = true,
                None => may_accept = true,
            }
            due.insert(key);
        }
        // A client that left may still be due, or the next in its place, which does no harm.
        due.retain(|&key| clients.contains(key));
        // All are read from before any is written to, so that one write takes what all have sent.
        due.iter().for_each(|&key| clients[key].read(&mut buf));
        for key in due {
            if matches!(clients[key].write(), Ok(Progress::Ended) | Err(_)) {
                clients.remove(key);
                // If there were too many, mio does not tell again of those that wait.
                may_accept = true;
            }
        }
        while may_accept {
            let entry = clients.vacant_entry();
            let waker = ClientWaker(entry.key(), waking.clone());
            let accepted = listener.accept();
            match accepted.and_then(|(stream, _)| Client::new(stream, waker, &hub, &registry)) {
                Ok(client) => _ = entry.insert(client),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    eprintln!("cannot serve a client: {error}");
                    may_accept = error.kind() == ErrorKind::ConnectionAborted;
                }
            }
        }
    }
}

/// Makes a client due for a turn. Each place where the hub keeps a waker wakes it once.
struct ClientWaker(usize, Sender<usize>);

impl Wake for ClientWaker {
    fn wake(self: Arc<Self>) {
        // Nobody is served any more when the receiver is gone.
        _ = self.1.send(self.0);
    }
}

struct Client {
    stream: TcpStream,
    waker: Waker,
    /// Whether a read may find something, as far as mio has told: it tells only once.
    may_read: bool,
    partial: Partial,
    publisher: Publisher,
    writer: Writer,
}

impl Client {
    fn new(
        mut stream: TcpStream,
        waker: ClientWaker,
        hub: &Hub,
        registry: &Registry,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // The stream can be written to, so there is an event at once, and a first turn.
        let interests = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(waker.0), interests)?;
        Ok(Self {
            stream,
            waker: Arc::new(waker).into(),
            may_read: true,
            partial: Partial::new(),
            publisher: hub.publisher(),
            writer: hub.subscribe().into_writer(),
        })
    }

    /// Reads once, as much as may be published, and publishes it.
    fn read(&mut self, buf: &mut [u8]) {
        let mut cx = Context::from_waker(&self.waker);
        if self.may_read
            && let Poll::Ready(Ok(len)) = self.publisher.poll_ready(&mut cx)
        {
            let carried_len = self.partial.prepend(buf);
            let end = buf.len().min(carried_len + len);
            match self.stream.read(&mut buf[carried_len..end]) {
                Ok(0) => self.writer.end_at(self.publisher.position()),
                Ok(len) => {
                    let mut messages = self.partial.split(&buf[..carried_len + len]);
                    let published = self.publisher.try_publish(&mut messages);
                    published.expect("it is this client's turn");
                    self.waker.wake_by_ref();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_read = false,
                Err(_) => self.writer.end(),
            }
            self.publisher.pass();
        }
    }

    fn write(&mut self) -> Result<Progress, WriteError> {
        let mut cx = Context::from_waker(&self.waker);
        let write = |slices: &[IoSlice<'_>]| self.stream.write_vectored(slices);
        self.writer.advance(&mut cx, &self.waker, write)
    }
}

/// How much is read in one turn, in bytes. A judgement.
const READ_LEN: usize = 64 * 1024;
