//! A session: both halves of a connection, and its end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chat_hub::Hub;
use futures::io::{AsyncRead, AsyncWrite};

use crate::reader::{ReadEnd, Reader};
use crate::scratch;
use crate::writer::Writer;

/// One client being served: a future that ends when the connection does.
///
/// It subscribes to the hub when it is made, so the client misses nothing that is published from
/// then on, and is to be polled soon: as a subscriber that has not read yet, nobody waits for it
/// until then.
///
/// # Examples
///
/// A client that sends one message, half-closes, and so gets its echo and the end:
///
/// ```
/// use chat_hub::Hub;
/// use chat_session::{Session, Summary};
/// use futures::io::Cursor;
///
/// // A cursor reads what it holds, and writes behind what was read.
/// let mut stream = Cursor::new(b"\x05hello".to_vec());
/// let session = Session::new(&mut stream, &Hub::default());
/// assert_eq!(futures::executor::block_on(session)?, Summary { published: 1, dropped: 0 });
/// assert_eq!(stream.into_inner(), b"\x05hello\x05hello");
/// # Ok::<(), chat_session::SessionError>(())
/// ```
#[derive(Debug)]
#[must_use = "a session does nothing unless it is polled"]
pub struct Session<S> {
    stream: S,
    reader: Reader,
    writer: Writer,
    stage: Stage,
}

/// What a session is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Reading and writing.
    Serving,
    /// Nothing more is read; what is still to be delivered is written.
    Draining(ReadEnd),
    /// Everything is written; the sending side is being closed.
    Closing(ReadEnd),
    /// The sending side is closed. What the client sends is thrown away until it closes too:
    /// closing a socket that has bytes to read would make the system reset it, and the client
    /// could lose what is on its way to it.
    Lingering,
    /// The client got everything and both sides are closed.
    Closed,
}

impl<S> Session<S> {
    /// Begins to serve the client at the far end of `stream`. Closing the stream must end its
    /// sending side, so that the client sees it.
    pub fn new(stream: S, hub: &Hub) -> Self {
        let subscriber = hub.subscribe();
        let reader = Reader::new(hub.publisher(), subscriber.position());
        Self {
            stream,
            reader,
            writer: Writer::new(subscriber),
            stage: Stage::Serving,
        }
    }

    /// Tells whether the client's stream took nothing when it was last tried.
    ///
    /// A session has no clock. Whoever has one can end a client that stays blocked for too long
    /// without more being [written](Self::written); under
    /// [`Policy::Block`](chat_hub::Policy::Block) somebody must. A stream may take bytes again long
    /// before it says so, so [`unblock`](Self::unblock) the session and poll it once more
    /// before that.
    pub fn is_blocked(&self) -> bool {
        self.writer.is_blocked()
    }

    /// Has the next poll try the client's stream again, though it has not said that it would take
    /// more.
    pub fn unblock(&self) {
        self.writer.unblock();
    }

    /// Returns how many bytes the client's stream has taken.
    pub fn written(&self) -> u64 {
        self.writer.written()
    }

    fn summary(&self) -> Summary {
        Summary {
            published: self.reader.message_count(),
            dropped: self.writer.dropped(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Goes on with the present stage; is ready when the next one has begun.
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
        self.stage = match self.stage {
            Stage::Serving => ready!(self.poll_serve(cx))?,
            Stage::Draining(end) => {
                ready!(self.writer.poll_turn(cx, &mut self.stream))?;
                Stage::Closing(end)
            }
            Stage::Closing(end) => {
                ready!(Pin::new(&mut self.stream).poll_close(cx)).map_err(SessionError::Write)?;
                if end == ReadEnd::EndOfStream {
                    Stage::Closed
                } else {
                    Stage::Lingering
                }
            }
            Stage::Lingering => {
                ready!(self.poll_discard(cx)).map_err(SessionError::Read)?;
                Stage::Closed
            }
            Stage::Closed => Stage::Closed,
        };
        Poll::Ready(Ok(()))
    }

    /// Writes first, so that what this turn reads goes out with what other sessions read in theirs.
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stage, SessionError>> {
        if self.writer.poll_turn(cx, &mut self.stream)?.is_ready() {
            return Poll::Ready(Ok(Stage::Closing(ReadEnd::HubClosed)));
        }
        let end =
            ready!(self.reader.poll_turn(cx, &mut self.stream)).map_err(SessionError::Read)?;
        if end == ReadEnd::EndOfStream {
            self.writer.end_at(self.reader.end());
        }
        Poll::Ready(Ok(Stage::Draining(end)))
    }

    /// Reads to the end of the stream and throws away what it reads.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..DISCARDS_MAX {
            let len = scratch::with(|buf| Pin::new(&mut self.stream).poll_read(cx, buf));
            if ready!(len)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Session<S> {
    type Output = Result<Summary, SessionError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let session = self.get_mut();
        while session.stage != Stage::Closed {
            ready!(session.poll_stage(cx))?;
        }
        Poll::Ready(Ok(session.summary()))
    }
}

/// What a session did, when it has ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many messages the client published.
    pub published: u64,
    /// How many messages the client lost because it did not keep up.
    pub dropped: u64,
}

/// Why a session ended before everything was delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The stream could not be read: as a rule the client reset the connection.
    #[error("cannot read from the client: {0}")]
    Read(#[source] io::Error),
    /// The stream could not be written to: as a rule the client is gone.
    #[error("cannot write to the client: {0}")]
    Write(#[source] io::Error),
    /// The client did not keep up, and the hub's policy is to disconnect such clients.
    #[error("the client did not keep up, and the policy is to disconnect")]
    Lagged,
}

/// How many reads a turn throws away at most. A judgement, for fairness to other sessions.
const DISCARDS_MAX: usize = 4;
