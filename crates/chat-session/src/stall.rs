//! A session under a time limit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};

use crate::error::{EndReason, SessionError, Summary};
use crate::{Publish, Session};

/// A session that ends when its client takes nothing for too long while there is something for it;
/// made by [`Session::with_stall_timeout`].
///
/// The stream is tried again several times while the time passes, since a stream may say that it
/// takes more long after it does. A client that takes a little now and then is given the whole time
/// again each time.
#[must_use = "a session does nothing unless it is polled"]
pub struct StallLimit<S, P, F, T> {
    session: Session<S, P>,
    timeout: Option<Duration>,
    sleep: F,
    /// Runs while the client takes nothing. Most clients never need one.
    stall: Option<Box<Stall<T>>>,
}

struct Stall<T> {
    /// How much the client had taken when the step began.
    written: u64,
    /// For how many steps it has taken nothing. The stream was tried after each.
    step_count: u32,
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
            sleep,
            stall: None,
        }
    }

    /// Returns the session.
    pub fn get_ref(&self) -> &Session<S, P> {
        &self.session
    }

    /// Returns the session, which has no time limit any more.
    pub fn into_inner(self) -> Session<S, P> {
        self.session
    }

    /// Is ready after each step of the time for which the client may take nothing; returns that
    /// time when all of it has passed.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Duration>> {
        let Some(timeout) = self.timeout.filter(|_| self.session.is_stalled()) else {
            self.stall = None;
            return Poll::Pending;
        };
        let Self {
            session,
            sleep,
            stall,
            ..
        } = self;
        let written = session.written();
        let mut sleep = || Box::pin(sleep(timeout / STEP_COUNT));
        let stall = stall.get_or_insert_with(|| {
            let sleep = sleep();
            Box::new(Stall {
                written,
                step_count: 0,
                sleep,
            })
        });
        if stall.step_count == STEP_COUNT && stall.written == written {
            return Poll::Ready(Some(timeout));
        }
        ready!(stall.sleep.as_mut().poll(cx));
        let has_taken = std::mem::replace(&mut stall.written, written) != written;
        stall.step_count = if has_taken { 0 } else { stall.step_count + 1 };
        stall.sleep = sleep();
        Poll::Ready(None)
    }
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
            if let Some(timeout) = ready!(limited.poll_step(cx)) {
                let reason = EndReason::Stalled(timeout);
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
            .field("is_stalled", &self.stall.is_some())
            .finish_non_exhaustive()
    }
}

/// In how many steps a client may take nothing. A judgement: a client is closed that much of the
/// time late at most, since the system moves a few bytes to a client that does not read, long after
/// it said that it takes no more.
const STEP_COUNT: u32 = 8;
