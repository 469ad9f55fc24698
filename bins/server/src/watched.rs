//! A session under a clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_std::task;
use chat_session::{Session, SessionError, Summary};
use futures::io::{AsyncRead, AsyncWrite};

/// A session that ends when the client takes nothing for too long.
pub(crate) struct Watched<S> {
    session: Session<S>,
    timeout: Option<Duration>,
    /// The clock that runs while the client takes nothing. Most clients never need one.
    stall: Option<Box<Stall>>,
}

struct Stall {
    /// How much the client had taken when the clock was started.
    written: u64,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why the server ended a session, or could not go on with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the client took nothing for {0:?}")]
    Stalled(Duration),
}

impl Ended {
    /// Tells whether the server ended it, for being slow.
    pub(crate) fn is_for_slowness(&self) -> bool {
        matches!(self, Self::Stalled(_) | Self::Session(SessionError::Lagged))
    }
}

impl<S> Watched<S> {
    pub(crate) fn new(session: Session<S>, timeout: Option<Duration>) -> Self {
        Self { session, timeout, stall: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Watched<S> {
    type Output = Result<Summary, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(ended) = Pin::new(&mut self.session).poll(cx) {
            return Poll::Ready(ended.map_err(Ended::from));
        }
        let Some(timeout) = self.timeout else { return Poll::Pending };
        if !self.session.is_blocked() {
            self.stall = None;
            return Poll::Pending;
        }
        let written = self.session.written();
        let stall = match &mut self.stall {
            Some(stall) if stall.written == written => stall,
            stall => stall.insert(Box::new(Stall { written, sleep: Box::pin(task::sleep(timeout)) })),
        };
        stall.sleep.as_mut().poll(cx).map(|()| Err(Ended::Stalled(timeout)))
    }
}
