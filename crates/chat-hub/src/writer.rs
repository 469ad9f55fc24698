//! Writing batches to a stream.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use crate::log::{PIECES_MAX, STRETCH_LEN, Stretch};
use crate::{Ender, Position, Subscriber, blocking};

/// Writes everything that is published to a stream: a subscriber and the rest of a message that the
/// stream cut.
///
/// There is one loop for all ways of doing I/O. It takes a batch, writes it many messages a call,
/// consumes what the stream took, keeps what it still owes the stream, and tells the hub when the
/// stream takes nothing. While it waits it holds none of the log's memory.
///
/// | You have | Call |
/// |---|---|
/// | a task or an event loop | [`advance`](Self::advance), whenever it may go on |
/// | a task for the writing alone | [`write`](Self::write) |
/// | a thread and a blocking stream | [`write_blocking`](Self::write_blocking) |
#[derive(Debug)]
pub struct Writer {
    subscriber: Subscriber,
    owed: Owed,
    /// Whether the stream took nothing when it was last tried.
    is_stalled: bool,
    /// Whether nothing more is written but the rest of a message.
    has_ended: bool,
    /// How many bytes the stream has taken.
    written: u64,
}

/// How far a [`Writer`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything there is has been written. The task is woken when there is more.
    CaughtUp,
    /// The stream takes nothing. The stream wakes the task, or the hub does.
    Stalled,
    /// So much was written that others have to go on. The task has been woken.
    Yielded,
    /// Everything there will ever be has been written.
    Ended,
}

/// Why a [`Writer`] cannot go on. Its subscription has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream did not keep up, and the hub's policy is to disconnect it.
    #[error("the stream did not keep up, and the policy is to disconnect")]
    Lagged,
}

impl Writer {
    /// Makes a writer of a subscriber.
    pub fn new(subscriber: Subscriber) -> Self {
        Self {
            subscriber,
            owed: Owed(Vec::new()),
            is_stalled: false,
            has_ended: false,
            written: 0,
        }
    }

    /// Writes until everything is written, the stream takes nothing more, or 256 KiB or more were
    /// written.
    ///
    /// `write` writes some of the slices and returns how many bytes the stream took, as
    /// [`Write::write_vectored`](io::Write::write_vectored) does; with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) it says that the stream takes nothing at the
    /// moment and will wake the task. A write that was interrupted is repeated.
    ///
    /// The task of `cx` is woken when there are messages for it. `retry` is woken when the stream
    /// must be tried again; it is `cx.waker()` unless the task wants to tell these two apart.
    ///
    /// # Errors
    ///
    /// [`WriteError`] when the stream fails, takes no bytes without an error, or did not keep up.
    /// The subscription has ended then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{IoSlice, Write};
    /// use std::task::{Context, Waker};
    ///
    /// use chat_hub::{Hub, Progress};
    /// use chat_proto::Messages;
    ///
    /// let hub = Hub::default();
    /// let mut writer = hub.subscribe().into_writer();
    /// let (mut messages, _) = Messages::split(b"\x05hello\x05world");
    /// hub.publisher().try_publish(&mut messages).unwrap();
    ///
    /// let mut stream = Vec::new();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let progress = writer.advance(&mut cx, Waker::noop(), |slices| stream.write_vectored(slices))?;
    /// assert_eq!(progress, Progress::CaughtUp);
    /// assert_eq!(stream, b"\x05hello\x05world");
    /// # Ok::<(), chat_hub::WriteError>(())
    /// ```
    pub fn advance(
        &mut self,
        cx: &mut Context<'_>,
        retry: &Waker,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<Progress, WriteError> {
        let progress = self.try_advance(cx, retry, write);
        if progress.is_err() {
            self.end();
        }
        progress
    }

    /// Writes until everything there will ever be has been written.
    ///
    /// `poll_write` polls the stream as `AsyncWrite::poll_write_vectored` does; pass `&mut` of it
    /// to write more than once. It is for streams that need no flush. The future may be dropped
    /// at any time and writing be taken up again later; from then on nobody waits for the
    /// subscriber.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    pub async fn write(
        &mut self,
        mut poll_write: impl FnMut(&mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Result<(), WriteError> {
        let writing = Writing(self);
        poll_fn(|cx| {
            let retry = cx.waker().clone();
            let mut stream_cx = Context::from_waker(&retry);
            let progress = writing.0.advance(cx, &retry, |slices| {
                would_block(poll_write(&mut stream_cx, slices))
            });
            match progress {
                Ok(Progress::Ended) => Poll::Ready(Ok(())),
                Ok(Progress::CaughtUp | Progress::Stalled | Progress::Yielded) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Writes until everything there will ever be has been written; the thread is parked while
    /// there is nothing to write. Not for async tasks.
    ///
    /// Every write counts as a stall until it returns, since it may block. So the hub needs a
    /// [`Clock`](crate::Clock): without one, the subscriber is a laggard during every write.
    ///
    /// The stream blocks the thread while it is full. The hub learns what it takes when a write
    /// returns, so up to 16 KiB at a time are copied and written.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    pub fn write_blocking(&mut self, stream: &mut impl io::Write) -> Result<(), WriteError> {
        let mut buf = Vec::with_capacity(BLOCKING_WRITE_LEN);
        loop {
            let Some(stretch) = blocking::wait(|cx| self.subscriber.poll_read(cx)) else {
                let is_disconnected = self.subscriber.is_disconnected();
                return if is_disconnected {
                    Err(WriteError::Lagged)
                } else {
                    Ok(())
                };
            };
            self.take(&stretch, &mut buf);
            drop(stretch);
            // Nobody can tell when a thread is in a write, so it says so before.
            self.subscriber.stall(Waker::noop());
            if let Err(error) = stream.write_all(&buf) {
                self.end();
                return Err(error.into());
            }
            self.written += buf.len() as u64;
        }
    }

    /// Ends the writing at a place in the log.
    ///
    /// # Panics
    ///
    /// When the position is another hub's.
    pub fn end_at(&mut self, end: Position) {
        self.subscriber.end_at(end);
    }

    /// Makes a handle that ends the writing while another task or thread writes.
    pub fn ender(&self) -> Ender {
        self.subscriber.ender()
    }

    /// Ends the writing here, in the middle of a message if the stream has a part of one; then
    /// [`finish_message`](Self::finish_message) writes the rest.
    pub fn end(&mut self) {
        self.is_stalled = false;
        self.has_ended = true;
        self.subscriber.end();
    }

    /// Writes the rest of a message that the stream has a part of, and nothing more; tells whether
    /// the stream has whole messages then. It has not when it takes nothing more for now, as `write`
    /// says: see [`advance`](Self::advance).
    ///
    /// # Errors
    ///
    /// [`WriteError::Io`] when the stream fails, or takes no bytes without an error.
    pub fn finish_message(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<bool, WriteError> {
        while self.is_inside_message() {
            match self.write_owed(&mut write) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(len) => self.written += len as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Tells whether the stream took nothing when it was last tried.
    pub fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Tells whether the stream has a part of a message, and not the rest.
    pub fn is_inside_message(&self) -> bool {
        !self.owed.0.is_empty()
    }

    /// Returns how many bytes the stream has taken.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Returns the subscriber, for its counts.
    pub fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    fn try_advance(
        &mut self,
        cx: &mut Context<'_>,
        retry: &Waker,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<Progress, WriteError> {
        self.is_stalled = false;
        if self.has_ended {
            return self.ended();
        }
        let mut budget = STRETCH_LEN;
        while budget > 0 {
            let written = if self.is_inside_message() {
                self.write_owed(&mut write)
            } else {
                let Poll::Ready(stretch) = self.subscriber.poll_read(cx) else {
                    return Ok(Progress::CaughtUp);
                };
                let Some(stretch) = stretch else {
                    return self.ended();
                };
                self.write_stretch(&stretch, &mut write)
            };
            match written {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(len) => {
                    self.written += len as u64;
                    budget = budget.saturating_sub(len);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.stalled(retry);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(Progress::Yielded)
    }

    /// Writes once, of what the log holds.
    fn write_stretch(
        &mut self,
        stretch: &Stretch,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut chunks = stretch.chunks();
        let count = chunks.len();
        let len = if count == 1 {
            write(&[IoSlice::new(chunks.next().map_or(&[], |chunk| &chunk[..]))])?
        } else {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            for (slice, chunk) in slices.iter_mut().zip(chunks) {
                *slice = IoSlice::new(chunk);
            }
            write(&slices[..count])?
        };
        self.owed
            .0
            .extend_from_slice(self.subscriber.consume(stretch, len));
        Ok(len)
    }

    /// Writes once, of what is owed.
    fn write_owed(
        &mut self,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let len = write(&[IoSlice::new(&self.owed.0)])?;
        self.owed.0.drain(..len);
        Ok(len)
    }

    /// Copies what a blocking write takes, and what it owes, into `buf`.
    fn take(&mut self, stretch: &Stretch, buf: &mut Vec<u8>) {
        buf.clear();
        for chunk in stretch.chunks() {
            let len = chunk.len().min(BLOCKING_WRITE_LEN - buf.len());
            buf.extend_from_slice(&chunk[..len]);
        }
        let owed = self.subscriber.consume(stretch, buf.len());
        buf.extend_from_slice(owed);
    }

    /// Tells the hub that the stream takes nothing.
    fn stalled(&mut self, retry: &Waker) -> Result<Progress, WriteError> {
        let is_over = self.subscriber.stall_or_end(retry);
        if is_over && !self.is_inside_message() {
            // It was ended during the write, when nobody waited to be woken.
            return self.ended();
        }
        self.is_stalled = true;
        if self.subscriber.is_disconnected() {
            return Err(WriteError::Lagged);
        }
        Ok(Progress::Stalled)
    }

    fn ended(&self) -> Result<Progress, WriteError> {
        if self.subscriber.is_disconnected() {
            return Err(WriteError::Lagged);
        }
        Ok(Progress::Ended)
    }
}

/// Says that a poll of a stream that is pending would block.
pub fn would_block(poll: Poll<io::Result<usize>>) -> io::Result<usize> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The rest of a message whose beginning has been written. It is kept here, so that a writer that
/// waits holds none of the log.
struct Owed(Vec<u8>);

impl std::fmt::Debug for Owed {
    /// Prints no messages.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A writer whose writing stops with the future that writes.
struct Writing<'a>(&'a mut Writer);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.subscriber.pause();
    }
}

/// How many bytes a thread copies for one write, and at most 255 more. A judgement: long enough
/// that the system call is little beside the copying, short enough that a stream which takes its
/// bytes at the rate is seen to take some within the grace.
const BLOCKING_WRITE_LEN: usize = 16 * 1024;
