//! The figures as OpenMetrics.

use std::fmt;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::view::View;

/// Writes all figures as they are now.
pub(super) fn encode(view: &View) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(view.clone()));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for View {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut figures = Figures(encoder);
        let state = self.state();
        let build = [("version", state.version), ("policy", state.policy)];
        let info = Info::new(build);
        let name = "build";
        info.encode(figures.describe(name, "The program.", None, MetricType::Info)?)?;
        let since = self.started_at().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default().as_secs_f64();
        let help = "When the server started, in seconds of Unix time.";
        let seconds = Some(&Unit::Seconds);
        ConstGauge::new(since).encode(figures.describe(
            "start_time",
            help,
            seconds,
            MetricType::Gauge,
        )?)?;

        let bytes = Some(&Unit::Bytes);
        let gauges = [
            ("clients", CLIENTS, None, state.clients as u64),
            ("laggards", LAGGARDS, None, state.laggards as u64),
            ("stalled_clients", STALLED, None, state.stalled as u64),
            ("slowest_client_lag", LAG_MAX, bytes, state.lag_max),
            ("log", LOG, bytes, state.log_bytes),
            (
                "waiting_publishers",
                WAITING,
                None,
                state.waiting_publishers as u64,
            ),
        ];
        for (name, help, unit, value) in gauges {
            figures.gauge(name, help, unit, value)?;
        }
        let counters = [
            ("accepted", ACCEPTED, None, state.accepted),
            ("received_messages", RECEIVED, None, state.published),
            ("received", RECEIVED_BYTES, bytes, state.published_bytes),
            ("delivered_messages", DELIVERED, None, state.delivered),
            ("delivered", DELIVERED_BYTES, bytes, state.delivered_bytes),
        ];
        for (name, help, unit, value) in counters {
            figures.counter(name, help, unit, value)?;
        }
        let wait = ConstCounter::new(state.publisher_wait_s);
        let kind = MetricType::Counter;
        wait.encode(figures.describe("publisher_wait", WAIT, seconds, kind)?)?;
        let dropped = [(state.policy, state.dropped)];
        figures.counters("dropped_messages", DROPPED, "policy", dropped)?;
        figures.counters("refused", REFUSED, "reason", state.refused)?;
        figures.counters("tls_refused", TLS_REFUSED, "reason", state.tls_refused)?;
        figures.counters("sessions_ended", ENDED, "reason", state.ended)?;
        figures.lags(&state.lags)?;
        match state.cluster {
            Some(cluster) => cluster.encode(&mut figures),
            None => Ok(()),
        }
    }
}

/// Where figures are written to.
pub(super) struct Figures<'a>(DescriptorEncoder<'a>);

impl Figures<'_> {
    pub(super) fn describe<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: u64,
    ) -> fmt::Result {
        let encoder = self.describe(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: u64,
    ) -> fmt::Result {
        let encoder = self.describe(name, help, unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    /// Writes one counter for each value of a label.
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.describe(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            one_of(&mut encoder, &[(label, value)], &ConstCounter::new(count))?;
        }
        Ok(())
    }

    /// Writes how many values are within each bound and not within the one before, and their sum. The last
    /// bound is infinite.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        sum: f64,
        counts: &[(f64, u64)],
    ) -> fmt::Result {
        let mut encoder = self.describe(name, help, unit, MetricType::Histogram)?;
        let count = counts.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, counts, None)
    }

    /// Writes how many clients have at most so much to read.
    ///
    /// It is a histogram of the clients that are here, so its counts go down, too. The library has no
    /// type for that, so these are gauges with the label that histograms have.
    fn lags(&mut self, lags: &[u64]) -> fmt::Result {
        let mut encoder = self.describe("clients_within_lag", LAGS, None, MetricType::Gauge)?;
        for bound in LAG_BOUNDS {
            let count = lags.iter().filter(|&&lag| lag <= bound).count() as u64;
            let le = format!("{bound}.0");
            one_of(
                &mut encoder,
                &[("le", le.as_str())],
                &ConstGauge::new(count),
            )?;
        }
        let all = ConstGauge::new(lags.len() as u64);
        one_of(&mut encoder, &[("le", "+Inf")], &all)
    }
}

fn one_of(
    encoder: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_family(labels)?)
}

/// What the names of all figures begin with.
const PREFIX: &str = "chat_server";

/// The bounds of the lags, in bytes: from a short message to more than the default log has.
const LAG_BOUNDS: [u64; 8] = [
    0,
    1 << 10,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
];

const CLIENTS: &str = "Clients that are connected.";
const LAGGARDS: &str = "Clients that do not keep up, for which senders do not wait.";
const STALLED: &str = "Clients whose sockets took nothing when they were last tried.";
const LAG_MAX: &str = "What the slowest client has to read, or would if the log still had it.";
const LOG: &str = "What the log keeps for clients that are behind.";
const WAITING: &str = "Clients whose messages wait until others have read more.";
const WAIT: &str =
    "How long clients' messages have waited until others had read more, all of them together.";
const ACCEPTED: &str = "Clients that were let in.";
const RECEIVED: &str = "Messages from clients.";
const RECEIVED_BYTES: &str = "Bytes of messages from clients.";
const DELIVERED: &str = "Messages to clients, each counted once for each client.";
const DELIVERED_BYTES: &str = "Bytes of messages to clients.";
const DROPPED: &str = "Messages that clients lost because they did not keep up.";
const REFUSED: &str = "Clients that were not let in.";
const TLS_REFUSED: &str = "Clients whose handshake failed, or that spoke TLS on the plain address.";
const ENDED: &str = "Sessions that ended.";
const LAGS: &str = "Clients that have at most so many bytes to read.";
