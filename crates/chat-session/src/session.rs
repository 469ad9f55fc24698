//! A session: both halves of a connection, and its end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chat_hub::{Hub, Progress, Publisher, Subscriber, Writer, would_block};
use futures::io::{AsyncRead, AsyncWrite};

use crate::Publish;
use crate::error::{EndReason, SessionError, Summary};
use crate::flag::Flag;
use crate::reader::{ReadEnd, Reader};
use crate::scratch;
use crate::stage::Stage;
use crate::stall::StallLimit;

/// One client being served: a future that ends when the connection does.
///
/// It subscribes to the hub when it is made, so the client misses nothing that is published from
/// then on, and is to be polled soon: publishers do not wait for it until then.
///
/// # Examples
///
/// A client that sends one message, half-closes, and so gets its echo and the end:
///
/// ```
/// use chat_hub::Hub;
/// use chat_session::Session;
/// use futures::io::Cursor;
///
/// // A cursor reads what it holds, and writes after what was read.
/// let mut stream = Cursor::new(b"\x05hello".to_vec());
/// let session = Session::new(&mut stream, &Hub::default());
/// let summary = futures::executor::block_on(session)?;
/// assert_eq!((summary.published, summary.delivered, summary.dropped), (1, 1, 0));
/// assert_eq!(stream.into_inner(), b"\x05hello\x05hello");
/// # Ok::<(), chat_session::SessionError>(())
/// ```
#[derive(Debug)]
#[must_use = "a session does nothing unless it is polled"]
pub struct Session<S, P = Publisher> {
    stream: S,
    reader: Reader<P>,
    writer: Writer,
    /// Raised when the stream may have something to read or may take more. There is one flag for
    /// both, since a stream may have one waker for both: reading from a layered stream may have to
    /// write, and writing to read.
    stream_flag: Flag,
    /// Whether the stream may hold bytes back.
    is_unflushed: bool,
    /// Whether the stream was asked to let go of bytes that it holds back, or to close, and could
    /// not.
    is_holding_back: bool,
    stage: Stage,
    /// How many messages had been published when the client joined.
    joined: u64,
}

impl<S> Session<S> {
    /// Begins to serve the client at the far end of `stream`. Closing the stream must end its
    /// sending side, so that the client sees it.
    pub fn new(stream: S, hub: &Hub) -> Self {
        Self::with_publisher(stream, hub.subscribe(), hub.publisher())
    }
}

impl<S, P: Publish> Session<S, P> {
    /// Begins to serve a client that reads from one place and publishes to another.
    ///
    /// What `publisher` accepts must come to `subscriber` in the end.
    pub fn with_publisher(stream: S, subscriber: Subscriber, publisher: P) -> Self {
        let joined = subscriber.position().message_pos();
        Self {
            stream,
            reader: Reader::new(publisher),
            writer: Writer::new(subscriber),
            stream_flag: Flag::default(),
            is_unflushed: false,
            is_holding_back: false,
            stage: Stage::Serving,
            joined,
        }
    }

    /// Ends the session when the client takes nothing for `timeout` while there is something for
    /// it; with `None`, never. `sleep` makes a future that is ready after the time it is given.
    ///
    /// Under [`Policy::Block`](chat_hub::Policy::Block) somebody must do this.
    pub fn with_stall_timeout<F, T>(
        self,
        timeout: Option<Duration>,
        sleep: F,
    ) -> StallLimit<S, P, F, T>
    where
        F: FnMut(Duration) -> T,
        T: Future,
    {
        StallLimit::new(self, timeout, sleep)
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Parts from a client that is not to get all there is for it, where dropping the session could
    /// end inside a message. The session is polled again: it writes the rest of a message that the
    /// stream cut, closes the sending side, and waits for the client to close. From now on it reads
    /// no message and is in nobody's way.
    ///
    /// It may have ended before, unless the stream failed. The caller sets the deadline, by dropping
    /// the session.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_hub::Hub;
    /// use chat_session::Session;
    /// use futures::io::Cursor;
    ///
    /// let mut stream = Cursor::new(b"\x05hello".to_vec());
    /// let mut session = Session::new(&mut stream, &Hub::default());
    /// session.part();
    /// let summary = futures::executor::block_on(session)?;
    /// assert_eq!((summary.published, summary.delivered), (0, 0));
    /// # Ok::<(), chat_session::SessionError>(())
    /// ```
    pub fn part(&mut self) {
        self.writer.end();
        self.reader.pass();
        self.is_holding_back = false;
        if !matches!(self.stage, Stage::Closing(_) | Stage::Lingering) {
            self.stage = Stage::Parting;
        }
    }

    /// Ends the session and returns the stream. The client may have the beginning of a message and
    /// not the rest.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Returns what the session has done so far.
    pub fn summary(&self) -> Summary {
        let subscriber = self.writer.subscriber();
        let passed = subscriber.position().message_pos() - self.joined;
        let dropped = subscriber.dropped();
        Summary {
            published: self.reader.message_count(),
            delivered: passed.saturating_sub(dropped),
            dropped,
        }
    }

    /// Returns how many messages the client has lost by now. A client whose stream takes nothing
    /// finds out about its losses later, so [`summary`](Self::summary) may not have all of them.
    pub fn lost(&self) -> u64 {
        self.writer.subscriber().lost()
    }

    /// Tells whether the client's stream took nothing when it was last tried.
    pub fn is_stalled(&self) -> bool {
        self.writer.is_stalled() || self.is_holding_back
    }

    /// Returns the number of the message that the client has begun and not finished, if the session
    /// waits for nothing but the rest: how many messages came before it. While it does not read, as
    /// when there is no room for more, it does not wait.
    pub fn unfinished(&self) -> Option<u64> {
        let is_waiting = self.stage == Stage::Serving && self.reader.is_inside_message();
        is_waiting.then(|| self.reader.message_count())
    }

    /// Tells whether the client's stream has a part of a message, and not the rest.
    pub fn is_inside_message(&self) -> bool {
        self.writer.is_inside_message()
    }

    /// Tells whether the client has ended its sending side.
    pub fn is_half_closed(&self) -> bool {
        let end = ReadEnd::EndOfStream;
        [Stage::Settling, Stage::Draining(end), Stage::Closing(end)].contains(&self.stage)
    }

    /// Returns how many bytes the client's stream has taken.
    pub fn written(&self) -> u64 {
        self.writer.written()
    }

    /// Has the next poll try the client's stream again, though it has not said that it would take
    /// more.
    pub(crate) fn retry(&self) {
        self.stream_flag.raise();
    }

    /// Ends the session for a reason. From then on it is in nobody's way.
    pub(crate) fn fail(&mut self, reason: EndReason) -> SessionError {
        self.stage = Stage::Closed;
        self.writer.end();
        self.reader.pass();
        SessionError::new(reason, self.summary())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, P: Publish> Session<S, P> {
    /// Goes on with the present stage; is ready when the next one has begun.
    fn poll_stage(&mut self, cx: &mut Context<'_>, is_woken: bool) -> Poll<Result<(), EndReason>> {
        self.stage = match self.stage {
            Stage::Serving => ready!(self.poll_serve(cx, is_woken))?,
            Stage::Settling => ready!(self.poll_settle(cx, is_woken))?,
            Stage::Draining(end) => {
                ready!(self.poll_write(cx, is_woken))?;
                Stage::Closing(end)
            }
            Stage::Closing(end) => {
                let closed = Pin::new(&mut self.stream).poll_close(cx);
                // While the hub is ending, whoever ends it has a deadline for all clients.
                self.is_holding_back = closed.is_pending() && end == ReadEnd::EndOfStream;
                ready!(closed).map_err(EndReason::Write)?;
                match end {
                    ReadEnd::EndOfStream => Stage::Closed,
                    ReadEnd::Closed => Stage::Lingering,
                }
            }
            Stage::Lingering => {
                ready!(self.poll_discard(cx)).map_err(EndReason::Read)?;
                Stage::Closed
            }
            Stage::Parting => {
                ready!(self.poll_part(cx))?;
                Stage::Closing(ReadEnd::Closed)
            }
            Stage::Closed => Stage::Closed,
        };
        Poll::Ready(Ok(()))
    }

    /// Writes first, so that the messages this poll reads go out with those that other sessions
    /// read in theirs.
    fn poll_serve(
        &mut self,
        cx: &mut Context<'_>,
        is_woken: bool,
    ) -> Poll<Result<Stage, EndReason>> {
        if self.poll_write(cx, is_woken)?.is_ready() {
            self.reader.pass();
            return Poll::Ready(Ok(Stage::Closing(ReadEnd::Closed)));
        }
        let waker = self.stream_flag.waker(cx.waker());
        let mut stream_cx = Context::from_waker(&waker);
        let read = self
            .reader
            .poll_turn(cx, &mut stream_cx, is_woken, &mut self.stream);
        let end = ready!(read).map_err(EndReason::Read)?;
        Poll::Ready(Ok(match end {
            ReadEnd::EndOfStream => Stage::Settling,
            ReadEnd::Closed => Stage::Draining(end),
        }))
    }

    /// Writes until it is known where the client's last message stands.
    fn poll_settle(
        &mut self,
        cx: &mut Context<'_>,
        is_woken: bool,
    ) -> Poll<Result<Stage, EndReason>> {
        if let Poll::Ready(end) = self.reader.poll_end(cx) {
            if let Ok(end) = end {
                self.writer.end_at(end);
            }
            return Poll::Ready(Ok(Stage::Draining(ReadEnd::EndOfStream)));
        }
        ready!(self.poll_write(cx, is_woken))?;
        Poll::Ready(Ok(Stage::Closing(ReadEnd::EndOfStream)))
    }

    /// Writes for a while; is ready when everything has been written that there will ever be.
    fn poll_write(&mut self, cx: &mut Context<'_>, is_woken: bool) -> Poll<Result<(), EndReason>> {
        if self.writer.is_stalled() && !is_woken {
            return Poll::Pending;
        }
        let Self {
            stream,
            writer,
            stream_flag,
            is_unflushed,
            ..
        } = self;
        let waker = stream_flag.waker(cx.waker());
        let mut stream_cx = Context::from_waker(&waker);
        let progress = writer.advance(cx, &waker, |slices| {
            let stream = Pin::new(&mut *stream);
            *is_unflushed = true;
            would_block(match slices {
                [slice] => stream.poll_write(&mut stream_cx, slice),
                slices => stream.poll_write_vectored(&mut stream_cx, slices),
            })
        });
        match progress.map_err(EndReason::of_write)? {
            Progress::CaughtUp => {
                ready!(self.poll_flush(cx))?;
                Poll::Pending
            }
            Progress::Ended => self.poll_flush(cx),
            Progress::Stalled | Progress::Yielded => Poll::Pending,
        }
    }

    /// Writes the rest of a message that the stream cut.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), EndReason>> {
        let Self {
            stream,
            writer,
            stream_flag,
            ..
        } = self;
        let waker = stream_flag.waker(cx.waker());
        let mut stream_cx = Context::from_waker(&waker);
        let finished = writer.finish_message(|slices| {
            would_block(Pin::new(&mut *stream).poll_write_vectored(&mut stream_cx, slices))
        });
        if !finished.map_err(EndReason::of_write)? {
            return Poll::Pending;
        }
        self.is_unflushed = true;
        self.poll_flush(cx)
    }

    /// Sees to it that what was written is on its way.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), EndReason>> {
        if self.is_unflushed {
            // It may take the place of a read that waits to write.
            let waker = self.stream_flag.waker(cx.waker());
            let mut stream_cx = Context::from_waker(&waker);
            let flushed = Pin::new(&mut self.stream).poll_flush(&mut stream_cx);
            self.is_holding_back = flushed.is_pending();
            ready!(flushed).map_err(EndReason::Write)?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads to the end of the stream and throws away what it reads.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..DISCARDS_MAX {
            let read = scratch::with(|buf| Pin::new(&mut self.stream).poll_read(cx, buf));
            match ready!(read) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S, P> Future for Session<S, P>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Publish + Unpin,
{
    type Output = Result<Summary, SessionError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let session = self.get_mut();
        let mut is_woken = session.stream_flag.lower(cx.waker());
        while session.stage != Stage::Closed {
            if let Err(reason) = ready!(session.poll_stage(cx, is_woken)) {
                return Poll::Ready(Err(session.fail(reason)));
            }
            // A new stage begins with what the stream is ready for by now.
            is_woken = true;
        }
        Poll::Ready(Ok(session.summary()))
    }
}

/// How many reads a poll throws away at most. A judgement, for fairness to other sessions.
const DISCARDS_MAX: usize = 4;
