//! One connection through the proxy.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::course::Course;
use crate::pump::{Pump, Shared, TICK};
use crate::toxics::{Plan, Toxics};

/// A connection through the proxy. Dropping it cuts the connection: both sides see a reset, unless
/// both have ended.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    to_server: Arc<AtomicU64>,
    to_client: Arc<AtomicU64>,
    pumps: Vec<JoinHandle<()>>,
}

/// Connects to `server` through a proxy of its own, which follows `plan`; returns the client's end.
///
/// # Errors
///
/// When the server cannot be reached, or the system has no socket or thread for the proxy.
pub fn link(server: SocketAddr, plan: &Plan) -> io::Result<(TcpStream, Link)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect_timeout(&listener.local_addr()?, CONNECT_TIMEOUT)?;
    let own_addr = client.local_addr()?;
    // Somebody else may have tried the port before.
    let inner = loop {
        let (inner, peer) = listener.accept()?;
        if peer == own_addr {
            break inner;
        }
    };
    client.set_nodelay(true)?;
    Ok((client, Link::start(inner, server, plan, Arc::default())?))
}

impl Link {
    /// Connects to `server` and begins to forward between it and `client`.
    /// Nothing is forwarded as long as `is_held`.
    pub(crate) fn start(
        client: TcpStream,
        server: SocketAddr,
        plan: &Plan,
        is_held: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let server = Arc::new(connect(server)?);
        let client = Arc::new(client);
        for stream in [&server, &client] {
            prepare(stream)?;
        }
        let mut link = Self {
            shared: Arc::new(Shared::held_by(is_held)),
            to_server: Arc::default(),
            to_client: Arc::default(),
            pumps: Vec::new(),
        };
        let counts = [&link.to_server, &link.to_client].map(Arc::clone);
        let [to_server, to_client] = counts;
        let pumps = [
            link.pump(&client, &server, &plan.to_server, plan.seed, to_server),
            link.pump(&server, &client, &plan.to_client, !plan.seed, to_client),
        ];
        drop((client, server));
        for pump in pumps {
            let started = thread::Builder::new().name("toxic".to_owned());
            // Without the other, the first is cut when the link is dropped.
            link.pumps.push(started.spawn(move || pump.run())?);
        }
        Ok(link)
    }

    fn pump(
        &self,
        source: &Arc<TcpStream>,
        sink: &Arc<TcpStream>,
        toxics: &Toxics,
        seed: u64,
        forwarded: Arc<AtomicU64>,
    ) -> Pump {
        Pump {
            source: Arc::clone(source),
            sink: Arc::clone(sink),
            course: Course::new(toxics.clone(), seed),
            shared: Arc::clone(&self.shared),
            forwarded,
        }
    }

    /// Waits until both directions have ended.
    pub fn join(mut self) {
        self.join_pumps();
    }

    /// Returns how many bytes have been forwarded to the server and to the client.
    pub fn forwarded(&self) -> (u64, u64) {
        let [to_server, to_client] = [&self.to_server, &self.to_client];
        (
            to_server.load(Ordering::Relaxed),
            to_client.load(Ordering::Relaxed),
        )
    }

    /// Tells whether both directions have ended.
    pub fn is_over(&self) -> bool {
        self.pumps.iter().all(JoinHandle::is_finished)
    }

    fn join_pumps(&mut self) {
        for pump in self.pumps.drain(..) {
            // It does not panic; and if it did, the message has been printed.
            let _ = pump.join();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.cut();
        self.join_pumps();
    }
}

/// Connects to the server with a small receive buffer, so that a stall reaches the server.
fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let domain = Domain::for_address(server);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(SYSTEM_BUF_LEN)?;
    socket.connect_timeout(&server.into(), CONNECT_TIMEOUT)?;
    Ok(socket.into())
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))?;
    SockRef::from(stream).set_send_buffer_size(SYSTEM_BUF_LEN)
}

/// How long connecting may take; on a loopback it takes no time unless something hangs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes the system is asked to hold for each direction. A judgement: with less than the
/// longest segment of the loopback, 64 KiB, it delivers only now and then.
const SYSTEM_BUF_LEN: usize = 64 << 10;
