use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use chat_hub::Hub;
use futures::io::{AsyncRead, AsyncWrite};

/// The state of a stream, seen from the client.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) incoming: VecDeque<u8>,
    pub(crate) outgoing: Vec<u8>,
    pub(crate) room: usize,
    /// What the client sends again and again, without end.
    pub(crate) flood: Vec<u8>,
    /// Whether what is written is forgotten.
    pub(crate) is_sink: bool,
    pub(crate) is_ended: bool,
    pub(crate) is_reset: bool,
    /// Errors that the next attempts to read or write end with.
    pub(crate) read_errors: Vec<io::ErrorKind>,
    pub(crate) write_errors: Vec<io::ErrorKind>,
    /// How many bytes one read brings at most; 0 is no limit.
    pub(crate) read_len_max: usize,
    /// Whether a write takes nothing and says so.
    pub(crate) takes_nothing: bool,
    /// Whether the session closed its sending side.
    pub(crate) is_closed: bool,
    /// Whether something was written and not flushed.
    pub(crate) is_unflushed: bool,
    /// How often the session tried to read and to write, and how often it flushed.
    pub(crate) read_count: usize,
    pub(crate) write_count: usize,
    pub(crate) flush_count: usize,
    /// The hub that another thread closes while the session is in its read of that number.
    pub(crate) closes_hub: Option<(usize, Hub)>,
    /// How many bytes the session read before it closed its sending side.
    pub(crate) taken_len: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    pub(crate) fn with_room(room: usize) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            room,
            ..Self::default()
        }))
    }

    pub(crate) fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(crate) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Returns how many bytes the session has not read.
    pub(crate) fn unread_len(&self) -> usize {
        self.incoming.len()
    }
}

/// The session's end of a wire.
pub(crate) struct Stream(pub(crate) Arc<Mutex<Wire>>);

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
        while !wire.flood.is_empty() && wire.incoming.len() < buf.len() {
            let Wire {
                incoming, flood, ..
            } = &mut *wire;
            incoming.extend(&flood[..]);
        }
        if wire.incoming.is_empty() && !wire.is_ended {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = match wire.read_len_max {
            0 => buf.len(),
            len_max => buf.len().min(len_max),
        };
        let len = wire.incoming.read(&mut buf[..len])?;
        if !wire.is_closed {
            wire.taken_len += len;
        }
        if let Some((read_count, hub)) = &wire.closes_hub
            && wire.read_count == *read_count
        {
            hub.close();
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
        if !wire.is_sink {
            wire.outgoing.extend(&buf[..len]);
        }
        wire.is_unflushed = true;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.lock().unwrap();
        wire.flush_count += 1;
        wire.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().is_closed = true;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}
