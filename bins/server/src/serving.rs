//! One client being served, under a clock.

use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_std::task;
use chat_hub::{Hub, Publisher};
use chat_session::{EndReason, Session, SessionError, StallLimit, Summary};
use tracing::{debug, info, warn};

use crate::clients::Entry;
use crate::socket::Socket;

/// A session, its beginning, and what is logged of it.
///
/// It is written by hand, since there is one for every client: what is needed at the beginning
/// takes no room later.
pub(crate) struct Serving {
    stage: Stage,
    /// A socket address without what only the system can make use of.
    peer: (IpAddr, u16),
    /// What was logged of messages that the client lost. Most lose none.
    losses: Option<Box<Losses>>,
    entry: Entry,
}

#[expect(
    clippy::large_enum_variant,
    reason = "all but a few are in the large one"
)]
enum Stage {
    /// The client joins at its first turn: nothing can overrun it before.
    Accepted(Option<Accepted>),
    Joined(Limited),
}

struct Accepted {
    socket: Socket,
    hub: Hub,
    /// How long the client may take nothing.
    stall_timeout: Option<Duration>,
}

type Limited = StallLimit<Socket, Publisher, fn(Duration) -> Sleep, Sleep>;

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Losses {
    /// How many messages the client had lost when that was logged.
    logged: u64,
    logged_at: Instant,
}

impl Serving {
    pub(crate) fn new(
        socket: Socket,
        peer: SocketAddr,
        hub: Hub,
        stall_timeout: Option<Duration>,
        entry: Entry,
    ) -> Self {
        let accepted = Accepted {
            socket,
            hub,
            stall_timeout,
        };
        Self {
            stage: Stage::Accepted(Some(accepted)),
            peer: (peer.ip(), peer.port()),
            losses: None,
            entry,
        }
    }

    fn begin(&mut self, accepted: Accepted, cx: &Context<'_>) {
        self.entry.set_waker(cx.waker());
        let session = Session::new(accepted.socket, &accepted.hub)
            .with_stall_timeout(accepted.stall_timeout, sleep as _);
        self.stage = Stage::Joined(session);
    }

    /// Warns when the client loses messages, but not too often.
    fn log_losses(&mut self, dropped: u64) {
        let logged = self.losses.as_ref().map_or(0, |losses| losses.logged);
        if dropped == logged {
            return;
        }
        let now = Instant::now();
        let is_soon = |losses: &Losses| now < losses.logged_at + LOSSES_LOG_PERIOD;
        if self.losses.as_deref().is_some_and(is_soon) {
            return;
        }
        let peer = SocketAddr::from(self.peer);
        let lost = dropped - logged;
        warn!(%peer, lost, "a client does not keep up and loses messages");
        self.losses = Some(Box::new(Losses {
            logged: dropped,
            logged_at: now,
        }));
    }
}

impl Future for Serving {
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
        let summary = session.get_ref().summary();
        let peer = serving.peer.into();
        if let Poll::Ready(ended) = polled {
            end(&serving.entry, session.get_ref().get_ref(), peer, ended);
            return Poll::Ready(());
        }
        if serving.entry.is_cut() {
            log_left(
                peer,
                summary,
                "cut off: the time for taking everything is over",
            );
            return Poll::Ready(());
        }
        serving.log_losses(summary.dropped);
        Poll::Pending
    }
}

fn sleep(duration: Duration) -> Sleep {
    Box::pin(task::sleep(duration))
}

/// Sees to the end of a session.
fn end(entry: &Entry, socket: &Socket, peer: SocketAddr, ended: Result<Summary, SessionError>) {
    let error = match ended {
        Ok(summary) => return log_left(peer, summary, "left"),
        Err(error) => error,
    };
    let is_stalled = matches!(error.reason(), EndReason::Stalled(_));
    if is_stalled {
        entry.clients().note_stalled();
    }
    let summary = error.summary();
    if !is_stalled && !matches!(error.reason(), EndReason::Lagged) {
        let source = error.source().map(|source| format!(": {source}"));
        let source = source.unwrap_or_default();
        return log_left(peer, summary, &format!("left: {error}{source}"));
    }
    socket.reset_on_drop();
    let Summary {
        published,
        delivered,
        dropped,
        ..
    } = summary;
    info!(%peer, published, delivered, dropped, "closed: {error}");
}

fn log_left(peer: SocketAddr, summary: Summary, how: &str) {
    let Summary {
        published,
        delivered,
        dropped,
        ..
    } = summary;
    debug!(%peer, published, delivered, dropped, "{how}");
}

/// How long nothing more is logged of a client that goes on losing messages.
const LOSSES_LOG_PERIOD: Duration = Duration::from_secs(10);
