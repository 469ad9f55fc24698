//! Accepting clients, and the orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_executor::Task;
use async_std::future::timeout;
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use chat_hub::Hub;
use futures::executor::block_on;
use tracing::{debug, info, warn};

use crate::admission::{Admission, ClientLimits};
use crate::args::{Args, Draining};
use crate::inside::{Inside, InsideError, TopError, View};
use crate::limits::{ClientsError, ThreadsError};
use crate::listener::listen;
use crate::memory::MemoryError;
use crate::runtime;
use crate::serving::{Admitted, Serving};
use crate::socket::Socket;
use crate::throttle::{Ingress, Rates, Throttled};
use crate::tls::{Ending, Tls, TlsError};

/// A server that accepts clients and serves them.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<SocketAddr>,
    hub: Hub,
    admission: Admission,
    settings: Arc<RwLock<Settings>>,
    ingress: Ingress,
    accepting: Vec<Task<Infallible>>,
    tls: Option<TlsSide>,
    view: View,
    _inside: Inside,
}

/// What is served over TLS beside what is plain.
#[derive(Debug)]
struct TlsSide {
    tls: Tls,
    address: SocketAddr,
    ending: Ending,
}

/// What may change while the server runs.
#[derive(Clone, Copy, Debug)]
struct Settings {
    limits: ClientLimits,
    draining: Draining,
    rates: Rates,
    message_timeout: Option<Duration>,
    drain_timeout: Duration,
}

impl Settings {
    fn of(args: &Args) -> Result<Self, ClientsError> {
        Ok(Self {
            limits: args.client_limits()?,
            draining: args.draining(),
            rates: args.rates(),
            message_timeout: args.message_timeout(),
            drain_timeout: args.drain_timeout,
        })
    }
}

/// Why the server could not begin to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot print the configuration: {0}")]
    Print(io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("cannot start the thread that writes the log: {0}")]
    Log(io::Error),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    #[error(transparent)]
    Clients(#[from] ClientsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Inside(#[from] InsideError),
    #[error(transparent)]
    Top(TopError),
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
        args.check_memory()?;
        let settings = Settings::of(args)?;
        let tls = args.tls.open()?;
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        let open = |address| open(address, settings.draining.stall_timeout);
        for address in args.addresses() {
            let (listener, address) = open(address)?;
            addresses.push(address);
            let kind = match tls {
                Some(_) => Kind::PlainBesideTls,
                None => Kind::Plain,
            };
            listeners.push((listener, kind));
        }
        let inside = Inside::open(&args.inside)?;
        let tls = match tls {
            None => None,
            Some((tls, ending, address)) => {
                let (listener, address) = open(address)?;
                listeners.push((listener, Kind::Tls(tls.clone())));
                Some(TlsSide {
                    tls,
                    address,
                    ending,
                })
            }
        };
        runtime::start()?;
        let (hub, clock) = args.hub();
        runtime::spawn(clock.keep_time(task::sleep)).detach();
        args.log_start(&addresses, settings.limits.count_max);
        let admission = Admission::default();
        let ingress = Ingress::default();
        ingress.set_rate(settings.rates.ingress);
        let settings = Arc::new(RwLock::new(settings));
        let accept = |(listener, kind): (std::net::TcpListener, Kind)| {
            let acceptor = Acceptor {
                hub: hub.clone(),
                admission: admission.clone(),
                settings: Arc::clone(&settings),
                ingress: ingress.clone(),
                kind,
                failed_at: None,
            };
            runtime::spawn(acceptor.run(listener.into()))
        };
        let accepting = listeners.into_iter().map(accept).collect();
        let view = View::new(hub.clone(), admission.clone(), args.policy_name());
        inside.serve(&view)?;
        Ok(Self {
            addresses,
            hub,
            admission,
            settings,
            ingress,
            accepting,
            tls,
            view,
            _inside: inside,
        })
    }

    /// Returns the addresses that clients connect to.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the address that clients of TLS connect to, if there is one.
    pub(crate) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|side| side.address)
    }

    /// Reads the certificate and its key again, and whom they let in, for clients that connect from
    /// now on. Where they are no good, the server goes on with what it has.
    pub(crate) fn reload_tls(&self) -> Result<(), TlsError> {
        match &self.tls {
            Some(side) => side.tls.reload(),
            None => Ok(()),
        }
    }

    /// Has those of the arguments take effect that can, for clients that come from now on.
    pub(crate) fn change(&self, args: &Args) -> Result<(), ClientsError> {
        let settings = Settings::of(args)?;
        self.ingress.set_rate(settings.rates.ingress);
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    /// Logs how the server is, whatever else is logged.
    pub(crate) fn log_state(&self) {
        self.view.log("somebody asked for the state");
    }

    /// Stops accepting and reading, and gives the clients the time that is set to take what there is
    /// for them.
    pub(crate) fn end(self) {
        let deadline = settings(&self.settings).drain_timeout;
        let clients = self.admission.clients();
        self.view.begin_to_end();
        self.hub.close();
        let drained = async {
            for accepting in self.accepting {
                accepting.cancel().await;
            }
            if let Some(side) = self.tls {
                // Handshakes that are under way end with this.
                let _ending = side.ending;
            }
            clients.gone().await;
        };
        if block_on(timeout(deadline, drained)).is_err() {
            let count = clients.count();
            let noun = if count == 1 { "client" } else { "clients" };
            info!("{count} {noun} did not take everything, or did not close, in {deadline:?}");
            clients.cut();
            let _ = block_on(timeout(CUT_TIMEOUT, clients.gone()));
        }
        let stats = self.hub.stats();
        let disconnected = stats.disconnected + clients.stalled_count();
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
fn open(
    address: SocketAddr,
    stall_timeout: Option<Duration>,
) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = listen(address, stall_timeout).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Accepts clients, for ever.
#[derive(Debug)]
struct Acceptor {
    hub: Hub,
    admission: Admission,
    settings: Arc<RwLock<Settings>>,
    ingress: Ingress,
    kind: Kind,
    /// When it was logged last that accepting fails.
    failed_at: Option<Instant>,
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
        BURST_LEN_MIN.max(self.admission.clients().count() / CLIENTS_PER_ACCEPT)
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
        let _ = timeout(ACCEPT_PAUSE, self.admission.clients().left()).await;
    }

    /// Begins to serve a client, unless it is refused: then its connection is closed at once.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let settings = settings(&self.settings);
        let entry = match self.admission.admit(peer.ip(), settings.limits) {
            Ok(entry) => entry,
            Err(refusal) => return debug!(%peer, "refused: {refusal}"),
        };
        // As it is written when the client leaves: without what only the system can make use of.
        let peer = SocketAddr::new(peer.ip(), peer.port());
        debug!(%peer, "connected");
        let admitted = Admitted {
            peer,
            hub: self.hub.clone(),
            publisher: Throttled::new(self.hub.publisher(), settings.rates, &self.ingress),
            message_timeout: settings.message_timeout,
            draining: settings.draining,
            entry,
        };
        let socket = match &self.kind {
            Kind::Plain => Socket::new(stream),
            Kind::PlainBesideTls => Socket::new(stream).refuse_tls(),
            Kind::Tls(tls) => return tls.admit(stream, admitted),
        };
        runtime::spawn(Serving::new(socket, admitted)).detach();
    }
}

fn settings(settings: &RwLock<Settings>) -> Settings {
    *settings.read().unwrap_or_else(PoisonError::into_inner)
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
    use std::net::{IpAddr, Ipv4Addr, TcpStream as StdTcpStream};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn acceptor() -> Acceptor {
        Acceptor {
            hub: Hub::default(),
            admission: Admission::default(),
            settings: Arc::new(RwLock::new(Settings {
                limits: ClientLimits {
                    count_max: usize::MAX,
                    per_network_max: 0,
                    rate_per_network_max: 0,
                },
                draining: Draining {
                    stall_timeout: None,
                    rate_min: 0,
                },
                rates: Rates::default(),
                message_timeout: None,
                drain_timeout: Duration::ZERO,
            })),
            ingress: Ingress::default(),
            kind: Kind::Plain,
            failed_at: None,
        }
    }

    #[test]
    fn clients_that_come_in_a_burst_leave_others_their_turn() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into(), None).unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = (0..3 * BURST_LEN_MIN).map(|_| StdTcpStream::connect(address).unwrap());
        let _clients: Vec<_> = connecting.collect();
        let acceptor = acceptor();
        let clients = acceptor.admission.clients().clone();
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
        let entries: Vec<_> = (0..1000)
            .map(|_| acceptor.admission.clients().add(LOCALHOST))
            .collect();
        assert_eq!(acceptor.burst_len(), 1000 / CLIENTS_PER_ACCEPT);
        drop(entries);
        assert_eq!(acceptor.burst_len(), BURST_LEN_MIN);
    }

    #[test]
    fn a_client_that_leaves_ends_the_pause() {
        let mut acceptor = acceptor();
        let clients = acceptor.admission.clients().clone();
        let entry = clients.add(LOCALHOST);
        let error = io::Error::from_raw_os_error(24);
        let mut pause = pin!(acceptor.pause(&error));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(pause.as_mut().poll(cx).is_pending());
        drop(entry);
        assert!(pause.as_mut().poll(cx).is_ready());
    }
}
