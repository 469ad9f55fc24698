//! Accepting clients, and the orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

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
use crate::serving::Serving;
use crate::socket::Socket;

/// A server that accepts clients and serves them.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    hub: Hub,
    clients: Clients,
    accepting: Task<Infallible>,
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
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    #[error(transparent)]
    Clients(#[from] ClientsError),
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
        let failed = |source| StartError::Listen {
            address: args.address,
            source,
        };
        let listener = listen(args.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        runtime::start()?;
        let (hub, clock) = args.hub();
        runtime::spawn(clock.keep_time(task::sleep)).detach();
        let clients = Clients::default();
        let acceptor = Acceptor {
            hub: hub.clone(),
            clients: clients.clone(),
            client_count_max,
            stall_timeout: args.stall_timeout(),
            is_failing: false,
            is_full: false,
        };
        let accepting = runtime::spawn(acceptor.run(listener.into()));
        args.log_start(address, client_count_max);
        Ok(Self {
            address,
            hub,
            clients,
            accepting,
        })
    }

    /// Returns the address that clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and reading, and gives the clients until `deadline` from now to take what
    /// there is for them.
    pub(crate) fn end(self, deadline: Duration) {
        self.hub.close();
        let drained = async {
            self.accepting.cancel().await;
            self.clients.gone().await;
        };
        if block_on(timeout(deadline, drained)).is_err() {
            let count = self.clients.count();
            info!("{count} clients did not take everything, or did not close, in {deadline:?}");
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

/// Accepts clients, for ever.
#[derive(Debug)]
struct Acceptor {
    hub: Hub,
    clients: Clients,
    client_count_max: usize,
    stall_timeout: Option<Duration>,
    /// Whether accepting fails, and whether there are too many clients; each is logged when it
    /// begins, not with every client.
    is_failing: bool,
    is_full: bool,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener) -> Infallible {
        let mut left = ACCEPTS_MAX;
        loop {
            if left == 0 {
                // Clients that come in a burst are not to keep those from their turns that are here.
                task::yield_now().await;
                left = ACCEPTS_MAX;
            }
            left -= 1;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    self.is_failing = false;
                    self.admit(stream, peer);
                }
                Err(error) if is_of_one_client(&error) => {
                    debug!("a client left before it was accepted: {error}")
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        warn!("cannot accept clients: {error}; trying again");
                    }
                    // The system is short of something that only others can give back. Trying at
                    // once would be spinning.
                    task::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
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
        debug!(%peer, "connected");
        let serving = Serving::new(
            Socket::new(stream),
            peer,
            self.hub.clone(),
            self.stall_timeout,
            self.clients.add(),
        );
        runtime::spawn(serving).detach();
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

/// How long to wait before accepting again when the system cannot. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients are accepted before others have their turn. A judgement: a few tens of
/// microseconds.
const ACCEPTS_MAX: u32 = 512;

/// How long the clients that are cut off may take to end: it only takes a turn of each.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
