//! What can be seen of the server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_std::future::timeout;
use async_std::task;
use chat_hub::Hub;
use futures::executor::block_on;
use serde::Serialize;
use tracing::info;

use crate::admission::{Admission, Refusal};
use crate::client::{Client, End};
use crate::clients::Clients;
use crate::cluster::Cluster;
use crate::inside::ClusterState;
use crate::logging::STATE;
use crate::peer::Peer;
use crate::runtime;
use crate::tls;

/// The server as those see it who look inside. It is shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct View {
    hub: Hub,
    admission: Admission,
    policy: &'static str,
    cluster: Option<Cluster>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    started_at: SystemTime,
    is_ending: AtomicBool,
    /// The most messages that were ever told to be dropped: the count never goes back.
    dropped: AtomicU64,
}

/// The figures of the server at a moment.
#[derive(Debug, Serialize)]
pub(crate) struct State {
    pub(crate) version: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) uptime_s: f64,
    pub(crate) is_ending: bool,
    pub(crate) clients: usize,
    pub(crate) laggards: usize,
    pub(crate) stalled: usize,
    pub(crate) accepted: u64,
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) tls_refused: BTreeMap<&'static str, u64>,
    pub(crate) published: u64,
    pub(crate) published_bytes: u64,
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    /// Those that clients lost and have yet to find out about included.
    pub(crate) dropped: u64,
    pub(crate) waiting_publishers: usize,
    pub(crate) publisher_wait_s: f64,
    pub(crate) log_bytes: u64,
    pub(crate) lag_max: u64,
    pub(crate) ended: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<ClusterState>,
    /// The lag of each client, in bytes.
    #[serde(skip)]
    pub(crate) lags: Vec<u64>,
}

/// The figures of a client at a moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClientState {
    pub(crate) id: u64,
    pub(crate) address: Peer,
    pub(crate) connected_s: f64,
    /// In bytes.
    pub(crate) lag: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) is_laggard: bool,
    pub(crate) is_stalled: bool,
}

impl View {
    pub(crate) fn new(
        hub: Hub,
        admission: Admission,
        policy: &'static str,
        cluster: Option<Cluster>,
    ) -> Self {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            started_at: SystemTime::now(),
            is_ending: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        });
        Self {
            hub,
            admission,
            policy,
            cluster,
            shared,
        }
    }

    /// Returns the clients that are connected.
    pub(crate) fn clients(&self) -> &Clients {
        self.admission.clients()
    }

    /// Returns when the server started.
    pub(crate) fn started_at(&self) -> SystemTime {
        self.shared.started_at
    }

    /// Notes that the server ends: it is not ready for clients any more.
    pub(crate) fn begin_to_end(&self) {
        self.shared.is_ending.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.shared.is_ending.load(Ordering::SeqCst)
    }

    /// Returns why clients had better go to another server of the cluster, if they had.
    pub(crate) fn cluster_trouble(&self) -> Option<String> {
        self.cluster.as_ref().and_then(Cluster::trouble)
    }

    /// Tells whether the threads that serve clients come to a new task in time, and that to a timer
    /// and to the hub.
    pub(crate) fn is_alive(&self) -> bool {
        let hub = self.hub.clone();
        let taking_a_turn = async move {
            task::sleep(Duration::from_millis(1)).await;
            hub.stats();
        };
        block_on(timeout(TURN_TIMEOUT, runtime::spawn(taking_a_turn))).is_ok()
    }

    /// Returns how many clients are connected, and how many of them do not keep up.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.clients().count(), self.hub.stats().laggard_count)
    }

    /// Looks at each client. Takes a short lock for each.
    pub(crate) fn look_at_clients(&self) -> Vec<ClientState> {
        let clients = self.clients().all();
        let states = clients.iter().filter_map(|client| look_at(client));
        states.collect()
    }

    /// Looks at everything.
    pub(crate) fn state(&self) -> State {
        // In this order no loss is counted twice.
        let stats = self.hub.stats();
        let all = self.clients().all();
        let seen: Vec<_> = all.iter().filter_map(|client| client.stats()).collect();
        let pending: u64 = seen.iter().map(|seen| seen.lost - seen.dropped).sum();
        let dropped = stats.dropped + pending;
        let before = self.shared.dropped.fetch_max(dropped, Ordering::SeqCst);
        let lags: Vec<_> = seen.iter().map(|seen| seen.lag).collect();
        State {
            version: env!("CARGO_PKG_VERSION"),
            policy: self.policy,
            uptime_s: self.shared.started.elapsed().as_secs_f64(),
            is_ending: self.is_ending(),
            clients: self.clients().count(),
            laggards: stats.laggard_count,
            stalled: seen.iter().filter(|seen| seen.is_stalled).count(),
            accepted: self.clients().added_count(),
            refused: Refusal::ALL
                .map(|refusal| (refusal.name(), self.admission.refused(refusal)))
                .into(),
            tls_refused: tls::refused(),
            published: stats.published,
            published_bytes: stats.published_bytes,
            delivered: stats.delivered,
            delivered_bytes: stats.delivered_bytes,
            dropped: dropped.max(before),
            waiting_publishers: stats.waiting_publisher_count,
            publisher_wait_s: stats.publisher_wait.as_secs_f64(),
            log_bytes: stats.retained_bytes,
            lag_max: lags.iter().copied().max().unwrap_or_default(),
            ended: End::ALL
                .map(|end| (end.name(), self.clients().ended_count(end)))
                .into(),
            cluster: self.cluster.as_ref().map(Cluster::state),
            lags,
        }
    }

    /// Logs how the server is because a signal asked for it, whatever else is logged.
    pub(crate) fn log_asked(&self) {
        self.log("somebody asked for the state");
    }

    /// Logs how the server is.
    pub(crate) fn log(&self, why: &str) {
        let state = self.state();
        let ended = |end: End| state.ended[end.name()];
        info!(
            target: STATE,
            clients = state.clients,
            laggards = state.laggards,
            stalled = state.stalled,
            accepted = state.accepted,
            published = state.published,
            published_bytes = state.published_bytes,
            delivered = state.delivered,
            delivered_bytes = state.delivered_bytes,
            dropped = state.dropped,
            disconnected = ended(End::Lagged) + self.clients().stalled_count(),
            waiting_publishers = state.waiting_publishers,
            publisher_wait_s = state.publisher_wait_s,
            log_bytes = state.log_bytes,
            lag_max = state.lag_max,
            refused = state.refused.values().sum::<u64>(),
            refused_for = %Reasons(&state.refused),
            tls_refused = state.tls_refused.values().sum::<u64>(),
            tls_refused_for = %Reasons(&state.tls_refused),
            "{why}"
        );
    }
}

/// Writes the reasons that there were, with their counts. The log has no fields for names that it does
/// not know when it is built.
struct Reasons<'a>(&'a BTreeMap<&'static str, u64>);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, count) in self.0.iter().filter(|&(_, &count)| count > 0) {
            write!(f, "{separator}{name}:{count}")?;
            separator = ",";
        }
        Ok(())
    }
}

fn look_at(client: &Client) -> Option<ClientState> {
    let stats = client.stats()?;
    Some(ClientState {
        id: client.id(),
        address: client.address(),
        connected_s: client.age().as_secs_f64(),
        lag: stats.lag,
        published: client.published(),
        delivered: stats.delivered,
        dropped: stats.lost,
        is_laggard: stats.is_laggard,
        is_stalled: stats.is_stalled,
    })
}

/// How long a task may wait for its turn in a server that is alive. A judgement: under the heaviest
/// load it is a hundredth of that.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
