//! Clients over TLS that come and go.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chat_faults::STRANGER;
use chat_proto::Messages;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Failure;

/// A certificate of the server's own, in files that are removed when this is dropped.
pub(crate) struct Certificate {
    folder: PathBuf,
    config: Arc<ClientConfig>,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self, Failure> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let folder = std::env::temp_dir().join(format!("soak-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let certificate = Self {
            folder,
            config: Arc::new(config),
        };
        fs::write(certificate.folder.join("cert.pem"), cert.pem())?;
        let key = signing_key.serialize_pem();
        fs::write(certificate.folder.join("key.pem"), key)?;
        Ok(certificate)
    }

    /// Returns what the server is told.
    pub(crate) fn args(&self) -> [String; 3] {
        let file = |name| self.folder.join(name).display().to_string();
        [
            "--tls-listen=127.0.0.1:0".to_owned(),
            format!("--tls-cert={}", file("cert.pem")),
            format!("--tls-key={}", file("key.pem")),
        ]
    }

    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Somebody who connects over TLS, talks and listens for a while, and leaves in one of three ways;
/// again and again.
pub(crate) struct Visitor {
    number: usize,
    addr: SocketAddr,
    config: Arc<ClientConfig>,
    visits: Visits,
    /// The number of the first message of this visit.
    first: u64,
    /// The number of its next message.
    next: u64,
}

/// What a visitor has seen.
#[derive(Default)]
pub(crate) struct Visits {
    count: u64,
    sent: u64,
    returned: u64,
    received: u64,
}

impl fmt::Display for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            sent,
            returned,
            received,
        } = self;
        write!(
            f,
            "{count} visits, {returned} of {sent} messages came back, {received} received"
        )
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Visitor {
    pub(crate) fn new(number: usize, addr: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self {
            number,
            addr,
            config,
            visits: Visits::default(),
            first: 0,
            next: 0,
        }
    }

    /// Visits until it is over; fails when what arrives is not what was sent, in that order.
    pub(crate) fn come_and_go(mut self, is_over: &AtomicBool) -> Result<Visits, Failure> {
        while !is_over.load(Ordering::Relaxed) {
            self.visit(is_over)?;
            self.visits.count += 1;
        }
        if self.visits.returned == 0 {
            return Err("nothing came back over TLS".into());
        }
        Ok(self.visits)
    }

    fn visit(&mut self, is_over: &AtomicBool) -> Result<(), Failure> {
        let socket = TcpStream::connect(self.addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(END_TIMEOUT))?;
        let name = ServerName::from(self.addr.ip());
        let session = ClientConnection::new(self.config.clone(), name)?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.sock.set_read_timeout(Some(TURN))?;
        let (mut held, mut last) = (Vec::new(), None);
        self.first = self.next;
        for _ in 0..TURN_COUNT {
            let mut body = self.stamp();
            body.extend_from_slice(format!("{:>20}", self.next).as_bytes());
            let len = u8::try_from(body.len())?;
            stream.write_all(&[&[len], &body[..]].concat())?;
            stream.flush()?;
            self.next += 1;
            self.visits.sent += 1;
            if self.listen(&mut stream, &mut held, &mut last, TURN)? {
                return Err("the server closed a client over TLS".into());
            }
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        if self.visits.count.is_multiple_of(2) {
            stream.conn.send_close_notify();
            stream.flush()?;
            if !self.listen(&mut stream, &mut held, &mut last, END_TIMEOUT)? {
                return Err("the server does not end the stream of a client over TLS".into());
            }
            if !held.is_empty() {
                return Err("a client over TLS was closed inside a message".into());
            }
        }
        // Otherwise it is gone in the middle of whatever there is for it.
        Ok(())
    }

    /// Returns what all its messages begin with.
    fn stamp(&self) -> Vec<u8> {
        let name = format!("visitor {} says ", self.number);
        [&STRANGER, name.as_bytes()].concat()
    }

    /// Receives for a time, and tells whether the server has said that nothing more comes.
    fn listen(
        &mut self,
        stream: &mut Stream,
        held: &mut Vec<u8>,
        last: &mut Option<u64>,
        time: Duration,
    ) -> Result<bool, Failure> {
        let (start, mut buf) = (Instant::now(), vec![0; 1 << 16]);
        while start.elapsed() < time {
            match stream.read(&mut buf) {
                Ok(0) => return Ok(true),
                Ok(len) => self.take(&buf[..len], held, last)?,
                Err(error) if is_retried(error.kind()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Takes what was received: its own messages must come in the order in which they were sent. What it
    /// sent in an earlier visit may still come, and has no place among them.
    fn take(
        &mut self,
        received: &[u8],
        held: &mut Vec<u8>,
        last: &mut Option<u64>,
    ) -> Result<(), Failure> {
        held.extend_from_slice(received);
        let (messages, rest) = Messages::split(held);
        let own = self.stamp();
        for body in messages.iter() {
            self.visits.received += 1;
            let Some(number) = body.as_bytes().strip_prefix(&own[..]) else {
                continue;
            };
            let number = std::str::from_utf8(number)?.trim_start().parse()?;
            if number < self.first {
                continue;
            }
            if last.is_some_and(|last| last >= number) || number >= self.next {
                return Err(format!("message {number} came after {last:?}").into());
            }
            *last = Some(number);
            self.visits.returned += 1;
        }
        let rest_len = rest.len();
        held.drain(..held.len() - rest_len);
        Ok(())
    }
}

fn is_retried(kind: ErrorKind) -> bool {
    // A time limit of a socket is one or the other.
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// How long a visitor listens after each of its messages.
const TURN: Duration = Duration::from_millis(50);

/// How many messages it sends in a visit.
const TURN_COUNT: usize = 40;

/// How long it may take until it has everything. Nothing comes near that unless it hangs.
const END_TIMEOUT: Duration = Duration::from_secs(120);
