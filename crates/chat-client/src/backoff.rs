//! How long to wait until the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The waiting times between tries to connect: each about twice the one before, up to a limit.
///
/// A random half of each is left out, so that the clients of a server that comes back do not all
/// try at the same instant ("equal jitter" in Marc Brooker, "Exponential Backoff And Jitter", AWS
/// Architecture Blog, 2015).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use chat_client::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
/// let first = backoff.next_wait();
/// assert!(first >= Duration::from_millis(100) && first <= Duration::from_millis(200));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with a time of at most `min`, and ends with times of at most `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            next: min,
        }
    }

    /// Returns how long to wait now.
    pub fn next_wait(&mut self) -> Duration {
        let whole = self.next.min(self.max);
        self.next = (whole * 2).min(self.max);
        // A new hasher has random keys.
        let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
        whole / 2 + (whole / 2).mul_f64(random)
    }

    /// Begins anew, when a try succeeded.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_limit_and_are_spread() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(2));
        let waits: Vec<Vec<Duration>> = (0..50)
            .map(|_| {
                let mut backoff = Backoff::new(min, max);
                (0..8).map(|_| backoff.next_wait()).collect()
            })
            .collect();
        let whole = [100, 200, 400, 800, 1600, 2000, 2000, 2000].map(Duration::from_millis);
        for (index, whole) in whole.into_iter().enumerate() {
            let mut tries: Vec<_> = waits.iter().map(|waits| waits[index]).collect();
            tries.sort();
            assert!(tries[0] >= whole / 2 && tries[49] <= whole, "{tries:?}");
            assert!(tries[0] < tries[49], "{tries:?}");
        }
    }

    #[test]
    fn a_success_begins_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for _ in 0..10 {
            backoff.next_wait();
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
