//! Accepting clients, and the orderly end.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::num::NonZeroU32;
use std::time::Duration;

use async_executor::Task;
use async_std::channel::{self, Receiver, Sender};
use async_std::future::timeout;
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use chat_hub::Hub;
use futures::executor::block_on;
use tracing::{debug, info, warn};

use crate::args::Args;
use crate::limits::LimitsError;
use crate::runtime;
use crate::serving::Serving;
use crate::socket::Socket;

/// A server that accepts clients and serves them.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    hub: Hub,
    accepting: Task<Infallible>,
    /// Nothing is ever sent: it ends when the last session has.
    sessions: Receiver<Infallible>,
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
    #[error("cannot start the threads that serve clients: {0}")]
    Threads(io::Error),
    #[error(transparent)]
    Limits(#[from] LimitsError),
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
        let (address, client_count_max) = (args.address, args.client_count_max()?);
        let listen = |source| StartError::Listen { address, source };
        let listener = StdTcpListener::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        runtime::start().map_err(StartError::Threads)?;
        let (session, sessions) = channel::bounded(1);
        let (hub, clock) = args.hub();
        runtime::spawn(clock.keep_time(task::sleep)).detach();
        let stall_timeout = args.stall_timeout();
        let acceptor = Acceptor {
            hub: hub.clone(),
            session,
            client_count_max,
            stall_timeout,
            is_failing: false,
            is_full: false,
        };
        let accepting = runtime::spawn(acceptor.run(listener.into()));
        info!("serving at most {client_count_max} clients");
        Ok(Self {
            address,
            hub,
            accepting,
            sessions,
        })
    }

    /// Returns the address that clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and reading, and gives the clients until `deadline` from now to take what
    /// there is for them.
    pub(crate) fn end(self, deadline: Duration) {
        block_on(async {
            self.accepting.cancel().await;
            self.hub.close();
            if timeout(deadline, self.sessions.recv()).await.is_err() {
                info!(
                    "some clients did not take everything, or did not close, within {deadline:?}"
                );
            }
        });
        let stats = self.hub.stats();
        info!(
            stats.published,
            stats.delivered, stats.dropped, stats.disconnected, "ended"
        );
    }
}

/// Accepts clients, for ever.
#[derive(Debug)]
struct Acceptor {
    hub: Hub,
    /// Cloned into every session, so that the sessions are counted and their end is seen.
    session: Sender<Infallible>,
    client_count_max: usize,
    /// In seconds.
    stall_timeout: Option<NonZeroU32>,
    /// Whether accepting fails, and whether there are too many clients; each is logged when it
    /// begins, not with every client.
    is_failing: bool,
    is_full: bool,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener) -> Infallible {
        loop {
            let accepted = listener.accept().await;
            match accepted {
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
        let client_count = self.session.sender_count() - 1;
        if client_count >= self.client_count_max {
            if !std::mem::replace(&mut self.is_full, true) {
                warn!("{client_count} clients are connected, no more are served until one leaves");
            }
            return;
        }
        // Clients that come and go at the limit are not to fill the log.
        self.is_full &= client_count > self.client_count_max / 2;
        let socket = match Socket::new(stream) {
            Ok(socket) => socket,
            Err(error) => return debug!(%peer, "a client left before it was served: {error}"),
        };
        debug!(%peer, "connected");
        let serving = Serving::new(
            socket,
            peer,
            self.hub.clone(),
            self.stall_timeout,
            self.session.clone(),
        );
        let serving = runtime::spawn(serving);
        serving.detach();
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
