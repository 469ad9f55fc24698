//! The end of a client that is closed.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;
use chat_session::Session;
use futures::FutureExt;

use crate::client::End;
use crate::clients::Entry;
use crate::patience::{Patience, Taking};
use crate::serving::Connection;
use crate::throttle::Throttled;

/// Parts from a client that is closed: it gets the rest of the message that it has a part of, and the
/// end, if it takes them in a short time. Otherwise its connection is reset, which it can tell from
/// an end.
#[derive(Debug)]
pub(crate) struct Parting<S> {
    session: Session<S, Throttled>,
    patience: Patience,
    deadline: Timer,
}

impl<S: Connection> Parting<S> {
    pub(crate) fn new(mut session: Session<S, Throttled>) -> Self {
        session.part();
        Self {
            session,
            patience: Patience::new(PARTING_PATIENCE),
            deadline: Timer::after(PARTING_TIMEOUT),
        }
    }

    /// Is ready when the client has got the end, takes nothing, or is too slow. What the system still
    /// holds for it then is forgotten.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, entry: &Entry) -> Poll<()> {
        let session = &mut self.session;
        if Pin::new(&mut *session).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let is_over = self.deadline.poll_unpin(cx).is_ready()
            || self.patience.poll_over(cx, || left(session)).is_ready()
            || entry.end() == Some(End::Cut);
        if !is_over {
            return Poll::Pending;
        }
        if taking(session) != Taking::All {
            session.get_ref().reset_on_drop();
        }
        Poll::Ready(())
    }
}

/// Returns what a client takes of what there is for it.
pub(crate) fn taking<S: Connection>(session: &Session<S, Throttled>) -> Taking {
    match session.get_ref().taking() {
        Taking::All if session.is_stalled() || session.is_inside_message() => {
            Taking::Some(session.written())
        }
        taking => taking,
    }
}

/// Returns the same for a client that is to go: one that has everything, the end too, and goes on
/// sending takes nothing more.
pub(crate) fn left<S: Connection>(session: &Session<S, Throttled>) -> Taking {
    match taking(session) {
        Taking::All => Taking::Some(session.written()),
        taking => taking,
    }
}

/// How long a client may take nothing, or go on sending after the end. A judgement: one that takes bytes
/// does so in a moment.
const PARTING_PATIENCE: Duration = Duration::from_secs(2);

/// How long it may take what the system holds for it. A judgement: others wait for its place.
const PARTING_TIMEOUT: Duration = Duration::from_secs(10);
