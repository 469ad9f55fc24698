//! One client of an event loop.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::task::{Context, Poll, Waker};

use chat_hub::{Hub, Progress, Publisher, Writer};
use chat_proto::Partial;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

pub(crate) struct Client {
    stream: TcpStream,
    /// Makes it due for a turn.
    waker: Waker,
    /// Whether a read may find something, as far as mio has told: it tells only once.
    pub(crate) is_readable: bool,
    /// Whether all is read: the client has ended, or its connection failed.
    is_read: bool,
    /// Whether all is written, and the client has been told so.
    is_written: bool,
    partial: Partial,
    publisher: Publisher,
    writer: Writer,
}

/// What becomes of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Served,
    Gone,
}

impl Client {
    pub(crate) fn new(
        mut stream: TcpStream,
        (key, waker): (usize, Waker),
        hub: &Hub,
        registry: &Registry,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // The stream can be written to, so there is an event at once, and a first turn.
        let interests = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(key), interests)?;
        Ok(Self {
            stream,
            waker,
            is_readable: true,
            is_read: false,
            is_written: false,
            partial: Partial::new(),
            publisher: hub.publisher(),
            // Before anything of it is read: it gets all from its own first message on.
            writer: hub.subscribe().into_writer(),
        })
    }

    /// Reads once, as much as may be published, and publishes it.
    pub(crate) fn read(&mut self, buf: &mut [u8]) {
        if self.is_read || !self.is_readable {
            return;
        }
        let mut cx = Context::from_waker(&self.waker);
        match self.publisher.poll_ready(&mut cx) {
            Poll::Ready(Ok(len)) => self.read_part(buf, len),
            Poll::Ready(Err(_)) => self.read_for_nothing(buf),
            Poll::Pending => {}
        }
    }

    /// Writes what there is.
    pub(crate) fn write(&mut self) -> State {
        let mut cx = Context::from_waker(&self.waker);
        if !self.is_written {
            let write = |slices: &[IoSlice<'_>]| self.stream.write_vectored(slices);
            match self.writer.advance(&mut cx, &self.waker, write) {
                Ok(Progress::Ended) => self.is_written = true,
                Ok(_) => return State::Served,
                Err(_) => return State::Gone,
            }
            if self.stream.shutdown(Shutdown::Write).is_err() {
                return State::Gone;
            }
        }
        if self.is_read {
            State::Gone
        } else {
            State::Served
        }
    }

    fn read_part(&mut self, buf: &mut [u8], len: usize) {
        let carried_len = self.partial.prepend(buf);
        let end = buf.len().min(carried_len + len);
        match self.stream.read(&mut buf[carried_len..end]) {
            Ok(0) => {
                self.is_read = true;
                self.writer.end_at(self.publisher.position());
            }
            Ok(len) => {
                let mut messages = self.partial.split(&buf[..carried_len + len]);
                let published = self.publisher.try_publish(&mut messages);
                published.expect("it is this client's turn");
                self.waker.wake_by_ref();
            }
            Err(error) => self.fail(error.kind()),
        }
        self.publisher.pass();
    }

    /// Reads once what comes when the hub is closed.
    fn read_for_nothing(&mut self, buf: &mut [u8]) {
        match self.stream.read(buf) {
            Ok(0) => self.is_read = true,
            Ok(_) => self.waker.wake_by_ref(),
            Err(error) => self.fail(error.kind()),
        }
    }

    fn fail(&mut self, kind: ErrorKind) {
        match kind {
            ErrorKind::WouldBlock => self.is_readable = false,
            ErrorKind::Interrupted => self.waker.wake_by_ref(),
            _ => {
                self.is_read = true;
                self.writer.end();
            }
        }
    }
}
