use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use chat_hub::{Config, Hub};
use chat_proto::{Body, MESSAGE_LEN_MAX, Messages};
use chat_session::{Session, SessionError, Summary};
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{FutureExt, RemoteHandle};
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::LocalSpawnExt;

/// Sessions on one thread, polled until none of them can go on.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    pool: LocalPool,
    spawner: LocalSpawner,
}

impl Server {
    /// A server whose log has `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let hub = Config::default().with_capacity(capacity).build().unwrap();
        let pool = LocalPool::new();
        let spawner = pool.spawner();
        Self { hub, pool, spawner }
    }

    /// Connects a client whose socket takes any number of bytes.
    pub(crate) fn connect(&mut self) -> Client {
        self.connect_with(usize::MAX)
    }

    /// Connects a client whose socket takes `room` bytes before the client reads.
    pub(crate) fn connect_with(&mut self, room: usize) -> Client {
        let wire = Arc::new(Mutex::new(Wire {
            room,
            ..Wire::default()
        }));
        let session = Session::new(Stream(Arc::clone(&wire)), &self.hub);
        let (session, end) = session.remote_handle();
        self.spawner.spawn_local(session).unwrap();
        Client {
            wire,
            end: Some(end),
        }
    }

    /// Polls the sessions until they all wait.
    pub(crate) fn run(&mut self) {
        self.pool.run_until_stalled();
    }
}

/// A client: the far end of a session's stream.
pub(crate) struct Client {
    wire: Arc<Mutex<Wire>>,
    end: Option<RemoteHandle<Result<Summary, SessionError>>>,
}

impl Client {
    /// Puts bytes on their way to the session.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut wire = self.wire();
        wire.incoming.extend(bytes);
        wire.wake_reader();
    }

    /// Ends the sending side.
    pub(crate) fn end_sending(&self) {
        let mut wire = self.wire();
        wire.is_ended = true;
        wire.wake_reader();
    }

    /// Makes every further read and write of the session fail.
    pub(crate) fn reset(&self) {
        let mut wire = self.wire();
        wire.is_reset = true;
        wire.wake_reader();
        wire.wake_writer();
    }

    /// Takes everything that was written, and gives the socket room for `room` bytes more.
    pub(crate) fn receive_with(&self, room: usize) -> Vec<u8> {
        let mut wire = self.wire();
        wire.room = room;
        wire.wake_writer();
        std::mem::take(&mut wire.outgoing)
    }

    /// Takes everything that was written, without making room for more.
    pub(crate) fn receive(&self) -> Vec<u8> {
        std::mem::take(&mut self.wire().outgoing)
    }

    /// Makes room in the socket, though the system has not told the session yet.
    pub(crate) fn make_room_unnoticed(&self) {
        self.wire().room = usize::MAX;
    }

    /// What the session did with the stream.
    pub(crate) fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap()
    }

    /// How the session ended, if it has.
    pub(crate) fn end(&mut self) -> Option<Result<Summary, SessionError>> {
        let result = self
            .end
            .as_mut()
            .expect("asked again after the end")
            .now_or_never();
        if result.is_some() {
            self.end = None;
        }
        result
    }
}

/// The state of a stream, seen from the client.
#[derive(Default)]
pub(crate) struct Wire {
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
    room: usize,
    is_ended: bool,
    is_reset: bool,
    /// Errors that the next attempts to read or write end with.
    pub(crate) read_errors: Vec<io::ErrorKind>,
    pub(crate) write_errors: Vec<io::ErrorKind>,
    /// Whether a write takes nothing and says so.
    pub(crate) takes_nothing: bool,
    /// Whether the session closed its sending side.
    pub(crate) is_closed: bool,
    /// Whether something was written and not flushed.
    pub(crate) is_unflushed: bool,
    /// How often the session tried to read and to write.
    pub(crate) read_count: usize,
    pub(crate) write_count: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// How many bytes the session has not read.
    pub(crate) fn unread_len(&self) -> usize {
        self.incoming.len()
    }
}

struct Stream(Arc<Mutex<Wire>>);

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        wire.read_count += 1;
        if wire.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Some(kind) = wire.read_errors.pop() {
            return Poll::Ready(Err(kind.into()));
        }
        if wire.incoming.is_empty() && !wire.is_ended {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = buf.len().min(wire.incoming.len());
        for (to, from) in buf.iter_mut().zip(wire.incoming.drain(..len)) {
            *to = from;
        }
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        wire.write_count += 1;
        if wire.is_reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(kind) = wire.write_errors.pop() {
            return Poll::Ready(Err(kind.into()));
        }
        if wire.takes_nothing {
            return Poll::Ready(Ok(0));
        }
        if wire.room == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = buf.len().min(wire.room);
        wire.room -= len;
        wire.outgoing.extend(&buf[..len]);
        wire.is_unflushed = true;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().is_closed = true;
        Poll::Ready(Ok(()))
    }
}

/// Returns a message whose body is `len` bytes and begins with as much of `number` as fits.
pub(crate) fn message(number: u64, len: usize) -> Vec<u8> {
    let mut body = [0; MESSAGE_LEN_MAX];
    body[..8].copy_from_slice(&number.to_le_bytes());
    let mut wire = [0; MESSAGE_LEN_MAX];
    let len = Body::new(&body[..len]).unwrap().encode(&mut wire).unwrap();
    wire[..len].to_vec()
}

/// Returns the numbers of whole messages made by [`message`].
#[track_caller]
pub(crate) fn numbers(wire: &[u8]) -> Vec<u64> {
    let (messages, rest) = Messages::split(wire);
    assert!(
        rest.is_empty(),
        "{} bytes of an unfinished message",
        rest.len()
    );
    messages
        .iter()
        .map(|body| u64::from_le_bytes(body.as_bytes()[..8].try_into().unwrap()))
        .collect()
}
