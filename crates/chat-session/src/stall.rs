//! A session under a time limit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};

use crate::error::{EndReason, SessionError, Summary};
use crate::{Publish, Session};

/// A session that ends when its client takes nothing for too long while there is something for it, or
/// too little; made by [`Session::with_stall_timeout`].
///
/// The stream is tried again several times while the time passes, since a stream may say that it
/// takes more long after it does. A client that takes a little now and then is given the whole time
/// again each time, unless there is a [least rate](Self::with_rate_min).
#[must_use = "a session does nothing unless it is polled"]
pub struct StallLimit<S, P, F, T> {
    session: Session<S, P>,
    timeout: Option<Duration>,
    /// How many bytes per second the client has to take at least.
    rate_min: u64,
    sleep: F,
    /// Runs while the client takes nothing. Most clients never need one.
    stall: Option<Box<Stall<T>>>,
}

struct Stall<T> {
    /// How many bytes the client had taken when the step began.
    written: u64,
    /// By how many parts of a byte it is behind what it has to take, where each step adds its share
    /// and there are as many parts as steps.
    owed: u64,
    /// Whether it has taken anything since it began to be behind.
    has_taken: bool,
    sleep: Pin<Box<T>>,
}

impl<S, P, F, T> StallLimit<S, P, F, T>
where
    P: Publish,
    F: FnMut(Duration) -> T,
    T: Future,
{
    pub(crate) fn new(session: Session<S, P>, timeout: Option<Duration>, sleep: F) -> Self {
        Self {
            session,
            timeout,
            rate_min: 0,
            sleep,
            stall: None,
        }
    }

    /// Has the session end, too, when its client takes fewer bytes per second than this for so long
    /// that it is behind by what it had to take in the whole time limit.
    ///
    /// What the client has read reaches the other end in lumps: a system tells of room in its
    /// buffer when that is worth a packet, or a part of a large buffer. So a client that takes a
    /// lump at a time is closed only if it is too slow over the whole, and the time limit should be
    /// several lumps long.
    pub fn with_rate_min(mut self, rate_min: u64) -> Self {
        self.rate_min = rate_min;
        self
    }

    /// Returns the session.
    pub fn get_ref(&self) -> &Session<S, P> {
        &self.session
    }

    /// Returns the session, which has no time limit any more.
    pub fn into_inner(self) -> Session<S, P> {
        self.session
    }

    /// Is ready after each step of the time for which the client may take too little; returns why the
    /// session ends when all of it has passed.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<EndReason>> {
        let Some(timeout) = self.timeout.filter(|_| self.session.is_stalled()) else {
            self.stall = None;
            return Poll::Pending;
        };
        let Self {
            session,
            rate_min,
            sleep,
            stall,
            ..
        } = self;
        // Any byte is enough where no rate is asked for.
        let quota = bytes_in(timeout, *rate_min).max(1);
        let written = session.written();
        let mut sleep = || Box::pin(sleep(timeout / STEP_COUNT));
        let stall = stall.get_or_insert_with(|| {
            let sleep = sleep();
            Box::new(Stall {
                written,
                owed: 0,
                has_taken: false,
                sleep,
            })
        });
        let taken = (written - stall.written).saturating_mul(STEP_COUNT.into());
        if stall.owed.saturating_sub(taken) >= quota.saturating_mul(STEP_COUNT.into()) {
            return Poll::Ready(Some(match stall.has_taken {
                false => EndReason::Stalled(timeout),
                true => EndReason::Slow {
                    rate_min: *rate_min,
                },
            }));
        }
        ready!(stall.sleep.as_mut().poll(cx));
        stall.written = written;
        stall.owed = (stall.owed + quota).saturating_sub(taken);
        stall.has_taken = stall.owed > 0 && (stall.has_taken || taken > 0);
        stall.sleep = sleep();
        Poll::Ready(None)
    }
}

/// Returns how many bytes come in a time at a rate.
fn bytes_in(time: Duration, rate: u64) -> u64 {
    let bytes = u128::from(rate).saturating_mul(time.as_millis()) / 1000;
    u64::try_from(bytes).unwrap_or(u64::MAX / u64::from(STEP_COUNT))
}

impl<S, P, F, T> Future for StallLimit<S, P, F, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Publish + Unpin,
    F: FnMut(Duration) -> T + Unpin,
    T: Future,
{
    type Output = Result<Summary, SessionError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let limited = self.get_mut();
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut limited.session).poll(cx) {
                return Poll::Ready(ended);
            }
            if let Some(reason) = ready!(limited.poll_step(cx)) {
                return Poll::Ready(Err(limited.session.fail(reason)));
            }
            limited.session.retry();
        }
    }
}

impl<S: fmt::Debug, P: fmt::Debug, F, T> fmt::Debug for StallLimit<S, P, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallLimit")
            .field("session", &self.session)
            .field("timeout", &self.timeout)
            .field("rate_min", &self.rate_min)
            .field("is_stalled", &self.stall.is_some())
            .finish_non_exhaustive()
    }
}

/// In how many steps a client may take nothing. A judgement: a client is closed that much of the
/// time late at most, since the system moves a few bytes to a client that does not read, long after
/// it said that it takes no more.
const STEP_COUNT: u32 = 8;
