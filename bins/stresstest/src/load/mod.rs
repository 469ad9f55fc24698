//! One repetition: everybody joins, the load, the closing round, everybody leaves.
//!
//! One thread serves all connections: `repetition` has its turns; in them, `joining` and `leaving`
//! let clients come and go, `publishing` sends, `intake` takes what is delivered, `guests` makes it
//! harder, `patience` gives up. When a publisher may send is the business of `pace` and `progress`.

pub(crate) mod client;
mod guests;
mod intake;
mod joining;
pub(crate) mod latency;
pub(crate) mod leaving;
pub(crate) mod pace;
mod patience;
mod progress;
mod publishing;
mod repetition;
pub(crate) mod stop;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chat_results::{Count, Tick};
use chat_trace::{Nanos, Proof, Roles};

use crate::load::client::SCRATCH_LEN;
use crate::load::latency::Latencies;
use crate::load::leaving::LeftOpen;
use crate::load::pace::Pacing;
use crate::load::repetition::Repetition;
use crate::load::stop::Stop;
use crate::poller::Poller;

/// What a repetition does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Who takes part.
    pub(crate) roles: Roles,
    pub(crate) pacing: Pacing,
    /// How many messages each publisher sends at most.
    pub(crate) messages: Option<u32>,
    /// For how long publishers send at most.
    pub(crate) duration: Option<Duration>,
    /// For how long they send before anything is measured.
    pub(crate) warmup: Duration,
    /// Clients that never read.
    pub(crate) stalled: u32,
    /// How many bytes a second each slow client reads.
    pub(crate) slow_rate: u32,
    /// How many visitors come a second.
    pub(crate) churn: f64,
    /// How many clients connect a second, if that is limited.
    pub(crate) connect_rate: Option<f64>,
    /// How long nothing may go on before the repetition is given up.
    pub(crate) patience: Duration,
}

impl Load {
    /// Tells whether there is a schedule by which messages are to be sent.
    pub(crate) fn has_schedule(&self) -> bool {
        matches!(self.pacing, Pacing::Rate(_))
    }

    /// Tells whether there are clients that are there to make it harder.
    pub(crate) fn has_guests(&self) -> bool {
        self.roles.slow > 0 || self.stalled > 0 || self.churn > 0.0
    }

    /// Returns the same load without the clients that are there to make it harder.
    pub(crate) fn without_guests(self) -> Self {
        Self {
            roles: Roles {
                slow: 0,
                ..self.roles
            },
            stalled: 0,
            churn: 0.0,
            ..self
        }
    }

    /// Returns how many connections there are at a time, at most.
    pub(crate) fn connection_count(&self) -> u64 {
        self.roles.resident_count() as u64 + u64::from(self.stalled) + self.visitor_count_max()
    }

    /// Returns how many visitors there are at a time, at most: they stay for a second, and some
    /// time goes by before they have joined.
    pub(crate) fn visitor_count_max(&self) -> u64 {
        (2.0 * self.churn).ceil() as u64
    }

    /// Tells what each publisher sends.
    pub(crate) fn sends(&self) -> String {
        match (self.messages, self.duration) {
            (Some(messages), _) => format!("{messages} messages"),
            (None, duration) => format!(
                "messages for {} seconds",
                duration.unwrap_or_default().as_secs_f64()
            ),
        }
    }
}

/// What a repetition needs and leaves to the next one.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The address of the server.
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) proof: Proof,
    pub(crate) latencies: Latencies,
    /// Where connections read to.
    pub(crate) scratch: Box<[u8]>,
    /// What the server left open until now.
    pub(crate) left_open: LeftOpen,
    pub(crate) poller: Poller,
}

/// How a repetition ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What was counted until then.
    pub(crate) count: Count,
    /// Why it ended early, if it did.
    pub(crate) stop: Option<Stop>,
}

/// Runs one repetition. The proof has begun it, and holds all there is to judge when this returns.
/// `on_tick` is told some twenty times a second how far it is, and when each phase begins. It may
/// return why the repetition is to end early.
pub(crate) fn run(load: &Load, bench: &mut Bench, on_tick: &mut OnTick<'_>) -> Ended {
    debug_assert_eq!(bench.scratch.len(), SCRATCH_LEN);
    let (mut repetition, poller) = Repetition::new(load, bench, on_tick);
    let stop = repetition.run(poller).err();
    let count = repetition.count();
    if stop.is_none() {
        bench.proof.complete();
    }
    Ended { count, stop }
}

/// What is told how far a repetition is, and may end it.
pub(crate) type OnTick<'a> = dyn FnMut(Tick) -> Result<(), Stop> + 'a;

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
