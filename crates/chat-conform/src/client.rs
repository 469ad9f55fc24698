//! A client of the server under test: blocking, with a deadline on everything.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use chat_proto::blocking::Reader;
use chat_proto::{Body, MESSAGE_LEN_MAX, ReadError};
use socket2::SockRef;

use crate::story::{Transcript, first_difference};
use crate::wire::{Patience, Wire};
use crate::wrong::{Broken, Wrong};

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    sender: Sender,
    reader: Reader<Wire>,
    /// How many bytes the messages have that were taken.
    taken_len: u64,
}

impl Client {
    /// Connects a client.
    pub(crate) fn connect(
        addr: SocketAddr,
        patience: &Patience,
        transcript: Arc<Transcript>,
    ) -> Result<Self, Wrong> {
        let client = transcript.client;
        let wire = Wire::connect(addr, patience, transcript);
        wire.and_then(Self::of)
            .map_err(|error| Wrong::broken(format!("client {client} cannot connect: {error}")))
    }

    /// Makes a client of a connection.
    pub(crate) fn of_stream(
        stream: TcpStream,
        patience: &Patience,
        transcript: Arc<Transcript>,
    ) -> Result<Self, Wrong> {
        let wire = Wire::of(stream, patience, transcript);
        wire.and_then(Self::of).map_err(Wrong::of_machine)
    }

    fn of(wire: Wire) -> io::Result<Self> {
        Ok(Self {
            sender: Sender {
                wire: wire.try_clone()?,
            },
            reader: Reader::new(wire),
            taken_len: 0,
        })
    }

    /// Returns another handle of the sending side, for another thread.
    pub(crate) fn sender(&self) -> Result<Sender, Wrong> {
        let wire = self.sender.wire.try_clone().map_err(Wrong::of_machine)?;
        Ok(Sender { wire })
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, body: &[u8]) -> Result<(), Wrong> {
        self.sender.send(body)
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        self.sender.send_raw(bytes)
    }

    /// Sends bytes in pieces, with a little time between them so that they arrive apart.
    pub(crate) fn dribble<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Wrong> {
        for piece in pieces {
            self.send_raw(piece)?;
            thread::sleep(DRIBBLE_INTERVAL);
        }
        Ok(())
    }

    /// Ends the sending side.
    pub(crate) fn end_sending(&self) {
        // When the server has closed first, receiving will tell.
        let _ = self.sender.wire.stream.shutdown(Shutdown::Write);
    }

    /// Makes the system hold little for this client, so that it falls behind early.
    pub(crate) fn hold_little(&self) -> Result<(), Wrong> {
        SockRef::from(&self.sender.wire.stream)
            .set_recv_buffer_size(LITTLE_LEN)
            .map_err(Wrong::of_machine)
    }

    /// Cuts the connection: the server gets a reset instead of an end.
    pub(crate) fn reset(self) -> Result<(), Wrong> {
        SockRef::from(&self.sender.wire.stream)
            .set_linger(Some(Duration::ZERO))
            .map_err(Wrong::of_machine)
    }

    /// Receives the next message, or `None` when the server has closed on a message boundary.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Wrong> {
        self.reader.stream_mut().begin();
        self.next_in_time()
    }

    /// Receives the next message.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, Wrong> {
        match self.next()? {
            Some(body) => Ok(body),
            None => Err(self.broken("the server closed the connection", &[])),
        }
    }

    /// Receives the next message, which must be this one.
    pub(crate) fn expect(&mut self, body: &[u8]) -> Result<(), Wrong> {
        let expected = encoded(body);
        match self.next() {
            Ok(Some(received)) if received == body => Ok(()),
            Ok(Some(received)) => {
                // It was taken, and is told of from its beginning.
                self.taken_len -= 1 + received.len() as u64;
                Err(self.broken("another message arrived than the one expected", &expected))
            }
            Ok(None) => Err(self.broken(
                "the server closed the connection instead of sending a message",
                &expected,
            )),
            Err(wrong) => Err(wrong.expecting(&expected)),
        }
    }

    /// Receives these messages, one after the other.
    pub(crate) fn expect_all<'a>(
        &mut self,
        bodies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Wrong> {
        bodies.into_iter().try_for_each(|body| self.expect(body))
    }

    /// Receives these messages, in any order, and returns which came when.
    pub(crate) fn expect_in_any_order(&mut self, bodies: &[&[u8]]) -> Result<Vec<usize>, Wrong> {
        let mut order = Vec::with_capacity(bodies.len());
        while order.len() < bodies.len() {
            let is_left = |index: &usize| !order.contains(index);
            let left: Vec<usize> = (0..bodies.len()).filter(is_left).collect();
            let received = self
                .receive()
                .map_err(|wrong| wrong.expecting(&encoded(bodies[left[0]])))?;
            match left.iter().find(|&&index| bodies[index] == received) {
                Some(&index) => order.push(index),
                None => {
                    self.taken_len -= 1 + received.len() as u64;
                    let expected = encoded(bodies[left[0]]);
                    return Err(self.broken("a message arrived that nobody sent", &expected));
                }
            }
        }
        Ok(order)
    }

    /// Passes over messages until this one has arrived.
    pub(crate) fn skip_to(&mut self, body: &[u8]) -> Result<(), Wrong> {
        self.take_until(body).map(drop)
    }

    /// Sends a message that no other client of this process has sent, and returns its body.
    pub(crate) fn send_mark(&mut self) -> Result<Vec<u8>, Wrong> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Nothing else depends on it than that no two are the same.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("mark {number} of {}", std::process::id()).into_bytes();
        self.send(&mark)?;
        Ok(mark)
    }

    /// Receives messages until this one has arrived, and returns those before it.
    pub(crate) fn take_until(&mut self, body: &[u8]) -> Result<Vec<Vec<u8>>, Wrong> {
        self.reader.stream_mut().begin();
        let mut before = Vec::new();
        loop {
            match self
                .next_in_time()
                .map_err(|wrong| wrong.expecting(&encoded(body)))?
            {
                Some(received) if received == body => return Ok(before),
                Some(received) => before.push(received),
                None => {
                    return Err(self.broken(
                        "the server closed the connection before the message arrived",
                        &encoded(body),
                    ));
                }
            }
        }
    }

    /// Waits for the server to close the connection, with nothing before that.
    pub(crate) fn expect_end(&mut self) -> Result<(), Wrong> {
        match self.next()? {
            None => Ok(()),
            Some(received) => {
                self.taken_len -= 1 + received.len() as u64;
                Err(self.broken("a message arrived instead of the end", &[]))
            }
        }
    }

    /// Receives everything until the server closes, on a message boundary.
    pub(crate) fn receive_to_end(&mut self) -> Result<Vec<Vec<u8>>, Wrong> {
        self.reader.stream_mut().begin();
        let mut bodies = Vec::new();
        while let Some(body) = self.next_in_time()? {
            bodies.push(body);
        }
        Ok(bodies)
    }

    /// Makes a failure of what is received from here on.
    pub(crate) fn broken(&self, what: impl Into<String>, expected: &[u8]) -> Wrong {
        let transcript = &self.sender.wire.transcript;
        let mut received = transcript.received().since(self.taken_len);
        // What comes after the message that differs explains little.
        received.truncate(expected.len().max(SHOWN_LEN_MIN));
        Wrong::Broken(Box::new(Broken {
            what: format!("client {}: {}", transcript.client, what.into()),
            client: Some(transcript.client),
            offset: first_difference(expected, &received).filter(|_| !expected.is_empty()),
            expected: expected.to_vec(),
            received,
        }))
    }

    fn next_in_time(&mut self) -> Result<Option<Vec<u8>>, Wrong> {
        let what = match self.reader.next_body() {
            Ok(Some(body)) => {
                self.taken_len += 1 + body.as_bytes().len() as u64;
                return Ok(Some(body.as_bytes().to_vec()));
            }
            Ok(None) => return Ok(None),
            Err(ReadError::Unfinished(_)) => {
                "the server closed the connection inside a message".to_owned()
            }
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                "nothing more arrived in time".to_owned()
            }
            Err(ReadError::Io(error)) => format!("the connection failed: {error}"),
        };
        Err(self.broken(what, &[]))
    }
}

/// The sending side of a client.
#[derive(Debug)]
pub(crate) struct Sender {
    wire: Wire,
}

impl Sender {
    /// Sends a message.
    pub(crate) fn send(&mut self, body: &[u8]) -> Result<(), Wrong> {
        self.send_raw(&encoded(body))
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        self.wire.begin();
        self.wire.write_all(bytes).map_err(|error| {
            let client = self.wire.transcript.client;
            let what = if error.kind() == io::ErrorKind::TimedOut {
                "the server does not take what it sends".to_owned()
            } else {
                format!("sending failed: {error}")
            };
            Wrong::broken(format!("client {client}: {what}"))
        })
    }

    /// Ends the sending side.
    pub(crate) fn end(self) {
        // When the server has closed first, receiving will tell.
        let _ = self.wire.stream.shutdown(Shutdown::Write);
    }
}

/// Returns a message on the wire. Bodies are made by cases, and none is too long.
pub(crate) fn encoded(body: &[u8]) -> Vec<u8> {
    let mut wire = [0; MESSAGE_LEN_MAX];
    let body = Body::new(body).expect("cases make no body of more than 255 bytes");
    let len = body.encode(&mut wire).expect("the longest message fits");
    wire[..len].to_vec()
}

/// Returns messages on the wire, one after the other.
pub(crate) fn encoded_all<'a>(bodies: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    bodies.into_iter().flat_map(encoded).collect()
}

/// How much time is between pieces that should arrive apart. When they do not, the case is easier
/// for the server, and nothing else.
const DRIBBLE_INTERVAL: Duration = Duration::from_millis(2);

/// How many received bytes are shown at least.
const SHOWN_LEN_MIN: usize = 32;

/// How many bytes a client that holds little lets the system hold. A judgement: with less than the
/// longest segment of the loopback, 64 KiB, the system delivers only now and then.
const LITTLE_LEN: usize = 64 << 10;
