//! The beginning of the server, and its orderly end.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use async_executor::Task;
use async_std::future::timeout;
use async_std::task;
use chat_hub::Hub;
use futures::executor::block_on;
use tracing::info;

use crate::acceptor::{Acceptor, Kind};
use crate::admission::Admission;
use crate::args::Args;
use crate::cluster::{Appending, Cluster, ClusterError};
use crate::inside::{Inside, InsideError, TopError, View};
use crate::limits::{ClientsError, ThreadsError};
use crate::listener::listen;
use crate::memory::MemoryError;
use crate::runtime;
use crate::settings::{Live, Settings};
use crate::throttle::Ingress;
use crate::tls::{Ending, Tls, TlsError};

/// A server that accepts clients and serves them.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<SocketAddr>,
    hub: Hub,
    admission: Admission,
    settings: Live,
    ingress: Ingress,
    /// Those that nobody is accepted from yet.
    listeners: Vec<(TcpListener, Kind)>,
    accepting: Vec<Task<Infallible>>,
    cluster: Option<(Cluster, Appending)>,
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
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Top(TopError),
}

impl StartError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            // Whoever starts servers again is to know that this one would only take over in turn.
            Self::Cluster(error) if error.is_superseded() => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
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
    /// Listens as the arguments say, and begins to join the cluster if there is to be one. Nobody is
    /// accepted yet.
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
        let settings = Live::new(settings);
        let cluster = Cluster::start(&args.cluster, &hub)?;
        let joining = cluster.as_ref().map(|(cluster, _)| cluster.clone());
        let view = View::new(hub.clone(), admission.clone(), args.policy_name(), joining);
        inside.serve(&view)?;
        Ok(Self {
            addresses,
            hub,
            admission,
            settings,
            ingress,
            listeners,
            accepting: Vec::new(),
            cluster,
            tls,
            view,
            _inside: inside,
        })
    }

    /// Accepts clients, in a cluster when this server has joined it; returns whether it does, and did
    /// not have to end before.
    pub(crate) fn accept(
        &mut self,
        is_to_end: &mut dyn FnMut() -> bool,
    ) -> Result<bool, StartError> {
        let cluster = self.cluster.as_ref().map(|(cluster, _)| cluster.clone());
        if let Some(cluster) = &cluster
            && !cluster.wait(is_to_end)?
        {
            return Ok(false);
        }
        for (listener, kind) in self.listeners.drain(..) {
            let acceptor = Acceptor {
                hub: self.hub.clone(),
                admission: self.admission.clone(),
                settings: self.settings.clone(),
                ingress: self.ingress.clone(),
                cluster: cluster.clone(),
                kind,
                failed_at: None,
            };
            let accepting = runtime::spawn(acceptor.run(listener.into()));
            self.accepting.push(accepting);
        }
        Ok(true)
    }

    /// Calls `end` when this server's part in its cluster is over.
    pub(crate) fn watch(&self, end: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        match &self.cluster {
            Some((cluster, _)) => Ok(cluster.watch(end)?),
            None => Ok(()),
        }
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
        self.settings.set(settings);
        Ok(())
    }

    /// Logs how the server is, whatever else is logged.
    pub(crate) fn log_state(&self) {
        self.view.log("somebody asked for the state");
    }

    /// Stops accepting and reading, and gives the clients the time that is set to take what there is
    /// for them.
    ///
    /// # Errors
    ///
    /// [`StartError::Cluster`] when it is not this server that ended its part in the cluster.
    pub(crate) fn end(mut self) -> Result<(), StartError> {
        let (began, deadline) = (Instant::now(), self.settings.get().drain_timeout);
        self.view.begin_to_end();
        let left = self.leave_cluster(deadline / 2);
        let deadline = deadline.saturating_sub(began.elapsed());
        let clients = self.admission.clients();
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
        left
    }

    /// Has no more clients, and what was read of them go to the cluster and come back.
    fn leave_cluster(&mut self, time_max: Duration) -> Result<(), StartError> {
        let Some((cluster, appending)) = self.cluster.take() else {
            return Ok(());
        };
        for accepting in self.accepting.drain(..) {
            block_on(accepting.cancel());
        }
        let ended = cluster.check();
        cluster.leave(appending, time_max);
        Ok(ended?)
    }
}

/// Listens on an address; returns it as well, with the port that the system chose.
fn open(
    address: SocketAddr,
    stall_timeout: Option<Duration>,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = listen(address, stall_timeout).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// How long the clients that are cut off may take to end: it only takes a turn of each.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
