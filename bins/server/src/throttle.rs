//! Rates of what clients send: those who send more are read later.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_io::Timer;
use chat_hub::{Closed, Position, Publisher};
use chat_proto::{MESSAGE_LEN_MAX, Messages};
use chat_session::Publish;
use futures::FutureExt;

use crate::cluster;

/// What clients may send in a second. A rate of 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// How many messages of one client.
    pub(crate) messages: u32,
    /// How many bytes of one client.
    pub(crate) bytes: u64,
    /// How many bytes of all clients together.
    pub(crate) ingress: u64,
}

/// The budget that all clients share. It is shared by its clones.
///
/// A client is read first and pays after: what was read of it is taken from the budget, and it is read
/// again when the budget is even. So each has its turn, and one that sends little never waits for
/// those that flood, but after its own messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ingress {
    bucket: Arc<Mutex<Option<Bucket>>>,
}

/// Where the messages of a client go.
#[derive(Debug)]
pub(crate) enum Target {
    Hub(Publisher),
    /// In a box: without a cluster, a client is not to be larger for it.
    Cluster(Box<cluster::Publisher>),
}

/// Publishes what a client sends, no faster than it may send.
///
/// One that has sent too much is not read for a while, so that its own system holds it back. Nothing
/// of it is dropped.
#[derive(Debug)]
pub(crate) struct Throttled {
    publisher: Target,
    /// Most clients have no limit.
    throttle: Option<Box<Throttle>>,
}

#[derive(Debug)]
struct Throttle {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    ingress: Option<Ingress>,
    /// Runs while the client is not read.
    pause: Option<Timer>,
}

/// Tokens that come at a rate, and are kept up to a burst.
#[derive(Debug)]
struct Bucket {
    /// How many tokens come in a second.
    rate: f64,
    /// How many there may be at most.
    burst: f64,
    /// How many there were at `filled_at`; below zero when more were spent than there were.
    tokens: f64,
    filled_at: Instant,
}

impl Ingress {
    /// Has the budget be so many bytes per second from now on; 0 is any number.
    pub(crate) fn set_rate(&self, rate: u64) {
        self.with(|bucket| *bucket = Bucket::new(rate, Instant::now()));
    }

    /// Takes bytes from the budget, and returns the time until it is even.
    fn spend(&self, len: usize, now: Instant) -> Option<Duration> {
        self.with(|bucket| {
            let bucket = bucket.as_mut()?;
            bucket.spend(len, now);
            bucket.time_until(0.0, now)
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Option<Bucket>) -> R) -> R {
        act(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Throttled {
    pub(crate) fn new(publisher: Target, rates: Rates, ingress: &Ingress) -> Self {
        let is_limited = rates != Rates::default();
        Self {
            publisher,
            throttle: is_limited.then(|| Box::new(Throttle::new(rates, ingress))),
        }
    }
}

impl Throttle {
    fn new(rates: Rates, ingress: &Ingress) -> Self {
        let now = Instant::now();
        Self {
            messages: Bucket::new(rates.messages.into(), now),
            bytes: Bucket::new(rates.bytes, now),
            ingress: (rates.ingress > 0).then(|| ingress.clone()),
            pause: None,
        }
    }

    /// Waits until the client may send; is ready with how many bytes may be read.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.poll_unpin(cx));
                self.pause = None;
            }
            match self.len_max(Instant::now()) {
                Ok(len) => return Poll::Ready(len),
                Err(pause) => self.pause = Some(Timer::after(pause)),
            }
        }
    }

    /// Returns how many bytes may be read, or how long to wait before it is worthwhile.
    fn len_max(&mut self, now: Instant) -> Result<usize, Duration> {
        let mut len_max = match self.ingress {
            Some(_) => INGRESS_READ_MAX,
            None => usize::MAX,
        };
        // A message has a byte at least.
        for bucket in [&mut self.messages, &mut self.bytes].into_iter().flatten() {
            let quantum = bucket.quantum();
            if let Some(pause) = bucket.time_until(quantum, now) {
                return Err(pause);
            }
            len_max = len_max.min(bucket.tokens as usize).max(1);
        }
        Ok(len_max)
    }

    /// Takes what was read of the client from what it may send.
    fn spend(&mut self, message_count: usize, len: usize, now: Instant) {
        if let Some(messages) = &mut self.messages {
            messages.spend(message_count, now);
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.spend(len, now);
        }
        if let Some(ingress) = &self.ingress
            && let Some(pause) = ingress.spend(len, now)
        {
            self.pause = Some(Timer::after(pause));
        }
    }
}

impl Bucket {
    /// Makes a full one; there is none for a rate of 0.
    fn new(rate: u64, now: Instant) -> Option<Self> {
        let burst = rate as f64 * BURST.as_secs_f64();
        (rate > 0).then_some(Self {
            rate: rate as f64,
            burst,
            tokens: burst,
            filled_at: now,
        })
    }

    /// Returns how many tokens there must be before it is worthwhile to read. Without that, a client
    /// that floods would be read byte by byte.
    fn quantum(&self) -> f64 {
        (self.burst * QUANTUM).clamp(1.0, QUANTUM_MAX)
    }

    fn spend(&mut self, count: usize, now: Instant) {
        self.fill(now);
        self.tokens -= count as f64;
    }

    /// Returns how long it takes until there are so many tokens, if it takes any time.
    fn time_until(&mut self, tokens: f64, now: Instant) -> Option<Duration> {
        self.fill(now);
        let missing = tokens.min(self.burst) - self.tokens;
        let time = Duration::try_from_secs_f64(missing / self.rate).ok()?;
        // A time that is rounded down to nothing would be waited for again and again.
        (missing > 0.0).then_some(time.max(PAUSE_MIN))
    }

    fn fill(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.filled_at);
        self.tokens = (self.tokens + time.as_secs_f64() * self.rate).min(self.burst);
        self.filled_at = self.filled_at.max(now);
    }
}

impl Publish for Target {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        match self {
            Self::Hub(publisher) => Publish::poll_ready(publisher, cx),
            Self::Cluster(publisher) => publisher.poll_ready(cx),
        }
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        match self {
            Self::Hub(publisher) => publisher.poll_accept(cx, messages),
            Self::Cluster(publisher) => publisher.poll_accept(cx, messages),
        }
    }

    fn pass(&mut self) {
        match self {
            Self::Hub(publisher) => publisher.pass(),
            Self::Cluster(publisher) => publisher.pass(),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        match self {
            Self::Hub(publisher) => publisher.poll_end(cx),
            Self::Cluster(publisher) => publisher.poll_end(cx),
        }
    }
}

impl Publish for Throttled {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        let Some(throttle) = &mut self.throttle else {
            return self.publisher.poll_ready(cx);
        };
        let Poll::Ready(len_max) = throttle.poll_ready(cx) else {
            // Others are not to wait for the room that this client cannot use yet.
            self.publisher.pass();
            return Poll::Pending;
        };
        self.publisher.poll_ready(cx).map_ok(|len| len.min(len_max))
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        let (count, len) = (messages.count(), messages.as_bytes().len());
        let accepted = self.publisher.poll_accept(cx, messages);
        if let Some(throttle) = &mut self.throttle {
            let (count, len) = (count - messages.count(), len - messages.as_bytes().len());
            throttle.spend(count, len, Instant::now());
        }
        accepted
    }

    fn pass(&mut self) {
        self.publisher.pass();
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        self.publisher.poll_end(cx)
    }
}

/// How much may be sent at once by a client that has sent nothing for as long. A judgement: a person
/// who pastes some lines is not to wait.
const BURST: Duration = Duration::from_secs(1);

/// Which part of a burst is worth reading. A judgement: a client that floods is read ten times a second.
const QUANTUM: f64 = 0.1;

/// How much is worth reading in any case.
const QUANTUM_MAX: f64 = (16 * MESSAGE_LEN_MAX) as f64;

/// How long a client is not read at least.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// How many bytes are read of a client before it pays for them. A judgement: all that connect at once
/// may send as much beyond the budget, and then wait as long as that takes.
const INGRESS_READ_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(rates: Rates, ingress: &Ingress) -> Throttle {
        Throttle::new(rates, ingress)
    }

    /// Has a client send messages of a length as fast as it may for so long; returns how many bytes
    /// and messages it sent.
    fn flood(throttle: &mut Throttle, message_len: usize, time: Duration) -> (usize, usize) {
        let (mut now, mut len, mut count) = (Instant::now(), 0, 0);
        let end = now + time;
        while now < end {
            match throttle.len_max(now) {
                Ok(len_max) => {
                    let read_count = (len_max.min(1 << 16)).div_ceil(message_len);
                    throttle.spend(read_count, read_count * message_len, now);
                    len += read_count * message_len;
                    count += read_count;
                }
                Err(pause) => now += pause,
            }
        }
        (len, count)
    }

    #[test]
    fn a_flood_of_any_messages_comes_at_the_rate() {
        for message_len in [1, 2, 100, 256] {
            let rates = Rates {
                messages: 50,
                bytes: 4096,
                ingress: 0,
            };
            let mut throttle = throttle(rates, &Ingress::default());
            let (len, count) = flood(&mut throttle, message_len, Duration::from_secs(100));
            // The burst, the rate, and one message more than there was room for.
            assert!(count <= 50 * 101 + 1, "{count} of {message_len}");
            assert!(len <= 4096 * 101 + 256, "{len} of {message_len}");
            // And no slower than that, by whichever is reached first.
            assert!(count >= 50 * 99 || len >= 4096 * 99, "{count}, {len}");
        }
    }

    #[test]
    fn one_who_sends_less_than_the_rate_is_never_held_back() {
        let rates = Rates {
            messages: 10,
            bytes: 0,
            ingress: 0,
        };
        let mut throttle = throttle(rates, &Ingress::default());
        let begin = Instant::now();
        for number in 0..1000 {
            let now = begin + Duration::from_millis(125) * number;
            assert!(throttle.len_max(now).is_ok(), "message {number}");
            throttle.spend(1, 200, now);
        }
    }

    #[test]
    fn the_shared_budget_is_paid_for_in_turn() {
        let ingress = Ingress::default();
        ingress.set_rate(1000);
        let now = Instant::now();
        // The burst is there for everybody.
        assert_eq!(ingress.spend(1000, now), None);
        let pause = ingress.spend(500, now).unwrap();
        assert!(pause.abs_diff(Duration::from_millis(500)) < PAUSE_MIN);
        let pause = ingress.spend(500, now).unwrap();
        assert!(pause.abs_diff(Duration::from_secs(1)) < PAUSE_MIN);
        // A second later all is paid.
        assert_eq!(ingress.spend(1, now + Duration::from_secs(2)), None);
        // And the rate may change.
        ingress.set_rate(0);
        assert_eq!(ingress.spend(1 << 30, now), None);
    }

    #[test]
    fn a_client_is_no_larger_for_clusters() {
        assert_eq!(size_of::<Target>(), size_of::<Publisher>());
    }

    #[test]
    fn without_limits_there_is_no_throttle() {
        let publisher = chat_hub::Hub::default().publisher();
        let target = Target::Hub(publisher);
        let throttled = Throttled::new(target, Rates::default(), &Ingress::default());
        assert!(throttled.throttle.is_none());
    }
}
