//! One connection: nonblocking, edge-triggered, with next to no memory of its own.

mod connect;

use std::io::{self, Read as _, Write};
use std::net::{Shutdown, SocketAddr};
use std::ops::ControlFlow;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::tls::{CIPHER_LEN, Session};

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// What TLS keeps, over TLS.
    tls: Option<Box<Session>>,
    token: Token,
    state: State,
    /// The beginning of a message whose end has not arrived.
    unfinished: Vec<u8>,
    /// What the socket has not taken yet, in the bytes that it takes: at most two bursts and one message, because a client
    /// sends the next when half of what is in flight has arrived somewhere or the socket has
    /// taken it, and asks after it only when nothing is unsent.
    unsent: Vec<u8>,
    /// How much of `unsent` the socket has taken.
    taken: usize,
    /// Whether `unsent` waits for something else than the socket.
    is_held: bool,
}

impl Client {
    /// Returns the address of the client's side.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Tells whether the connection is established.
    pub(crate) fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Tells whether the server has accepted the connection, and its handshake is not done.
    pub(crate) fn is_shaking(&self) -> bool {
        self.state == State::Shaking
    }

    /// Tells whether the socket has not taken all that was sent: the server does not read.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Returns how many bytes have arrived of a message whose end has not.
    pub(crate) fn unfinished_len(&self) -> usize {
        self.unfinished.len()
    }

    /// Sends messages, behind what is unsent.
    pub(crate) fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        let wire = match &mut self.tls {
            None => messages,
            Some(tls) => tls.encipher(messages)?,
        };
        let taken = if self.unsent.is_empty() {
            write_some(&mut self.stream, wire)?
        } else {
            0
        };
        self.unsent.extend_from_slice(&wire[taken..]);
        Ok(())
    }

    /// Sends the first `len` bytes of messages, and holds the rest back until [`Self::release`].
    /// Nothing is unsent before.
    pub(crate) fn send_part(&mut self, messages: &[u8], len: usize) -> io::Result<()> {
        self.send(&messages[..len])?;
        let held = match &mut self.tls {
            None => &messages[len..],
            Some(tls) => tls.encipher(&messages[len..])?,
        };
        self.unsent.extend_from_slice(held);
        self.is_held = true;
        Ok(())
    }

    /// Sends what was held back, as far as the socket takes it.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        self.is_held = false;
        self.flush()
    }

    /// Sends what is unsent, as far as the socket takes it, unless it is held back.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.is_held {
            return Ok(());
        }
        if self.has_unsent() {
            self.taken += write_some(&mut self.stream, &self.unsent[self.taken..])?;
        }
        if self.taken == self.unsent.len() {
            self.unsent.clear();
            self.taken = 0;
        }
        Ok(())
    }

    /// Reads `len_max` bytes or fewer, and hands what has arrived to `deliver`, until that breaks
    /// off.
    pub(crate) fn receive_some(
        &mut self,
        scratch: &mut [u8],
        len_max: usize,
        mut deliver: impl FnMut(&[u8]) -> ControlFlow<(), usize>,
    ) -> io::Result<Stream> {
        let mut left = len_max;
        while left > 0 {
            let read_len_max = match self.tls {
                None => left.min(scratch.len() - self.unfinished.len()),
                Some(_) => left.min(CIPHER_LEN),
            };
            left -= read_len_max;
            match self.read(scratch, read_len_max, &mut deliver)? {
                Read::End => return Ok(Stream::Closed),
                Read::Some {
                    is_short: false,
                    is_break: false,
                } => {}
                Read::Some { .. } | Read::None => break,
            }
        }
        Ok(Stream::Open)
    }

    /// Ends the sending side. What is owed to the client still arrives, and then the end of the
    /// stream.
    pub(crate) fn end_sending(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            self.unsent.extend_from_slice(tls.end_sending()?);
            self.flush()?;
            if self.has_unsent() {
                // The server sees the end when the socket has taken it.
                return Ok(());
            }
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// Hands all that has arrived to `deliver`, until that breaks off. It returns the length of the
    /// whole messages at the start.
    ///
    /// `scratch` is where the bytes are read to; all clients share it. Reads at most [`READS_MAX`]
    /// times; if there is more, an event will say so again.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        until: ReadUntil,
        registry: &Registry,
        mut deliver: impl FnMut(&[u8]) -> ControlFlow<(), usize>,
    ) -> io::Result<Stream> {
        for _ in 0..READS_MAX {
            match self.read(scratch, scratch.len(), &mut deliver)? {
                Read::End => return Ok(Stream::Closed),
                Read::None => return Ok(Stream::Open),
                Read::Some { is_break: true, .. } => return Ok(Stream::Open),
                // The kernel had no more than this, so the next bytes are a new edge. Only the end
                // of the stream could hide behind them.
                Read::Some { is_short: true, .. } if until == ReadUntil::Short => {
                    return Ok(Stream::Open);
                }
                Read::Some { .. } => {}
            }
        }
        self.rearm(registry)?;
        Ok(Stream::Open)
    }

    /// Has no more events.
    pub(crate) fn ignore(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }

    /// Tells whether the server has closed the connection, by reading all that has arrived and not
    /// looking at it.
    pub(crate) fn is_closed(&mut self, scratch: &mut [u8]) -> bool {
        for _ in 0..UNREAD_READS_MAX {
            match self.read(scratch, scratch.len(), &mut |bytes: &[u8]| {
                ControlFlow::Continue(bytes.len())
            }) {
                Ok(Read::End) | Err(_) => return true,
                Ok(Read::None) => return false,
                Ok(Read::Some { .. }) => {}
            }
        }
        false
    }

    /// Makes a new event of what has arrived already.
    pub(crate) fn rearm(&mut self, registry: &Registry) -> io::Result<()> {
        registry.reregister(&mut self.stream, self.token, INTEREST)
    }

    /// Reads once, `len_max` bytes or fewer.
    fn read(
        &mut self,
        scratch: &mut [u8],
        len_max: usize,
        deliver: &mut impl FnMut(&[u8]) -> ControlFlow<(), usize>,
    ) -> io::Result<Read> {
        let carried_len = self.unfinished.len();
        if carried_len == scratch.len() {
            return Err(io::Error::other(
                "a message is longer than all that can be read",
            ));
        }
        scratch[..carried_len].copy_from_slice(&self.unfinished);
        let brought = match &mut self.tls {
            None => {
                let end = scratch.len().min(carried_len.saturating_add(len_max));
                read_some(&mut self.stream, &mut scratch[carried_len..end])?
            }
            Some(tls) => tls.read(&mut self.stream, (scratch, carried_len), len_max)?,
        };
        let (received, is_short) = match brought {
            Brought::End => return Ok(Read::End),
            Brought::None => return Ok(Read::None),
            Brought::Bytes { len, is_short } => (len, is_short),
        };
        let bytes = &scratch[..carried_len + received];
        let delivered = deliver(bytes);
        let rest = match delivered {
            ControlFlow::Continue(delivered_len) => &bytes[delivered_len..],
            ControlFlow::Break(()) => &[],
        };
        self.unfinished.clear();
        self.unfinished.extend_from_slice(rest);
        Ok(Read::Some {
            is_short,
            is_break: delivered.is_break(),
        })
    }
}

/// What a read found.
enum Read {
    /// Bytes: whether they did not fill the buffer, and whether whoever got the messages breaks
    /// off.
    Some { is_short: bool, is_break: bool },
    /// Nothing for now.
    None,
    /// The end of the stream.
    End,
}

/// What a stream has brought.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Brought {
    /// So many bytes: whether the socket had fewer than were asked for. Over TLS these may be none.
    Bytes { len: usize, is_short: bool },
    /// Nothing for now.
    None,
    /// The end.
    End,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    /// It does its handshake.
    Shaking,
    Connected,
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

/// Length in bytes of the buffer to read into. A judgement: many messages a system call, and still
/// in the second-level cache.
pub(crate) const SCRATCH_LEN: usize = 256 << 10;

/// Reads once.
fn read_some(stream: &mut TcpStream, buf: &mut [u8]) -> io::Result<Brought> {
    loop {
        match stream.read(buf) {
            Ok(0) => return Ok(Brought::End),
            Ok(len) => {
                let is_short = len < buf.len();
                return Ok(Brought::Bytes { len, is_short });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Brought::None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

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

/// What every connection waits for.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How many reads one client gets before the others have their turn. A judgement: 1 MiB, or 256 KiB over
/// TLS.
const READS_MAX: usize = 4;

/// How many reads it takes to be sure that a client which never read is still connected. A
/// judgement: 64 MiB, or 16 MiB over TLS, more than the kernel holds for one, so that this ends
/// though the server goes on sending.
const UNREAD_READS_MAX: usize = 256;
