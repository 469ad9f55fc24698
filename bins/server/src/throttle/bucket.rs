//! Tokens that come at a rate.

use std::time::{Duration, Instant};

use chat_proto::MESSAGE_LEN_MAX;

/// Tokens that come at a rate, and are kept up to a burst.
#[derive(Debug)]
pub(super) struct Bucket {
    /// How many tokens come in a second.
    rate: f64,
    /// How many there may be at most.
    burst: f64,
    /// How many there were at `filled_at`; below zero when more were spent than there were.
    pub(super) tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// Makes a full one.
    fn new(rate: u64, now: Instant) -> Self {
        let burst = rate as f64 * BURST.as_secs_f64();
        Self {
            rate: rate as f64,
            burst,
            tokens: burst,
            filled_at: now,
        }
    }

    /// Has it fill at another rate, from what there is now.
    fn change(&mut self, rate: u64, now: Instant) {
        self.fill(now);
        let tokens = self.tokens;
        *self = Self::new(rate, now);
        self.tokens = tokens.min(self.burst);
    }

    /// Returns how many tokens there must be before it is worthwhile to read. Without that, a client
    /// that floods would be read byte by byte.
    pub(super) fn quantum(&self) -> f64 {
        (self.burst * QUANTUM).clamp(1.0, QUANTUM_MAX)
    }

    pub(super) fn spend(&mut self, count: usize, now: Instant) {
        self.fill(now);
        self.tokens -= count as f64;
    }

    /// Returns how long it takes until there are so many tokens, if it takes any time.
    pub(super) fn time_until(&mut self, tokens: f64, now: Instant) -> Option<Duration> {
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

/// Has a bucket fill at a rate; there is none for a rate of 0.
pub(super) fn change(bucket: &mut Option<Bucket>, rate: u64, now: Instant) {
    match bucket {
        _ if rate == 0 => *bucket = None,
        Some(bucket) => bucket.change(rate, now),
        None => *bucket = Some(Bucket::new(rate, now)),
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
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(1);
