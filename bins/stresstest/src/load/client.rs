//! One connection: nonblocking, edge-triggered, with next to no memory of its own.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::ControlFlow;

use chat_proto::{Body, MESSAGE_LEN_MAX, Messages};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    token: Token,
    is_connected: bool,
    /// The beginning of a message whose end has not arrived; shorter than a message.
    unfinished: Vec<u8>,
    /// What the socket has not taken yet: at most two messages, because a client sends the next one when the one before has arrived
    /// somewhere, and asks after it only when nothing is unsent.
    unsent: Vec<u8>,
}

impl Client {
    /// Begins to connect to `addr`. Events arrive under `token`.
    pub(crate) fn connect(addr: SocketAddr, token: Token, registry: &Registry) -> io::Result<Self> {
        let mut stream = TcpStream::connect(addr)?;
        registry.register(&mut stream, token, INTEREST)?;
        Ok(Self { stream, token, is_connected: false, unfinished: Vec::new(), unsent: Vec::new() })
    }

    /// Goes on connecting, after an event, and tells whether this completed it.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<bool> {
        if self.is_connected {
            return Ok(false);
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // A message is one small write, and the next waits for it: nothing may hold it back.
        self.stream.set_nodelay(true)?;
        self.is_connected = true;
        Ok(true)
    }

    /// Tells whether the connection is established.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Tells whether the socket has not taken all that was sent: the server does not read.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends a message, behind what is unsent.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let taken = if self.has_unsent() { 0 } else { write_some(&mut self.stream, message)? };
        self.unsent.extend_from_slice(&message[taken..]);
        debug_assert!(self.unsent.len() <= UNSENT_LEN_MAX);
        Ok(())
    }

    /// Sends what is unsent, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.has_unsent() {
            let taken = write_some(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..taken);
        }
        Ok(())
    }

    /// Hands all bodies that have arrived to `deliver`, until it breaks off.
    ///
    /// `scratch` is where the bytes are read to; all clients share it. Reads at most [`READS_MAX`] times; if there is more, an event
    /// will say so again.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        until: ReadUntil,
        registry: &Registry,
        mut deliver: impl FnMut(Body<'_>) -> ControlFlow<()>,
    ) -> io::Result<Stream> {
        for _ in 0..READS_MAX {
            let kept = self.unfinished.len();
            scratch[..kept].copy_from_slice(&self.unfinished);
            let received = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Ok(Stream::Closed),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Stream::Open),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (messages, rest) = Messages::split(&scratch[..kept + received]);
            self.unfinished.clear();
            self.unfinished.extend_from_slice(rest);
            for body in messages {
                if deliver(body).is_break() {
                    return Ok(Stream::Open);
                }
            }
            // The kernel had no more than this, so the next bytes are a new edge. Only the end of the stream could hide behind them.
            if until == ReadUntil::Short && kept + received < scratch.len() {
                return Ok(Stream::Open);
            }
        }
        // Registering again makes a new edge of what is there already.
        registry.reregister(&mut self.stream, self.token, INTEREST)?;
        Ok(Stream::Open)
    }
}

/// How far to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadUntil {
    /// Until a read returns less than it could.
    Short,
    /// Until the end of the stream, which the server has announced.
    End,
}

/// Whether more can arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// It can.
    Open,
    /// The server has closed the connection.
    Closed,
}

/// Length in bytes of the buffer to read into. A judgement: many messages a system call, and still in the second-level cache.
pub(crate) const SCRATCH_LEN: usize = 256 << 10;

/// Writes as much of `bytes` as the socket takes, and returns how much that was.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => taken += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

/// How many bytes can be unsent: a question after a message, and behind it the next message.
const UNSENT_LEN_MAX: usize = 2 * MESSAGE_LEN_MAX;

/// What every connection waits for.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How many reads one client gets before the others have their turn. A judgement: 1 MiB.
const READS_MAX: usize = 4;
