//! One client being served, under a clock.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_std::channel::Sender;
use async_std::task;
use chat_hub::{Hub, Publisher};
use chat_session::{EndReason, Session, SessionError, StallLimit, Summary};
use tracing::{debug, info};

use crate::socket::Socket;

/// A session, its beginning, and the log line of its end.
///
/// It is written by hand, since there is one for every client: what is needed at the beginning
/// takes no room later.
pub(crate) struct Serving {
    stage: Stage,
    /// A socket address without what only the system can make use of.
    peer: (IpAddr, u16),
    /// How long the client may take nothing, in seconds.
    stall_timeout: Option<NonZeroU32>,
    /// Tells the server, by going away, that the client is gone.
    _alive: Sender<Infallible>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "all but a few are in the large one"
)]
enum Stage {
    /// The client joins at its first turn: nothing can overrun it before.
    Accepted(Option<(Socket, Hub)>),
    Joined(StallLimit<Socket, Publisher, fn(Duration) -> Sleep, Sleep>),
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Serving {
    pub(crate) fn new(
        socket: Socket,
        peer: SocketAddr,
        hub: Hub,
        stall_timeout: Option<NonZeroU32>,
        alive: Sender<Infallible>,
    ) -> Self {
        Self {
            stage: Stage::Accepted(Some((socket, hub))),
            peer: (peer.ip(), peer.port()),
            stall_timeout,
            _alive: alive,
        }
    }
}

impl Future for Serving {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let serving = self.get_mut();
        if let Stage::Accepted(accepted) = &mut serving.stage
            && let Some((socket, hub)) = accepted.take()
        {
            let timeout = serving
                .stall_timeout
                .map(|s| Duration::from_secs(s.get().into()));
            let session = Session::new(socket, &hub).with_stall_timeout(timeout, sleep as _);
            serving.stage = Stage::Joined(session);
        }
        let Stage::Joined(session) = &mut serving.stage else {
            return Poll::Ready(());
        };
        let ended = ready!(Pin::new(session).poll(cx));
        log(serving.peer.into(), ended);
        Poll::Ready(())
    }
}

fn sleep(duration: Duration) -> Sleep {
    Box::pin(task::sleep(duration))
}

fn log(peer: SocketAddr, ended: Result<Summary, SessionError>) {
    let (summary, error) = match ended {
        Ok(summary) => (summary, None),
        Err(error) => (error.summary(), Some(error)),
    };
    let Summary {
        published,
        delivered,
        dropped,
        ..
    } = summary;
    let Some(error) = error else {
        return debug!(%peer, published, delivered, dropped, "left");
    };
    match error.reason() {
        EndReason::Lagged | EndReason::Stalled(_) => {
            info!(%peer, published, delivered, dropped, "closed: {error}");
        }
        _ => {
            let source = error
                .source()
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            debug!(%peer, published, delivered, dropped, "left: {error}{source}");
        }
    }
}
