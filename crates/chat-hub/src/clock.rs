//! Time, as far as the hub's users tell it.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::blocking;
use crate::hub::Config;
use crate::shared::Shared;
use crate::state::State;
use crate::sync::Arc;

/// Tells a hub how time passes, so that it can tell a stream that is full for a moment from one
/// that does not keep up.
///
/// The hub reads no clock. While somebody runs its `Clock`, publishers wait for a subscriber whose
/// stream is full, as long as the stream goes on taking bytes at the rate that
/// [`Config::with_rate`] states. Without a clock, a subscriber whose stream is full is a laggard at
/// once, and publishers wait for it again when it has caught up.
///
/// A clock ticks only while somebody is under a time limit. An idle hub takes no processor time.
///
/// Made by [`Config::build_with_clock`]; there is one for a hub. Dropping it stops the time.
///
/// # Examples
///
/// A task or a thread of its own keeps the time:
///
/// ```
/// use chat_hub::Config;
///
/// let (hub, clock) = Config::default().build_with_clock()?;
/// let keeping_time = std::thread::spawn(move || clock.keep_time_blocking(std::thread::sleep));
/// drop(hub);
/// keeping_time.join().unwrap();
/// # Ok::<(), chat_hub::CapacityTooSmall>(())
/// ```
#[derive(Debug)]
pub struct Clock {
    shared: Arc<Shared>,
    /// When to tick, for who [advances](Self::advance) it.
    tick_at: Option<Instant>,
}

impl Clock {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let tick_at = None;
        Self { shared, tick_at }
    }

    /// Keeps time until the hub is closed. `sleep` waits for as long as it is told.
    ///
    /// # Examples
    ///
    /// With async-std, `async_std::task::spawn(clock.keep_time(async_std::task::sleep))`; with
    /// tokio, `tokio::spawn(clock.keep_time(tokio::time::sleep))`.
    pub async fn keep_time<S: Future>(mut self, mut sleep: impl FnMut(Duration) -> S) {
        while let Some(step) = poll_fn(|cx| self.poll_due(cx)).await {
            sleep(step).await;
            self.tick();
        }
    }

    /// Keeps time as [`keep_time`](Self::keep_time) does; the thread is parked while there is
    /// nothing to do. Not for async tasks.
    pub fn keep_time_blocking(mut self, mut sleep: impl FnMut(Duration)) {
        while let Some(step) = blocking::wait(|cx| self.poll_due(cx)) {
            sleep(step);
            self.tick();
        }
    }

    /// Waits until somebody is under a time limit; is ready with the time after which to call
    /// [`tick`](Self::tick). `None` is the end: the hub was closed.
    pub fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Option<Duration>> {
        self.shared.with_state(|state| {
            state.ticking.is_attended = true;
            if state.is_over() {
                return Poll::Ready(None);
            }
            if state.is_clock_due() {
                return Poll::Ready(Some(state.ticking.step));
            }
            let spent = state.ticking.waker.replace(cx.waker().clone());
            state.spent.add(spent);
            Poll::Pending
        })
    }

    /// Ticks if it is time to, and returns for how long the caller may wait until it calls again;
    /// `None` is for as long as nobody else calls the hub.
    ///
    /// For an event loop that is the only one to call the hub.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// let (_hub, mut clock) = chat_hub::Config::default().build_with_clock()?;
    /// // Nobody is under a time limit.
    /// assert_eq!(clock.advance(Instant::now()), None);
    /// # Ok::<(), chat_hub::CapacityTooSmall>(())
    /// ```
    pub fn advance(&mut self, now: Instant) -> Option<Duration> {
        if self.tick_at.take_if(|at| *at <= now).is_some() {
            self.tick();
        }
        // Nobody has to wake it, since it is asked before every wait.
        let due = self.poll_due(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Some(step)) = due {
            self.tick_at.get_or_insert(now + step);
        }
        self.tick_at.map(|at| at - now)
    }

    /// Says that the time which [`poll_due`](Self::poll_due) returned has passed.
    ///
    /// One call is one step, however late it comes: a process that was stopped for a while does not
    /// blame the time on its clients.
    pub fn tick(&mut self) {
        let mut next = Some(0);
        while let Some(key) = next {
            // The lock is held for a few of many.
            next = self.shared.with_state(|state| state.judge_stalled(key));
        }
        self.shared.with_state(State::tick);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.shared.with_state(|state| {
            state.ticking.is_attended = false;
            let spent = state.ticking.waker.take();
            state.spent.add(spent);
            state.call_stalled_laggards();
        });
    }
}

/// The hub's notion of time.
#[derive(Debug)]
pub(crate) struct Ticking {
    /// Wakes the task that keeps the time. It sleeps while nobody is under a time limit.
    waker: Option<Waker>,
    /// Whether somebody keeps the time.
    is_attended: bool,
    /// Whether a publisher that does not wait was refused since the last tick.
    pub(crate) is_refusing: bool,
    step: Duration,
    /// How many bytes a stream has to take in a step, and in the grace.
    step_len: u64,
    grace_len: u64,
    /// Where the log ended at the last tick, and for how many ticks publishers have waited there.
    frozen_pos: u64,
    frozen_count: u32,
    /// How long publishers have waited, all together.
    publisher_wait: Duration,
}

impl Ticking {
    pub(crate) fn new(config: &Config) -> Self {
        let step = config.grace / STEPS_PER_GRACE;
        let step_nanos = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1);
        let step_len = u128::from(config.rate) * u128::from(step_nanos) / 1_000_000_000;
        let step_len = u64::try_from(step_len)
            .unwrap_or(u64::MAX / 64)
            .clamp(1, u64::MAX / 64);
        Self {
            waker: None,
            is_attended: false,
            is_refusing: false,
            step: Duration::from_nanos(step_nanos),
            step_len,
            grace_len: step_len * u64::from(STEPS_PER_GRACE),
            frozen_pos: 0,
            frozen_count: 0,
            publisher_wait: Duration::ZERO,
        }
    }

    pub(crate) fn is_attended(&self) -> bool {
        self.is_attended
    }

    /// Tells whether the clock waits to be told that it has something to do.
    pub(crate) fn is_asleep(&self) -> bool {
        self.waker.is_some()
    }

    pub(crate) fn wake(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    pub(crate) fn step_len(&self) -> u64 {
        self.step_len
    }

    pub(crate) fn grace_len(&self) -> u64 {
        self.grace_len
    }

    /// Notes, at a tick, how many publishers wait.
    pub(crate) fn note_waiting(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let wait = self.step.saturating_mul(count);
        self.publisher_wait = self.publisher_wait.saturating_add(wait);
    }

    pub(crate) fn publisher_wait(&self) -> Duration {
        self.publisher_wait
    }

    /// Tells, at a tick, whether publishers have waited for so long while the log ended at `end`
    /// that somebody cannot be served.
    pub(crate) fn is_frozen(&mut self, end: u64, is_waiting: bool) -> bool {
        if !is_waiting || self.frozen_pos != end {
            (self.frozen_pos, self.frozen_count) = (end, 0);
        }
        self.frozen_count += 1;
        let least = FROZEN_MIN.as_nanos() / self.step.as_nanos().max(1);
        let is_long = u128::from(self.frozen_count) > least;
        let is_frozen = is_long && self.frozen_count > FROZEN_GRACES * STEPS_PER_GRACE;
        if is_frozen {
            self.frozen_count = 0;
        }
        is_frozen
    }
}

/// In how many steps the grace passes. A judgement: a laggard is found an eighth of the grace late
/// at most.
const STEPS_PER_GRACE: u32 = 8;

/// For how many graces publishers may wait, and not one message be published, until those who are
/// waited for count as not being served. A judgement: so long no executor keeps a task waiting that
/// was woken, and if one does, it does not run the clock either.
const FROZEN_GRACES: u32 = 16;

/// For how long that is at least, however short the grace. A judgement: a busy machine may keep a
/// task waiting for a second.
const FROZEN_MIN: Duration = Duration::from_secs(1);
