//! Rates of what clients send: those who send more are read later.

mod bucket;
mod target;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_io::Timer;
use chat_hub::{Closed, Position};
use chat_proto::Messages;
use chat_session::Publish;
use futures::FutureExt;

use self::bucket::{Bucket, change};
pub(crate) use self::target::Target;

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

/// How fast clients are read, and the budget that all of them share. It is shared by its clones.
///
/// A client is read first and pays after: what was read of it is taken from the budget, and it is read
/// again when the budget is even. So each has its turn, and one that sends little never waits for
/// those that flood, but after its own messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ingress {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Is another number whenever the rates have changed. Released by who changes them and acquired
    /// by the clients, which then see the new ones.
    version: AtomicU32,
    /// Guards what the version is of, and the budget.
    rating: Mutex<Rating>,
}

#[derive(Debug, Default)]
struct Rating {
    rates: Rates,
    budget: Option<Bucket>,
}

/// Publishes what a client sends, no faster than it may send.
///
/// One that has sent too much is not read for a while, so that its own system holds it back. Nothing
/// of it is dropped.
#[derive(Debug)]
pub(crate) struct Throttled {
    publisher: Target,
    ingress: Ingress,
    /// Of which rates the throttle is.
    version: u32,
    /// Most clients have no limit.
    throttle: Option<Box<Throttle>>,
}

#[derive(Debug, Default)]
struct Throttle {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// Whether it takes part in the budget.
    is_budgeted: bool,
    /// Runs while the client is not read.
    pause: Option<Timer>,
}

impl Ingress {
    /// Sets how fast all clients are read from now on. What has been spent stays spent.
    pub(crate) fn set_rates(&self, rates: Rates) {
        let mut rating = self.rating();
        rating.rates = rates;
        change(&mut rating.budget, rates.ingress, Instant::now());
        self.shared.version.fetch_add(1, Ordering::Release);
    }

    fn version(&self) -> u32 {
        self.shared.version.load(Ordering::Acquire)
    }

    fn rates(&self) -> Rates {
        self.rating().rates
    }

    /// Takes bytes from the budget, and returns the time until it is even.
    fn spend(&self, len: usize, now: Instant) -> Option<Duration> {
        let mut rating = self.rating();
        let budget = rating.budget.as_mut()?;
        budget.spend(len, now);
        budget.time_until(0.0, now)
    }

    fn rating(&self) -> MutexGuard<'_, Rating> {
        let rating = self.shared.rating.lock();
        rating.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Throttled {
    pub(crate) fn new(publisher: Target, ingress: &Ingress) -> Self {
        let version = ingress.version();
        let mut throttled = Self {
            publisher,
            ingress: ingress.clone(),
            version,
            throttle: None,
        };
        throttled.change();
        throttled
    }

    /// Has the rates that are set now take effect.
    fn change(&mut self) {
        self.version = self.ingress.version();
        let rates = self.ingress.rates();
        if rates == Rates::default() {
            self.throttle = None;
            return;
        }
        let throttle = self.throttle.get_or_insert_default();
        throttle.change(rates, Instant::now());
    }
}

impl Throttle {
    fn change(&mut self, rates: Rates, now: Instant) {
        change(&mut self.messages, rates.messages.into(), now);
        change(&mut self.bytes, rates.bytes, now);
        self.is_budgeted = rates.ingress > 0;
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
        let mut len_max = match self.is_budgeted {
            true => INGRESS_READ_MAX,
            false => usize::MAX,
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
    fn spend(&mut self, message_count: usize, len: usize, now: Instant, ingress: &Ingress) {
        if let Some(messages) = &mut self.messages {
            messages.spend(message_count, now);
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.spend(len, now);
        }
        if self.is_budgeted
            && let Some(pause) = ingress.spend(len, now)
        {
            self.pause = Some(Timer::after(pause));
        }
    }
}

impl Publish for Throttled {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        if self.version != self.ingress.version() {
            self.change();
        }
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
            throttle.spend(count, len, Instant::now(), &self.ingress);
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

/// How many bytes are read of a client before it pays for them. A judgement: all that connect at once
/// may send as much beyond the budget, and then wait as long as that takes.
const INGRESS_READ_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::bucket::PAUSE_MIN;
    use super::*;

    fn throttle(rates: Rates) -> Throttle {
        let mut throttle = Throttle::default();
        throttle.change(rates, Instant::now());
        throttle
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
                    throttle.spend(
                        read_count,
                        read_count * message_len,
                        now,
                        &Ingress::default(),
                    );
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
            let mut throttle = throttle(rates);
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
        let mut throttle = throttle(rates);
        let begin = Instant::now();
        for number in 0..1000 {
            let now = begin + Duration::from_millis(125) * number;
            assert!(throttle.len_max(now).is_ok(), "message {number}");
            throttle.spend(1, 200, now, &Ingress::default());
        }
    }

    #[test]
    fn the_shared_budget_is_paid_for_in_turn() {
        let ingress = budget(1000);
        let now = Instant::now();
        // The burst is there for everybody.
        assert_eq!(ingress.spend(1000, now), None);
        let pause = ingress.spend(500, now).unwrap();
        assert!(pause.abs_diff(Duration::from_millis(500)) < PAUSE_MIN);
        let pause = ingress.spend(500, now).unwrap();
        assert!(pause.abs_diff(Duration::from_secs(1)) < PAUSE_MIN);
        // A second later all is paid.
        assert_eq!(ingress.spend(1, now + Duration::from_secs(2)), None);
        ingress.set_rates(Rates::default());
        assert_eq!(ingress.spend(1 << 30, now), None);
    }

    /// Returns what has a budget of so many bytes per second.
    fn budget(rate: u64) -> Ingress {
        let ingress = Ingress::default();
        set_budget(&ingress, rate);
        ingress
    }

    fn set_budget(ingress: &Ingress, rate: u64) {
        ingress.set_rates(Rates {
            ingress: rate,
            ..Rates::default()
        });
    }

    #[test]
    fn what_was_spent_stays_spent_when_the_rates_change() {
        let ingress = budget(1000);
        let now = Instant::now();
        assert!(ingress.spend(3000, now).is_some());
        for rate in [1000, 500, 500, 1000] {
            set_budget(&ingress, rate);
            let pause = ingress.spend(0, Instant::now()).unwrap();
            let since = now.elapsed();
            // A debt of 2000 bytes, of which some may be paid by now.
            let expected = Duration::from_secs(2000 / rate);
            assert!(pause <= expected + PAUSE_MIN, "{pause:?} at {rate}");
            assert!(pause + 3 * since >= expected, "{pause:?} at {rate}");
        }
        // There is no more in it than the lower rate lets there be.
        let ingress = budget(1_000_000);
        set_budget(&ingress, 1000);
        assert!(ingress.spend(2000, Instant::now()).is_some());
    }

    #[test]
    fn clients_that_are_there_get_the_rates_that_are_set_later() {
        let ingress = Ingress::default();
        let publisher = chat_hub::Hub::default().publisher();
        let mut throttled = Throttled::new(Target::Hub(publisher), &ingress);
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let mut may_read = || match throttled.poll_ready(cx) {
            Poll::Ready(len) => len.unwrap(),
            Poll::Pending => 0,
        };
        let before = may_read();
        assert!(before > 5000);
        let rates = Rates {
            bytes: 5000,
            ..Rates::default()
        };
        ingress.set_rates(rates);
        assert_eq!(may_read(), 5000);
        ingress.set_rates(Rates::default());
        assert_eq!(may_read(), before);
    }

    #[test]
    fn without_limits_there_is_no_throttle() {
        let publisher = chat_hub::Hub::default().publisher();
        let throttled = Throttled::new(Target::Hub(publisher), &Ingress::default());
        assert!(throttled.throttle.is_none());
    }
}
