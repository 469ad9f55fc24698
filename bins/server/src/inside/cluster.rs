//! The figures of a cluster.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::registry::Unit;
use serde::Serialize;

use super::metrics::Figures;

/// The figures of this server's part in a cluster, at a moment.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterState {
    pub(crate) node: String,
    pub(crate) state: &'static str,
    pub(crate) epoch: u64,
    pub(crate) outbox_bytes: u64,
    /// Those of this server that have come back.
    pub(crate) own_batches: u64,
    pub(crate) own_bytes: u64,
    /// How long they took together.
    pub(crate) round_trips_s: f64,
    /// How many took at most so many seconds, and more than the bound before.
    #[serde(skip)]
    pub(crate) round_trip_counts: Vec<(f64, u64)>,
    /// How many had at most so many bytes, and more than the bound before.
    #[serde(skip)]
    pub(crate) batch_len_counts: Vec<(f64, u64)>,
    /// In entries.
    pub(crate) lag: u64,
    /// Whether the stream has a setting by now that a server would refuse.
    pub(crate) is_refused: bool,
    /// Those of all servers.
    pub(crate) batches: u64,
    pub(crate) repeated: u64,
    pub(crate) skipped: BTreeMap<&'static str, u64>,
    pub(crate) reconnects: u64,
    pub(crate) restarts: u64,
}

impl ClusterState {
    pub(super) fn encode(self, figures: &mut Figures<'_>) -> fmt::Result {
        let bytes = Some(&Unit::Bytes);
        let is_serving = u64::from(self.state == "serving");
        figures.gauge("cluster_serving", SERVING, None, is_serving)?;
        figures.gauge("cluster_epoch", EPOCH, None, self.epoch)?;
        figures.gauge("cluster_outbox", OUTBOX, bytes, self.outbox_bytes)?;
        figures.gauge("cluster_lag_entries", LAG, None, self.lag)?;
        let is_refused = u64::from(self.is_refused);
        figures.gauge("cluster_stream_refused", REFUSED, None, is_refused)?;
        let counters = [
            ("cluster_batches", BATCHES, None, self.batches),
            ("cluster_own_batches", OWN, None, self.own_batches),
            ("cluster_own", OWN_BYTES, bytes, self.own_bytes),
            ("cluster_repeated_publishes", REPEATED, None, self.repeated),
            ("cluster_reconnects", RECONNECTS, None, self.reconnects),
            ("cluster_restarts", RESTARTS, None, self.restarts),
        ];
        for (name, help, unit, value) in counters {
            figures.counter(name, help, unit, value)?;
        }
        let seconds = Some(&Unit::Seconds);
        let (name, sum) = ("cluster_round_trip", self.round_trips_s);
        figures.histogram(name, ROUND_TRIP, seconds, sum, &self.round_trip_counts)?;
        let (name, sum) = ("cluster_own_batch", self.own_bytes as f64);
        figures.histogram(name, OWN_BATCH, bytes, sum, &self.batch_len_counts)?;
        figures.counters("cluster_skipped_entries", SKIPPED, "reason", self.skipped)
    }
}

const SERVING: &str = "Whether this server is part of the cluster and the stream is there.";
const EPOCH: &str = "How often a server of this name has joined.";
const OUTBOX: &str = "What clients of this server sent and has not come back from the stream.";
const LAG: &str = "Entries of the stream that were not read, as far as is known.";
const REFUSED: &str = "Whether a server that joins now would refuse the stream for a setting.";
const BATCHES: &str = "Batches of messages of all servers.";
const OWN: &str = "Batches of messages of this server that have come back.";
const OWN_BYTES: &str = "Bytes of messages in these.";
const ROUND_TRIP: &str = "How long each of these took, from being published to coming back.";
const OWN_BATCH: &str = "How many bytes of messages each of these had.";
const REPEATED: &str = "Publishes that failed and were repeated.";
const RECONNECTS: &str = "New connections to NATS after the first.";
const RESTARTS: &str = "How often reading the stream began anew after the last entry.";
const SKIPPED: &str = "Entries that do not count, for any server.";
