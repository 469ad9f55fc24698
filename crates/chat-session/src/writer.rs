//! The writing half of a session: from the hub to the stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chat_hub::{Batch, Position, Subscriber};
use futures::io::AsyncWrite;

use crate::SessionError;
use crate::flag::Flag;

/// Writes everything that is published to a stream.
#[derive(Debug)]
pub(crate) struct Writer {
    subscriber: Subscriber,
    /// Raised when the stream may take more. It counts only while the writer is blocked.
    writable: Flag,
    /// Whether the stream took nothing when it was last tried.
    is_blocked: bool,
    /// Whether the stream may hold bytes back.
    is_unflushed: bool,
    /// How many bytes the stream has taken.
    written: u64,
    /// The rest of a message whose beginning has been written. It is kept here, so that a session
    /// that waits holds none of the log.
    owed: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(subscriber: Subscriber) -> Self {
        Self {
            subscriber,
            writable: Flag::default(),
            is_blocked: false,
            is_unflushed: false,
            written: 0,
            owed: Vec::new(),
        }
    }

    /// Writes for a turn: until everything is written, the stream takes nothing more, or
    /// [`WRITE_LEN`] bytes or more were written. In the last case the task has been woken. It
    /// is ready once all there will ever be has been written.
    pub(crate) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: impl AsyncWrite + Unpin,
    ) -> Poll<Result<(), SessionError>> {
        let is_writable = self.writable.lower(cx.waker());
        if self.is_blocked && !is_writable {
            return Poll::Pending;
        }
        self.is_blocked = false;
        let mut budget = WRITE_LEN;
        while budget > 0 {
            match self.poll_write(cx, &mut stream) {
                _ if self.subscriber.is_disconnected() => {
                    return Poll::Ready(Err(SessionError::Lagged));
                }
                Poll::Ready(Ok(0)) => return self.poll_flush(cx, stream),
                Poll::Ready(Ok(len)) => budget = budget.saturating_sub(len),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SessionError::Write(error))),
                Poll::Pending if self.is_blocked => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.poll_flush(cx, stream))?;
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the writing at a place in the log.
    pub(crate) fn end_at(&mut self, end: Position) {
        self.subscriber.end_at(end);
    }

    /// Has the next turn try the stream again.
    pub(crate) fn unblock(&self) {
        self.writable.raise();
    }

    /// Tells whether the stream took nothing when it was last tried.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Returns how many bytes the stream has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Returns how many messages the client has lost.
    pub(crate) fn dropped(&self) -> u64 {
        self.subscriber.dropped()
    }

    /// Writes once: what is owed, else the next batch. Returns how many bytes the stream took, 0 at
    /// the end.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: impl AsyncWrite + Unpin,
    ) -> Poll<io::Result<usize>> {
        let waker = self.writable.waker(cx.waker());
        let mut stream_cx = Context::from_waker(&waker);
        let poll = if self.owed.is_empty() {
            let Some(batch) = ready!(self.subscriber.poll_batch(cx)) else {
                return Poll::Ready(Ok(0));
            };
            let poll = poll_write_batch(&mut stream_cx, stream, &batch);
            if let Poll::Ready(Ok(len)) = poll {
                self.owed = batch.consume(len);
            }
            poll
        } else {
            let poll = poll_write_slice(&mut stream_cx, stream, &self.owed);
            if let Poll::Ready(Ok(len)) = poll {
                self.owed.drain(..len);
            }
            poll
        };
        match poll {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(len)) => {
                self.is_unflushed = true;
                self.written += len as u64;
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                // Nobody waits for this session, and it holds nothing of the log. The hub asks as
                // the stream would: by the flag.
                self.is_blocked = true;
                self.subscriber.block(&mut stream_cx);
                Poll::Pending
            }
        }
    }

    /// Sees to it that what was written is on its way.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: impl AsyncWrite + Unpin,
    ) -> Poll<Result<(), SessionError>> {
        if self.is_unflushed {
            ready!(Pin::new(&mut stream).poll_flush(cx)).map_err(SessionError::Write)?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes as much of a batch as the stream takes at once.
fn poll_write_batch(
    cx: &mut Context<'_>,
    mut stream: impl AsyncWrite + Unpin,
    batch: &Batch<'_>,
) -> Poll<io::Result<usize>> {
    let mut chunks = batch.chunks();
    if chunks.len() == 1 {
        return poll_write_slice(cx, stream, chunks.next().unwrap_or_default());
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = chunks.len().min(SLICES_MAX);
    for (slice, chunk) in slices.iter_mut().zip(chunks) {
        *slice = IoSlice::new(chunk);
    }
    Pin::new(&mut stream).poll_write_vectored(cx, &slices[..count])
}

fn poll_write_slice(
    cx: &mut Context<'_>,
    mut stream: impl AsyncWrite + Unpin,
    slice: &[u8],
) -> Poll<io::Result<usize>> {
    Pin::new(&mut stream).poll_write(cx, slice)
}

/// After how many bytes a turn ends: a batch. A judgement: a socket's send buffer is hardly longer.
const WRITE_LEN: usize = 256 * 1024;

/// How many slices one vectored write is given at most; a batch has hardly ever more chunks.
const SLICES_MAX: usize = 64;
