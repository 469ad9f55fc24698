//! A server's bytes, cut in all ways, and its ends.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use chat_tls::{Tls, TlsOptions, Trust};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::{CIPHER_LEN, Session};
use crate::connection::{Brought, SCRATCH_LEN};

/// A socket that has what it is given: each piece is a read, and then there is nothing for now.
#[derive(Default)]
struct Socket {
    incoming: VecDeque<Vec<u8>>,
    has_ended: bool,
    outgoing: Vec<u8>,
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.incoming.front_mut() else {
            return if self.has_ended {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        };
        let len = piece.len().min(buf.len());
        buf[..len].copy_from_slice(&piece[..len]);
        piece.drain(..len);
        if piece.is_empty() {
            self.incoming.pop_front();
        }
        Ok(len)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client and a server that have done their handshake.
struct Pair {
    client: Session,
    socket: Socket,
    server: ServerConnection,
    scratch: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["chat.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let options = TlsOptions {
            trust: Trust::Anybody,
            ..Default::default()
        };
        let session = Tls::new(&options).unwrap().session("chat.example").unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        server.set_buffer_limit(None);
        let mut pair = Self {
            client: Session::new(session),
            socket: Socket::default(),
            server,
            scratch: vec![0; SCRATCH_LEN],
        };
        while !pair.client.shake(&mut pair.socket).unwrap() {
            pair.serve();
            let wire = pair.wire();
            pair.arrive(&wire);
        }
        pair.serve();
        // With its end, the handshake brings tickets.
        let tickets = pair.wire();
        pair.arrive(&tickets);
        assert!(pair.read_all().0.is_empty());
        pair
    }

    /// Has the server read what was sent.
    fn serve(&mut self) {
        let sent = std::mem::take(&mut self.socket.outgoing);
        let mut sent = &sent[..];
        while !sent.is_empty() {
            self.server.read_tls(&mut sent).unwrap();
            self.server.process_new_packets().unwrap();
        }
    }

    /// Returns what the server sends.
    fn wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut wire).unwrap();
        }
        wire
    }

    fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.server.writer().write_all(bytes).unwrap();
        self.wire()
    }

    fn arrive(&mut self, bytes: &[u8]) {
        self.socket.incoming.push_back(bytes.to_vec());
    }

    fn read(&mut self, len_max: usize) -> io::Result<Brought> {
        let scratch = (&mut self.scratch[..], 3);
        self.client.read(&mut self.socket, scratch, len_max)
    }

    /// Reads as the engine does that waits for the next event after a short read, and returns what
    /// has come and whether that was the end.
    fn read_all(&mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        loop {
            match self.read(usize::MAX).unwrap() {
                Brought::End => return (all, true),
                Brought::None => return (all, false),
                Brought::Bytes { len, is_short } => {
                    all.extend_from_slice(&self.scratch[3..3 + len]);
                    if is_short {
                        return (all, false);
                    }
                }
            }
        }
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0_u8..=250).cycle().take(len).collect()
}

#[test]
fn bytes_come_out_wherever_the_stream_is_cut() {
    let mut pair = Pair::new();
    let said = bytes(40);
    let mut cut = 1;
    loop {
        // Each has records of its own: they are numbered.
        let wire = [pair.say(&said[..15]), pair.say(&said[15..])].concat();
        if cut == wire.len() {
            break;
        }
        pair.arrive(&wire[..cut]);
        let (mut all, _) = pair.read_all();
        pair.arrive(&wire[cut..]);
        all.extend(pair.read_all().0);
        assert_eq!(all, said, "cut at {cut}");
        cut += 1;
    }
}

#[test]
fn a_short_read_leaves_nothing_behind() {
    let mut pair = Pair::new();
    // A whole record but for its last byte first, so that more comes out than goes in.
    let said = bytes(16_384 + CIPHER_LEN);
    let wire = pair.say(&said);
    let first_len = 16_384;
    pair.arrive(&wire[..first_len]);
    assert!(pair.read_all().0.is_empty());
    pair.arrive(&wire[first_len..]);
    assert!(pair.read_all().0 == said);
    assert!(matches!(pair.read(usize::MAX), Ok(Brought::None)));
}

#[test]
fn a_slow_reader_takes_no_more_from_the_socket_than_it_may() {
    let mut pair = Pair::new();
    let said = bytes(1000);
    let wire = pair.say(&said);
    pair.arrive(&wire);
    let mut read = 0;
    while read < wire.len() {
        let Brought::Bytes { len, is_short } = pair.read(100).unwrap() else {
            panic!("there is more");
        };
        read += 100;
        let expected_len = if read < wire.len() { 0 } else { said.len() };
        assert_eq!((len, is_short), (expected_len, read > wire.len()));
    }
    assert_eq!(pair.scratch[3..3 + said.len()], said);
}

#[test]
fn a_stream_ends_where_the_server_says_so() {
    let mut pair = Pair::new();
    let mut wire = pair.say(b"the last");
    pair.server.send_close_notify();
    wire.extend(pair.wire());
    pair.arrive(&wire);
    assert_eq!(pair.read_all(), (b"the last".to_vec(), true));
    pair.socket.has_ended = true;
    assert!(matches!(pair.read(usize::MAX), Ok(Brought::End)));
}

#[test]
fn a_stream_that_just_ends_is_an_error() {
    let mut pair = Pair::new();
    let wire = pair.say(b"the last");
    pair.arrive(&wire);
    pair.socket.has_ended = true;
    assert_eq!(pair.read_all().0, b"the last");
    let error = pair.read(usize::MAX).unwrap_err();
    assert!(error.to_string().contains("did not say so"), "{error}");
}

#[test]
fn what_came_before_an_error_is_not_lost() {
    let mut pair = Pair::new();
    let mut wire = pair.say(b"before");
    wire.extend(pair.say(b"damaged"));
    *wire.last_mut().unwrap() ^= 1;
    pair.arrive(&wire);
    assert!(matches!(
        pair.read(usize::MAX),
        Ok(Brought::Bytes {
            len: 6,
            is_short: false
        })
    ));
    let error = pair.read(usize::MAX).unwrap_err();
    assert!(error.to_string().starts_with("TLS failed: "), "{error}");
}

#[test]
fn what_is_sent_arrives_and_so_does_its_end() {
    let mut pair = Pair::new();
    let said = bytes(100_000);
    let mut wire = pair.client.encipher(&said).unwrap().to_vec();
    wire.extend_from_slice(pair.client.end_sending().unwrap());
    pair.socket.outgoing = wire;
    let mut received = Vec::new();
    let sent = std::mem::take(&mut pair.socket.outgoing);
    let mut sent = &sent[..];
    while !sent.is_empty() {
        pair.server.read_tls(&mut sent).unwrap();
        pair.server.process_new_packets().unwrap();
        match pair.server.reader().read_to_end(&mut received) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => assert!(read.is_ok() && sent.is_empty()),
        }
    }
    assert!(received == said);
    // The other side goes on.
    let answer = pair.say(b"still here");
    pair.arrive(&answer);
    assert_eq!(pair.read_all().0, b"still here");
}
