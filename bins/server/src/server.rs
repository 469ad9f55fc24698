//! Accepting clients, and the orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_executor::Task;
use async_std::future::timeout;
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use chat_hub::Hub;
use futures::executor::block_on;
use tracing::{debug, info, warn};

use crate::args::Args;
use crate::clients::Clients;
use crate::limits::{ClientsError, ThreadsError};
use crate::listener::listen;
use crate::runtime;
use crate::serving::{Admission, Serving};
use crate::socket::Socket;
use crate::tls::{Ending, Tls, TlsError};

/// A server that accepts clients and serves them.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    hub: Hub,
    clients: Clients,
    accepting: Task<Infallible>,
    tls: Option<TlsSide>,
}

/// What is served over TLS beside what is plain.
#[derive(Debug)]
struct TlsSide {
    tls: Tls,
    address: SocketAddr,
    accepting: Task<Infallible>,
    ending: Ending,
}

/// Why the server could not begin to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("cannot start the thread that writes the log: {0}")]
    Log(io::Error),
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    #[error(transparent)]
    Clients(#[from] ClientsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Says what to do about an address that cannot be listened on.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there, so choose another port, or 0 for any that is free"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for privileged programs",
        _ => "",
    }
}

impl Server {
    /// Listens, and serves clients as the arguments say.
    pub(crate) fn start(args: &Args) -> Result<Self, StartError> {
        let client_count_max = args.client_count_max()?;
        let tls = args.tls.open()?;
        let (listener, address) = open(args.address)?;
        let tls = match tls {
            Some((tls, ending, address)) => Some((tls, ending, open(address)?)),
            None => None,
        };
        runtime::start()?;
        let (hub, clock) = args.hub();
        runtime::spawn(clock.keep_time(task::sleep)).detach();
        let clients = Clients::default();
        let acceptor = Acceptor {
            hub: hub.clone(),
            clients: clients.clone(),
            client_count_max,
            stall_timeout: args.stall_timeout(),
            kind: if tls.is_some() {
                Kind::PlainBesideTls
            } else {
                Kind::Plain
            },
            failed_at: None,
            is_full: false,
        };
        let tls = tls.map(|(tls, ending, (listener, address))| {
            let acceptor = acceptor.clone_for(Kind::Tls(tls.clone()));
            let accepting = runtime::spawn(acceptor.run(listener.into()));
            TlsSide {
                tls,
                address,
                accepting,
                ending,
            }
        });
        let accepting = runtime::spawn(acceptor.run(listener.into()));
        args.log_start(address, client_count_max);
        Ok(Self {
            address,
            hub,
            clients,
            accepting,
            tls,
        })
    }

    /// Returns the address that clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address that clients of TLS connect to, if there is one.
    pub(crate) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|side| side.address)
    }

    /// Reads the certificate and its key again, and whom they let in, for clients that connect from
    /// now on. Where they are no good, the server goes on with what it has.
    #[expect(dead_code, reason = "what reloads the configuration is to call it")]
    pub(crate) fn reload_tls(&self) -> Result<(), TlsError> {
        match &self.tls {
            Some(side) => side.tls.reload(),
            None => Ok(()),
        }
    }

    /// Stops accepting and reading, and gives the clients until `deadline` from now to take what
    /// there is for them.
    pub(crate) fn end(self, deadline: Duration) {
        self.hub.close();
        let drained = async {
            self.accepting.cancel().await;
            if let Some(side) = self.tls {
                side.accepting.cancel().await;
                // Handshakes that are under way end with this.
                let _ending = side.ending;
            }
            self.clients.gone().await;
        };
        if block_on(timeout(deadline, drained)).is_err() {
            let count = self.clients.count();
            let clients = if count == 1 { "client" } else { "clients" };
            info!("{count} {clients} did not take everything, or did not close, in {deadline:?}");
            self.clients.cut();
            let _ = block_on(timeout(CUT_TIMEOUT, self.clients.gone()));
        }
        let stats = self.hub.stats();
        let disconnected = stats.disconnected + self.clients.stalled_count();
        info!(
            published = stats.published,
            delivered = stats.delivered,
            dropped = stats.dropped,
            disconnected,
            "ended"
        );
    }
}

/// Listens on an address; returns it as well, with the port that the system chose.
fn open(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Accepts clients, for ever.
#[derive(Debug)]
struct Acceptor {
    hub: Hub,
    clients: Clients,
    client_count_max: usize,
    stall_timeout: Option<Duration>,
    kind: Kind,
    /// When it was logged last that accepting fails.
    failed_at: Option<Instant>,
    /// Whether there were too many clients. It is logged when it begins, not with every client.
    is_full: bool,
}

/// What the clients of an address speak.
#[derive(Debug)]
enum Kind {
    Plain,
    /// The same, and some may take the address for that of TLS.
    PlainBesideTls,
    Tls(Tls),
}

impl Acceptor {
    /// Makes one for another address.
    fn clone_for(&self, kind: Kind) -> Self {
        Self {
            hub: self.hub.clone(),
            clients: self.clients.clone(),
            client_count_max: self.client_count_max,
            stall_timeout: self.stall_timeout,
            kind,
            failed_at: None,
            is_full: false,
        }
    }

    async fn run(mut self, listener: TcpListener) -> Infallible {
        loop {
            for _ in 0..self.burst_len() {
                match listener.accept().await {
                    Ok((stream, peer)) => self.admit(stream, peer),
                    Err(error) if is_of_one_client(&error) => {
                        debug!("a client left before it was accepted: {error}");
                    }
                    Err(error) => self.pause(&error).await,
                }
            }
            // Clients that come in a burst are not to keep those from their turns that are here.
            task::yield_now().await;
        }
    }

    /// Returns how many clients are accepted before others have their turn. The more there are, the
    /// longer their turns take together, so this is a small part of the time.
    fn burst_len(&self) -> usize {
        BURST_LEN_MIN.max(self.clients.count() / CLIENTS_PER_ACCEPT)
    }

    /// Waits, since the system is short of something that only others can give back. Trying at once
    /// would be spinning.
    async fn pause(&mut self, error: &io::Error) {
        let is_logged = self
            .failed_at
            .is_some_and(|at| at.elapsed() < FAILURES_LOG_PERIOD);
        if !is_logged {
            warn!("cannot accept clients: {error}; trying again");
            self.failed_at = Some(Instant::now());
        }
        let _ = timeout(ACCEPT_PAUSE, self.clients.left()).await;
    }

    /// Begins to serve a client, unless there are too many: then its connection is closed at once.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let client_count = self.clients.count();
        if client_count >= self.client_count_max {
            if !std::mem::replace(&mut self.is_full, true) {
                warn!("{client_count} clients are connected, no more are served until one leaves");
            }
            return;
        }
        // Clients that come and go at the limit are not to fill the log.
        self.is_full &= client_count > self.client_count_max / 2;
        // As it is written when the client leaves: without what only the system can make use of.
        let peer = SocketAddr::new(peer.ip(), peer.port());
        debug!(%peer, "connected");
        let admission = Admission {
            peer,
            hub: self.hub.clone(),
            stall_timeout: self.stall_timeout,
            entry: self.clients.add(),
        };
        let socket = match &self.kind {
            Kind::Plain => Socket::new(stream),
            Kind::PlainBesideTls => Socket::new(stream).refuse_tls(),
            Kind::Tls(tls) => return tls.admit(stream, admission),
        };
        runtime::spawn(Serving::new(socket, admission)).detach();
    }
}

/// Tells whether an error in accepting concerns the client that was to be accepted, and not the
/// next.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// How long to wait before accepting again when the system cannot, unless a client leaves. A
/// judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long nothing more is logged of a system that goes on failing.
const FAILURES_LOG_PERIOD: Duration = Duration::from_secs(10);

/// How many clients are accepted at least before others have their turn. Measured: one takes 6 to 9
/// microseconds, its own first turn included.
const BURST_LEN_MIN: usize = 16;

/// For how many connected clients one more is accepted before others have their turn. Measured: with
/// 16 at a time alone, five thousand that connect at once take ten times as long; with 512 at a
/// time, those that are here wait while a few hundred come and go.
const CLIENTS_PER_ACCEPT: usize = 8;

/// How long the clients that are cut off may take to end: it only takes a turn of each.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::{Ipv4Addr, TcpStream as StdTcpStream};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn acceptor() -> Acceptor {
        Acceptor {
            hub: Hub::default(),
            clients: Clients::default(),
            client_count_max: usize::MAX,
            stall_timeout: None,
            kind: Kind::Plain,
            failed_at: None,
            is_full: false,
        }
    }

    #[test]
    fn clients_that_come_in_a_burst_leave_others_their_turn() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = (0..3 * BURST_LEN_MIN).map(|_| StdTcpStream::connect(address).unwrap());
        let _clients: Vec<_> = connecting.collect();
        let acceptor = acceptor();
        let clients = acceptor.clients.clone();
        let mut accepting = pin!(acceptor.run(listener.into()));
        let cx = &mut Context::from_waker(Waker::noop());
        for turn in 1..=3 {
            assert!(accepting.as_mut().poll(cx).is_pending());
            assert_eq!(clients.count(), turn * BURST_LEN_MIN);
        }
    }

    #[test]
    fn more_are_accepted_at_once_where_there_are_many() {
        let acceptor = acceptor();
        let entries: Vec<_> = (0..1000).map(|_| acceptor.clients.add()).collect();
        assert_eq!(acceptor.burst_len(), 1000 / CLIENTS_PER_ACCEPT);
        drop(entries);
        assert_eq!(acceptor.burst_len(), BURST_LEN_MIN);
    }

    #[test]
    fn a_client_that_leaves_ends_the_pause() {
        let mut acceptor = acceptor();
        let clients = acceptor.clients.clone();
        let entry = clients.add();
        let error = io::Error::from_raw_os_error(24);
        let mut pause = pin!(acceptor.pause(&error));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(pause.as_mut().poll(cx).is_pending());
        drop(entry);
        assert!(pause.as_mut().poll(cx).is_ready());
    }
}
