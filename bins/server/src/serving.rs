//! One client being served, under a clock.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;
use async_std::task;
use chat_hub::Hub;
use chat_session::{EndReason, Session, SessionError, StallLimit, Summary};
use futures::FutureExt;
use futures::io::{AsyncRead, AsyncWrite};
use tracing::{debug, info, warn};

use crate::args::Draining;
use crate::client::{Client, End};
use crate::clients::Entry;
use crate::message_limit::MessageLimit;
use crate::peer::Peer;
use crate::socket::Socket;
use crate::throttle::Throttled;
use crate::tls;

/// A session, its beginning, and what is logged of it.
///
/// It is written by hand, since there is one for every client: what is needed at the beginning
/// takes no room later.
pub(crate) struct Serving<S = Socket> {
    stage: Stage<S>,
    peer: Peer,
    /// How many messages the client had published when that was noted last.
    published: u64,
    /// How many messages the client had lost when that was logged last.
    lost: u64,
    /// The time in which nothing more is logged of that. Most clients never need one.
    pause: Option<Box<Timer>>,
    message_limit: Option<Box<MessageLimit>>,
    entry: Entry,
}

enum Stage<S> {
    /// The client joins at its first turn: nothing can overrun it before.
    Accepted(Option<Accepted<S>>),
    Joined(Limited<S>),
}

struct Accepted<S> {
    stream: S,
    hub: Hub,
    publisher: Throttled,
    draining: Draining,
}

type Limited<S> = StallLimit<S, Throttled, fn(Duration) -> Sleep, Sleep>;

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A client's stream, plain or over TLS.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin {
    /// Has the system forget what it holds for the client when the stream is dropped.
    fn reset_on_drop(&self);
}

/// A client that was let in, and what serving it takes.
pub(crate) struct Admitted {
    pub(crate) peer: Peer,
    pub(crate) hub: Hub,
    pub(crate) publisher: Throttled,
    /// How long it may take for a message that it has begun.
    pub(crate) message_timeout: Option<Duration>,
    pub(crate) draining: Draining,
    pub(crate) entry: Entry,
}

impl<S: Connection> Serving<S> {
    pub(crate) fn new(stream: S, admitted: Admitted) -> Self {
        let Admitted {
            peer,
            hub,
            publisher,
            message_timeout,
            draining,
            entry,
        } = admitted;
        let accepted = Accepted {
            stream,
            hub,
            publisher,
            draining,
        };
        Self {
            stage: Stage::Accepted(Some(accepted)),
            peer,
            published: 0,
            lost: 0,
            pause: None,
            message_limit: message_timeout.map(|timeout| Box::new(MessageLimit::new(timeout))),
            entry,
        }
    }

    fn begin(&mut self, accepted: Accepted<S>, cx: &Context<'_>) {
        let Accepted {
            stream,
            hub,
            publisher,
            draining,
        } = accepted;
        let subscriber = hub.subscribe();
        let client = Client::new(self.peer, subscriber.monitor());
        self.entry.begin(client, cx.waker());
        let session = Session::with_publisher(stream, subscriber, publisher)
            .with_stall_timeout(draining.stall_timeout, sleep as _)
            .with_rate_min(draining.rate_min);
        self.stage = Stage::Joined(session);
    }

    /// Warns when the client loses messages, but not too often. One that takes nothing does not find
    /// out about its losses, so it is asked after when a pause is over.
    fn log_losses(&mut self, cx: &mut Context<'_>) {
        let Stage::Joined(session) = &self.stage else {
            return;
        };
        let session = session.get_ref();
        let is_paused = match &mut self.pause {
            Some(pause) => pause.poll_unpin(cx).is_pending(),
            None => false,
        };
        let is_due = self.pause.is_some() && !is_paused;
        let lost = if is_due {
            session.lost()
        } else {
            session.summary().dropped
        };
        let is_first = self.lost == 0;
        if lost > self.lost && (is_first || !is_paused) {
            let peer = self.peer;
            let lost_now = lost - self.lost;
            warn!(%peer, lost = lost_now, "a client does not keep up and loses messages");
            self.lost = lost;
        } else if is_paused {
            return;
        } else if !session.is_stalled() {
            self.pause = None;
            return;
        }
        let mut pause = Box::new(Timer::after(LOSSES_LOG_PERIOD));
        // It wakes the task, so that a client that takes nothing is asked after.
        let polled = pause.poll_unpin(cx);
        debug_assert!(polled.is_pending());
        self.pause = Some(pause);
    }
}

impl<S: Connection> Future for Serving<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let serving = self.get_mut();
        if let Stage::Accepted(accepted) = &mut serving.stage
            && let Some(accepted) = accepted.take()
        {
            serving.begin(accepted, cx);
        }
        let Stage::Joined(session) = &mut serving.stage else {
            return Poll::Ready(());
        };
        let polled = Pin::new(&mut *session).poll(cx);
        let session = session.get_ref();
        let peer = serving.peer;
        if let Poll::Ready(ended) = polled {
            end(&serving.entry, session.get_ref(), peer, ended);
            return Poll::Ready(());
        }
        if let Some(end) = serving.entry.end() {
            serving.entry.clients().note_end(end);
            let summary = leave(session);
            match end {
                End::Closed => log_closed(peer, summary, &"somebody asked for it"),
                _ => log_left(
                    peer,
                    summary,
                    "cut off: the time for taking everything is over",
                ),
            }
            return Poll::Ready(());
        }
        if let Some(limit) = &mut serving.message_limit
            && limit.poll_over(cx, session.unfinished()).is_ready()
        {
            serving.entry.clients().note_end(End::Unfinished);
            let timeout = limit.timeout();
            let why = format_args!("the client did not finish a message in {timeout:?}");
            log_closed(peer, leave(session), &why);
            return Poll::Ready(());
        }
        let published = session.summary().published;
        if published != serving.published {
            serving.published = published;
            serving
                .entry
                .client()
                .inspect(|client| client.note_published(published));
        }
        serving.log_losses(cx);
        Poll::Pending
    }
}

fn sleep(duration: Duration) -> Sleep {
    Box::pin(task::sleep(duration))
}

/// Leaves a client that may not have taken everything, and returns what the session did. What the client
/// takes is whole messages, unless it takes nothing.
fn leave<S: Connection>(session: &Session<S, Throttled>) -> Summary {
    let mut summary = session.summary();
    summary.dropped = session.lost();
    if session.is_stalled() {
        session.get_ref().reset_on_drop();
    }
    summary
}

/// Sees to the end of a session.
fn end<S: Connection>(entry: &Entry, stream: &S, peer: Peer, ended: Result<Summary, SessionError>) {
    entry.clients().note_end(End::of(&ended));
    let error = match ended {
        Ok(summary) => return log_left(peer, summary, "left"),
        Err(error) => error,
    };
    let summary = error.summary();
    if matches!(error.reason(), EndReason::Read(_) | EndReason::Write(_)) {
        if let EndReason::Read(error) = error.reason() {
            tls::note_tls_on_plain(peer, error);
        }
        let source = error.source().map(|source| format!(": {source}"));
        let source = source.unwrap_or_default();
        return log_left(peer, summary, &format!("left: {error}{source}"));
    }
    stream.reset_on_drop();
    log_closed(peer, summary, &error);
}

fn log_closed(peer: Peer, summary: Summary, why: &dyn fmt::Display) {
    let Summary {
        published,
        delivered,
        dropped,
        ..
    } = summary;
    info!(%peer, published, delivered, dropped, "closed: {why}");
}

fn log_left(peer: Peer, summary: Summary, how: &str) {
    let Summary {
        published,
        delivered,
        dropped,
        ..
    } = summary;
    debug!(%peer, published, delivered, dropped, "{how}");
}

/// How long nothing more is logged of a client that goes on losing messages, and how long after one
/// began to take nothing it is asked after.
const LOSSES_LOG_PERIOD: Duration = Duration::from_secs(10);
