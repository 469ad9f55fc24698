//! One repetition: what it does, what it needs, how it ended.

use std::io;
use std::time::{Duration, Instant};

use chat_results::{Count, Load, Tick};
use chat_tls::Tls;
use chat_trace::{Nanos, Trace};

use crate::addrs::Addrs;
use crate::conduct::Conduct;
use crate::connection::SCRATCH_LEN;
use crate::engine::play;
use crate::latency::Latencies;
use crate::poller::Poller;
use crate::protocol::{Chat, Protocol};
use crate::stop::Stop;

/// What a repetition needs and leaves to the next one.
#[derive(Debug)]
pub struct Bench<P = Chat> {
    /// Where the server is, or the servers.
    pub(crate) addrs: Addrs,
    /// How clients connect over TLS, if they do.
    pub(crate) tls: Option<Tls>,
    pub(crate) protocol: P,
    pub(crate) clock: Clock,
    /// What is sent and received.
    pub trace: Trace,
    /// How long things took.
    pub latencies: Latencies,
    /// Where connections read to.
    pub(crate) scratch: Box<[u8]>,
    /// What the server did when clients left, until now.
    pub conduct: Conduct,
    pub(crate) poller: Poller,
}

impl<P: Protocol + Copy> Bench<P> {
    /// Makes what repetitions on the server at `addrs` need, which speaks this protocol. Several servers
    /// are loaded as one: their clients are to see one order. What they send and receive goes through `trace`.
    ///
    /// # Errors
    ///
    /// When the system gives nothing to wait with.
    pub fn new(addrs: impl Into<Addrs>, protocol: P, trace: Trace) -> io::Result<Self> {
        Ok(Self {
            addrs: addrs.into(),
            tls: None,
            protocol,
            clock: Clock::start(),
            trace,
            latencies: Latencies::default(),
            scratch: vec![0; SCRATCH_LEN].into(),
            conduct: Conduct::default(),
            poller: Poller::new()?,
        })
    }

    /// Has all clients connect over TLS: before they say anything, they do their handshakes.
    #[must_use]
    pub fn over_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl<P> Bench<P> {
    /// Returns where the server is, or the servers.
    pub fn addrs(&self) -> &Addrs {
        &self.addrs
    }
}

/// How a repetition ended.
#[derive(Debug)]
pub struct Ended {
    /// What was counted until then.
    pub count: Count,
    /// Why it ended early, if it did.
    pub stop: Option<Stop>,
}

/// Runs one repetition. The trace has begun it, and holds all there is to judge when this returns.
/// `on_tick` is told some twenty times a second how far it is, and when each phase begins. It may
/// return why the repetition is to end early.
pub fn run<P: Protocol + Copy>(
    load: &Load,
    bench: &mut Bench<P>,
    on_tick: &mut OnTick<'_>,
) -> Ended {
    let (count, stop) = play(load, bench, on_tick);
    if stop.is_none() {
        bench.trace.complete();
    }
    Ended { count, stop }
}

/// What is told how far a repetition is, and may end it.
pub type OnTick<'a> = dyn FnMut(Tick) -> Result<(), Stop> + 'a;

/// Tells the time of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// Makes a clock that begins now.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Returns how long ago it was started.
    pub(crate) fn now(self) -> Nanos {
        nanos(self.origin.elapsed())
    }
}

/// Returns a duration in nanoseconds; one that does not fit lasts 584 years.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
