//! The reading half of a session: from the stream into the hub.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use chat_hub::{Closed, Position, Publisher};
use chat_proto::Messages;
use futures::io::AsyncRead;

use crate::flag::Flag;
use crate::scratch::{self, READ_LEN};

/// Reads a stream and publishes every message of it.
#[derive(Debug)]
pub(crate) struct Reader {
    publisher: Publisher,
    /// Raised when the stream may have something to read.
    readable: Flag,
    /// What was read and not published: messages that the hub did not take yet, and the beginning
    /// of one whose end has not arrived. As long as a whole message is kept, nothing is read.
    kept: Vec<u8>,
    /// Behind the last message that was published.
    end: Position,
    message_count: u64,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The client ended its sending side.
    EndOfStream,
    /// The hub was closed.
    HubClosed,
}

impl Reader {
    /// Makes a reader. `start` is where the client joined.
    pub(crate) fn new(publisher: Publisher, start: Position) -> Self {
        Self {
            publisher,
            readable: Flag::default(),
            kept: Vec::new(),
            end: start,
            message_count: 0,
        }
    }

    /// Returns the position behind the client's last message.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Returns how many messages were published.
    pub(crate) fn message_count(&self) -> u64 {
        self.message_count
    }

    /// Reads and publishes for a turn: until the stream has nothing more, the hub takes nothing
    /// more, or [`READ_LEN`] bytes were read. In the last case the task has been woken.
    pub(crate) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        stream: impl AsyncRead + Unpin,
    ) -> Poll<io::Result<ReadEnd>> {
        if !self.readable.lower(cx.waker()) {
            return Poll::Pending;
        }
        let end = scratch::with(|buf| self.poll_read(cx, stream, buf));
        match end {
            Ok(Some(end)) => Poll::Ready(Ok(end)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Does the work of a turn. Returns `None` when there is more to come and the task will be
    /// woken for it.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: impl AsyncRead + Unpin,
        buf: &mut [u8],
    ) -> io::Result<Option<ReadEnd>> {
        let mut budget = READ_LEN;
        loop {
            match self.poll_publishable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Closed)) => return Ok(Some(ReadEnd::HubClosed)),
                Poll::Pending => {
                    self.readable.raise();
                    return Ok(None);
                }
            }
            let kept_len = self.kept.len();
            buf[..kept_len].copy_from_slice(&self.kept);
            let waker = self.readable.waker(cx.waker());
            let read = Pin::new(&mut stream).poll_read(
                &mut Context::from_waker(&waker),
                &mut buf[kept_len..kept_len + budget],
            );
            match read {
                Poll::Pending => return Ok(None),
                Poll::Ready(Ok(0)) => return Ok(Some(ReadEnd::EndOfStream)),
                Poll::Ready(Ok(len)) => {
                    // Whether the hub took everything is seen before the next read.
                    let _ = self.poll_publish(cx, &buf[..kept_len + len]);
                    budget -= len;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
            if budget == 0 {
                self.readable.raise();
                cx.waker().wake_by_ref();
                return Ok(None);
            }
        }
    }

    /// Waits until the hub takes messages, and publishes those it did not take before.
    fn poll_publishable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if Messages::split(&self.kept).0.is_empty() {
            return self.publisher.poll_ready(cx);
        }
        let received = std::mem::take(&mut self.kept);
        self.poll_publish(cx, &received)
    }

    /// Publishes the whole messages in `received` and keeps what is left.
    fn poll_publish(&mut self, cx: &mut Context<'_>, received: &[u8]) -> Poll<Result<(), Closed>> {
        let (mut messages, rest) = Messages::split(received);
        let count = messages.count();
        let poll = if count == 0 {
            Poll::Ready(Ok(self.end))
        } else {
            self.publisher.poll_publish(cx, &mut messages)
        };
        self.message_count += (count - messages.count()) as u64;
        let kept_len = messages.as_bytes().len() + rest.len();
        self.kept.clear();
        self.kept
            .extend_from_slice(&received[received.len() - kept_len..]);
        poll.map_ok(|end| self.end = end)
    }
}
