//! One client being served, under a clock.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_std::channel::Sender;
use async_std::task;
use chat_hub::Hub;
use chat_session::{Session, SessionError, Summary};
use tracing::{debug, info};

use crate::socket::Socket;

/// A session and what the server has to do with it: to begin it, to end it when the client takes
/// nothing for too long, and to log why it ended.
///
/// It is written by hand, since there is one for every client: what is needed at the beginning
/// takes no room later.
pub(crate) struct Serving {
    stage: Stage,
    /// A socket address without what only the system can make use of.
    peer: (IpAddr, u16),
    /// How long the client may take nothing, in seconds.
    stall_timeout: Option<NonZeroU32>,
    /// The clock that runs while the client takes nothing. Most clients never need one.
    stall: Option<Box<Stall>>,
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
    Joined(Session<Socket>),
}

struct Stall {
    /// How much the client had taken when the clock was started.
    written: u64,
    /// For how many steps it has taken nothing. The socket was tried after each.
    step_count: u32,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why the server ended a session, or could not go on with it.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the client took nothing for {0:?}")]
    Stalled(Duration),
}

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
            stall: None,
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
            serving.stage = Stage::Joined(Session::new(socket, &hub));
        }
        let Stage::Joined(session) = &mut serving.stage else {
            return Poll::Ready(());
        };
        let ended = loop {
            if let Poll::Ready(ended) = Pin::new(&mut *session).poll(cx) {
                break ended.map_err(Ended::from);
            }
            match ready!(poll_stalled(
                session,
                &mut serving.stall,
                serving.stall_timeout,
                cx
            )) {
                // The socket says that it takes more only when it takes much more. So it is tried
                // once, however it feels.
                None => session.unblock(),
                Some(ended) => break Err(ended),
            }
        };
        log(serving.peer.into(), ended);
        Poll::Ready(())
    }
}

/// Is ready with `None` after each step of the time for which the client may take nothing, so that
/// its socket is tried, and at the end with why it is closed. Of a client that takes a little now
/// and then the time begins again.
fn poll_stalled(
    session: &Session<Socket>,
    stall: &mut Option<Box<Stall>>,
    timeout: Option<NonZeroU32>,
    cx: &mut Context<'_>,
) -> Poll<Option<Ended>> {
    let Some(seconds) = timeout.filter(|_| session.is_blocked()) else {
        *stall = None;
        return Poll::Pending;
    };
    let timeout = Duration::from_secs(seconds.get().into());
    let step = || Box::pin(task::sleep(timeout / STALL_STEPS));
    let written = session.written();
    let stall = stall.get_or_insert_with(|| {
        Box::new(Stall {
            written,
            step_count: 0,
            sleep: step(),
        })
    });
    if std::mem::replace(&mut stall.written, written) != written {
        stall.step_count = 0;
    }
    if stall.step_count == STALL_STEPS {
        return Poll::Ready(Some(Ended::Stalled(timeout)));
    }
    ready!(stall.sleep.as_mut().poll(cx));
    stall.step_count += 1;
    stall.sleep = step();
    Poll::Ready(None)
}

fn log(peer: SocketAddr, ended: Result<Summary, Ended>) {
    match ended {
        Ok(summary) => debug!(%peer, summary.published, summary.dropped, "left"),
        Err(ended @ (Ended::Stalled(_) | Ended::Session(SessionError::Lagged))) => {
            info!(%peer, "closed: {ended}")
        }
        Err(Ended::Session(error)) => debug!(%peer, "left: {error}"),
    }
}

/// In how many steps a client may take nothing. A judgement: a client is closed that much of the
/// time late at most, since the system moves a few bytes to a client that does not read, long after
/// it said that it takes no more.
const STALL_STEPS: u32 = 8;
