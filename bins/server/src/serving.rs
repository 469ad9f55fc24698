//! One client being served, under a clock.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

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
use crate::loss_log::LossLog;
use crate::message_limit::MessageLimit;
use crate::parting::{Parting, left, taking};
use crate::patience::{Patience, Taking};
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
    /// How long a client may take nothing when it has ended its sending side, if there is a limit.
    half_closed_timeout: Option<Duration>,
    /// The time in which the client has to take something, where there is a reason to be rid of it.
    patience: Option<Box<Patience>>,
    entry: Entry,
}

enum Stage<S> {
    /// The client joins at its first turn: nothing can overrun it before.
    Accepted(Accepted<S>),
    Joined(Limited<S>),
    /// The client is closed, and has a short time to get the rest of a message and the end.
    Parting(Box<Parting<S>>),
    Over,
}

/// What is done with a connection whose session has ended.
enum Leave {
    /// It is closed.
    Now,
    /// The client gets the rest of the message that it has a part of, and then the end, if it takes
    /// them.
    OnBoundary,
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
    /// Returns what the client takes of what the system holds for it.
    fn taking(&self) -> Taking;

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
            stage: Stage::Accepted(accepted),
            peer,
            published: 0,
            lost: 0,
            pause: None,
            message_limit: message_timeout.map(|timeout| Box::new(MessageLimit::new(timeout))),
            half_closed_timeout: draining.half_closed_timeout,
            patience: None,
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
            let loss_log = self.entry.clients().loss_log();
            warn_of_loss(self.peer, lost - self.lost, loss_log);
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

impl<S: Connection> Serving<S> {
    /// Serves the client; is ready when its session has ended, which has been logged then.
    fn poll_joined(&mut self, cx: &mut Context<'_>) -> Poll<Leave> {
        let Stage::Joined(session) = &mut self.stage else {
            return Poll::Ready(Leave::Now);
        };
        let polled = Pin::new(&mut *session).poll(cx);
        let session = session.get_ref();
        let (entry, peer) = (&self.entry, self.peer);
        if let Poll::Ready(ended) = polled {
            return Poll::Ready(end(entry, peer, ended));
        }
        if let Some(end) = entry.end() {
            entry.clients().note_end(end);
            if end == End::Closed {
                log_closed(peer, summary(session), &"somebody asked for it");
                return Poll::Ready(Leave::OnBoundary);
            }
            cut(session, peer, &"the time for taking everything is over");
            return Poll::Ready(Leave::Now);
        }
        if let Some(limit) = &mut self.message_limit
            && limit.poll_over(cx, session.unfinished()).is_ready()
        {
            entry.clients().note_end(End::Unfinished);
            let timeout = limit.timeout();
            let why = format_args!("the client did not finish a message in {timeout:?}");
            log_closed(peer, summary(session), &why);
            return Poll::Ready(Leave::OnBoundary);
        }
        if self.poll_impatience(cx).is_ready() {
            return Poll::Ready(Leave::Now);
        }
        self.note_published();
        self.log_losses(cx);
        Poll::Pending
    }

    /// Is ready when the client has taken nothing for too long, where the server ends or the client
    /// has ended its sending side. Its connection is reset then. Where the server ends, one that has
    /// everything and goes on sending is not waited for, either.
    fn poll_impatience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stage::Joined(session) = &self.stage else {
            return Poll::Ready(());
        };
        let session = session.get_ref();
        let ending = self.entry.patience();
        let half_closed = self
            .half_closed_timeout
            .filter(|_| session.is_half_closed());
        let Some(time) = ending.or(half_closed) else {
            return Poll::Pending;
        };
        let patience = self.patience.take();
        let mut patience = patience
            .filter(|patience| patience.time() == time)
            .unwrap_or_else(|| Box::new(Patience::new(time)));
        let over = patience.poll_over(cx, || match ending {
            Some(_) => left(session),
            None => taking(session),
        });
        self.patience = Some(patience);
        ready!(over);
        let peer = self.peer;
        let clients = self.entry.clients();
        if ending.is_some() {
            clients.note_end(End::Cut);
            cut(session, peer, &format_args!("it took nothing for {time:?}"));
        } else {
            clients.note_end(End::Stalled);
            session.get_ref().reset_on_drop();
            let why = format_args!("the client ended its side and took nothing for {time:?}");
            log_closed(peer, summary(session), &why);
        }
        Poll::Ready(())
    }

    fn note_published(&mut self) {
        let Stage::Joined(session) = &self.stage else {
            return;
        };
        let published = session.get_ref().summary().published;
        if published != self.published {
            self.published = published;
            self.entry
                .client()
                .inspect(|client| client.note_published(published));
        }
    }

    /// Begins to part from a client whose session has ended.
    fn part(&mut self) {
        let Stage::Joined(session) = mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        self.patience = None;
        self.stage = Stage::Parting(Box::new(Parting::new(session.into_inner())));
    }
}

impl<S: Connection> Future for Serving<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let serving = self.get_mut();
        if let Stage::Accepted(_) = serving.stage
            && let Stage::Accepted(accepted) = mem::replace(&mut serving.stage, Stage::Over)
        {
            serving.begin(accepted, cx);
        }
        if let Stage::Joined(_) = serving.stage {
            match ready!(serving.poll_joined(cx)) {
                Leave::Now => return Poll::Ready(()),
                Leave::OnBoundary => serving.part(),
            }
        }
        match &mut serving.stage {
            Stage::Parting(parting) => parting.poll(cx, &serving.entry),
            _ => Poll::Ready(()),
        }
    }
}

fn sleep(duration: Duration) -> Sleep {
    Box::pin(task::sleep(duration))
}

/// Returns what a session did that is left before it has ended.
fn summary<S>(session: &Session<S, Throttled>) -> Summary {
    let mut summary = session.summary();
    summary.dropped = session.lost();
    summary
}

/// Leaves a client that has no more time. What it takes is whole messages and the end; or it is reset,
/// which it can tell from an end.
fn cut<S: Connection>(session: &Session<S, Throttled>, peer: Peer, why: &dyn fmt::Display) {
    if session.is_stalled() || session.is_inside_message() {
        session.get_ref().reset_on_drop();
    }
    log_left(peer, summary(session), &format!("cut off: {why}"));
}

/// Sees to the end of a session.
fn end(entry: &Entry, peer: Peer, ended: Result<Summary, SessionError>) -> Leave {
    entry.clients().note_end(End::of(&ended));
    let error = match ended {
        Ok(summary) => {
            log_left(peer, summary, "left");
            return Leave::Now;
        }
        Err(error) => error,
    };
    let summary = error.summary();
    if matches!(error.reason(), EndReason::Read(_) | EndReason::Write(_)) {
        if let EndReason::Read(error) = error.reason() {
            tls::note_tls_on_plain(peer, error);
        }
        let source = error.source().map(|source| format!(": {source}"));
        let source = source.unwrap_or_default();
        log_left(peer, summary, &format!("left: {error}{source}"));
        return Leave::Now;
    }
    log_closed(peer, summary, &error);
    Leave::OnBoundary
}

/// Warns of a client that loses messages; of many, not of each.
fn warn_of_loss(peer: Peer, lost: u64, log: &LossLog) {
    match log.note(Instant::now()) {
        Some(0) => warn!(%peer, lost, "a client does not keep up and loses messages"),
        Some(more) => warn!(%peer, lost, more, "a client does not keep up and loses messages"),
        None => debug!(%peer, lost, "a client does not keep up and loses messages"),
    }
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
