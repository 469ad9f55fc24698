//! The beginning of the server, and its orderly end.

use std::convert::Infallible;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_executor::Task;
use async_std::future::timeout;
use async_std::task;
use chat_hub::Hub;
use futures::executor::block_on;
use tracing::info;

use crate::acceptor::Acceptor;
use crate::activation::{HandOverError, HandedOver};
use crate::address::{Address, AddressTwice};
use crate::admission::Admission;
use crate::args::Args;
use crate::client::End;
use crate::cluster::{Appending, Cluster, ClusterError};
use crate::entrance::{Entrance, Kind};
use crate::inside::{Inside, InsideError, TopError, View};
use crate::limits::{ClientsError, ThreadsError};
use crate::listener::Listener;
use crate::memory::MemoryError;
use crate::runtime;
use crate::settings::{Live, Settings};
use crate::throttle::Ingress;
use crate::tls::{Ending, Tls, TlsError};

/// A server that accepts clients and serves them.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<Address>,
    hub: Hub,
    admission: Admission,
    settings: Live,
    ingress: Ingress,
    /// Those that nobody is accepted at yet.
    entrances: Vec<(Listener, Entrance)>,
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
    addresses: Vec<Address>,
    ending: Ending,
}

/// Why the server could not begin to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot listen on {address}: {source}{}", hint(address, source))]
    Listen { address: Address, source: io::Error },
    #[error(transparent)]
    AddressTwice(#[from] AddressTwice),
    #[error(transparent)]
    HandedOver(#[from] HandOverError),
    #[error("cannot tell where the server listens: {0}")]
    Address(io::Error),
    #[error("cannot print what was asked for: {0}")]
    Print(io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("cannot start the thread that writes the log: {0}")]
    Log(io::Error),
    #[error("cannot start the thread that tells the service manager how the server is: {0}")]
    Notify(io::Error),
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
            // Starting again would not help.
            Self::Tls(error) if error.is_usage() => ExitCode::from(2),
            Self::Cluster(error) if error.is_usage() => ExitCode::from(2),
            Self::AddressTwice(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Says what to do about an address that cannot be listened on.
fn hint(address: &Address, error: &io::Error) -> &'static str {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, AlreadyExists, NotFound, PermissionDenied};
    match (address, error.kind()) {
        (Address::Ip(_), AddrInUse) => {
            "; another program listens there, so choose another port, or 0 for any that is free"
        }
        (Address::Ip(_), AddrNotAvailable) => "; this machine has no such address",
        (Address::Ip(_), PermissionDenied) => "; ports below 1024 are for privileged programs",
        (Address::Unix(_), AddrInUse) => "; end it, or choose another path",
        (Address::Unix(_), AlreadyExists) => "; remove it, or choose another path",
        (Address::Unix(_), NotFound) => "; the directory has to be there already",
        (Address::Unix(_), PermissionDenied) => "; the directory has to be writable",
        _ => "",
    }
}

impl Server {
    /// Listens as the arguments say, and begins to join the cluster if there is to be one. Nobody is
    /// accepted yet.
    pub(crate) fn start(args: &Args, handed_over: HandedOver) -> Result<Self, StartError> {
        args.check_memory()?;
        let settings = Settings::of(args)?;
        let listeners = Listeners::open(args, handed_over, settings.draining.stall_timeout)?;
        let addresses = addresses(&listeners.plain)?;
        let tls = match args.tls.open(&listeners.tls)? {
            None => None,
            Some((tls, ending)) => Some(TlsSide {
                tls,
                addresses: self::addresses(&listeners.tls)?,
                ending,
            }),
        };
        let inside = Inside::open(&args.inside)?;
        runtime::start()?;
        let (hub, clock) = args.hub();
        runtime::spawn(clock.keep_time(task::sleep)).detach();
        let tls_addresses = tls.as_ref().map_or(&[][..], |side| &side.addresses);
        args.log_start(&addresses, tls_addresses, settings.limits.count_max);
        let admission = Admission::default();
        let ingress = Ingress::default();
        ingress.set_rates(settings.rates);
        let settings = Live::new(settings);
        let proxies = Arc::new(args.proxy.proxies());
        let cluster = Cluster::start(&args.cluster, &hub)?;
        let joining = cluster.as_ref().map(|(cluster, _)| cluster.clone());
        let entrance = |(listener, kind)| {
            let entrance = Entrance {
                hub: hub.clone(),
                admission: admission.clone(),
                settings: settings.clone(),
                ingress: ingress.clone(),
                proxies: Arc::clone(&proxies),
                cluster: joining.clone(),
                kind,
            };
            (listener, entrance)
        };
        let tls_kind = tls.as_ref().map(|side| Kind::Tls(side.tls.clone()));
        let entrances = listeners.with_kinds(tls_kind).map(entrance).collect();
        let view = View::new(hub.clone(), admission.clone(), args.policy_name(), joining);
        inside.serve(&view)?;
        Ok(Self {
            addresses,
            hub,
            admission,
            settings,
            ingress,
            entrances,
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
        if let Some((cluster, _)) = &self.cluster
            && !cluster.wait(is_to_end)?
        {
            return Ok(false);
        }
        let entrances = self.entrances.drain(..);
        let accept = |(listener, entrance)| runtime::spawn(Acceptor::new(entrance).run(listener));
        self.accepting = entrances.map(accept).collect();
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
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Returns the addresses that clients of TLS connect to.
    pub(crate) fn tls_addresses(&self) -> &[Address] {
        self.tls.as_ref().map_or(&[], |side| &side.addresses)
    }

    /// Reads the certificate and its key again, and whom they let in, for clients that connect from
    /// now on. Where they are no good, the server goes on with what it has.
    pub(crate) fn reload_tls(&self) -> Result<(), TlsError> {
        match &self.tls {
            Some(side) => side.tls.reload(),
            None => Ok(()),
        }
    }

    /// Has those of the arguments take effect that can: rates for all clients, other limits of a client
    /// for those that come from now on.
    pub(crate) fn change(&self, args: &Args) -> Result<(), ClientsError> {
        let settings = Settings::of(args)?;
        self.ingress.set_rates(settings.rates);
        self.settings.set(settings);
        Ok(())
    }

    /// Returns what can be seen of the server.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Returns how long clients may take at the end.
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.settings.get().drain_timeout
    }

    /// Stops accepting and reading, and gives the clients the time that is set to take what there is
    /// for them, as long as they take something.
    ///
    /// # Errors
    ///
    /// [`StartError::Cluster`] when it is not this server that ended its part in the cluster.
    pub(crate) fn end(mut self) -> Result<(), StartError> {
        let mut deadline = self.settings.get().drain_timeout;
        self.view.begin_to_end();
        let left = self.leave_cluster(&mut deadline);
        let clients = self.admission.clients();
        self.hub.close();
        let patience = deadline / PATIENCE_PART;
        clients.hurry(patience);
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
        let is_drained = block_on(timeout(deadline, drained)).is_ok();
        let given_up_count = clients.ended_count(End::Cut);
        if given_up_count > 0 {
            let clients = plural(given_up_count);
            info!("{clients} took nothing for {patience:?}, and nobody waits for them");
        }
        if !is_drained {
            let count = plural(clients.count() as u64);
            info!("{count} did not take everything, or did not close, in {deadline:?}");
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

    /// Has no more clients, and what was read of them go to the cluster and come back. Takes the time
    /// for that from the deadline, half of it at most.
    fn leave_cluster(&mut self, deadline: &mut Duration) -> Result<(), StartError> {
        let Some((cluster, appending)) = self.cluster.take() else {
            return Ok(());
        };
        for accepting in self.accepting.drain(..) {
            block_on(accepting.cancel());
        }
        let (began, ended) = (Instant::now(), cluster.check());
        cluster.leave(appending, *deadline / 2);
        *deadline = deadline.saturating_sub(began.elapsed());
        Ok(ended?)
    }
}

/// The sockets that clients connect to.
struct Listeners {
    plain: Vec<Listener>,
    tls: Vec<Listener>,
}

impl Listeners {
    /// Listens where the arguments say, unless sockets were handed over.
    fn open(
        args: &Args,
        handed_over: HandedOver,
        stall_timeout: Option<Duration>,
    ) -> Result<Self, StartError> {
        if !handed_over.is_empty() {
            let (plain, tls) = handed_over.listeners(stall_timeout)?;
            return Ok(Self { plain, tls });
        }
        args.check_addresses()?;
        let open = |address| {
            Listener::open(&address, stall_timeout)
                .map_err(|source| StartError::Listen { address, source })
        };
        let open_all = |addresses: Vec<_>| addresses.into_iter().map(open).collect();
        let plain: Result<_, _> = open_all(args.addresses());
        Ok(Self {
            plain: plain?,
            tls: open_all(args.tls.addresses())?,
        })
    }

    /// Returns each with what its clients speak.
    fn with_kinds(self, tls: Option<Kind>) -> impl Iterator<Item = (Listener, Kind)> {
        let plain = match tls {
            Some(_) => Kind::PlainBesideTls,
            None => Kind::Plain,
        };
        let plain = self
            .plain
            .into_iter()
            .map(move |listener| (listener, plain.clone()));
        let tls = self
            .tls
            .into_iter()
            .filter_map(move |listener| Some((listener, tls.clone()?)));
        plain.chain(tls)
    }
}

/// Returns where there is somebody listening, with the ports that the system chose.
fn addresses(listeners: &[Listener]) -> Result<Vec<Address>, StartError> {
    let addresses = listeners.iter().map(Listener::address);
    addresses
        .collect::<io::Result<_>>()
        .map_err(StartError::Address)
}

/// Names a number of clients.
fn plural(count: u64) -> String {
    let noun = if count == 1 { "client" } else { "clients" };
    format!("{count} {noun}")
}

/// Which part of the time for taking everything a client may take nothing. A judgement.
const PATIENCE_PART: u32 = 4;

/// How long the clients that are cut off may take to end: it only takes a turn of each.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
