//! The reading half of a session: from the stream into the hub.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chat_hub::{Closed, Position, Publisher};
use chat_proto::Messages;
use futures::io::AsyncRead;
use futures::task::waker_ref;

use crate::flag::Flag;
use crate::scratch::{self, READ_LEN};

/// Reads a stream and publishes every message of it.
#[derive(Debug)]
pub(crate) struct Reader {
    publisher: Publisher,
    /// Raised when the stream may have something to read.
    readable: Arc<Flag>,
    /// The beginning of a message whose end has not arrived.
    unfinished: Vec<u8>,
    /// Whole messages that could not be published yet. Nothing is read meanwhile.
    unpublished: Vec<u8>,
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
        let readable = Flag::new();
        readable.raise();
        Self { publisher, readable, unfinished: Vec::new(), unpublished: Vec::new(), end: start, message_count: 0 }
    }

    /// Returns the position behind the client's last message.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Returns how many messages were published.
    pub(crate) fn message_count(&self) -> u64 {
        self.message_count
    }

    /// Reads and publishes for a turn: until the stream has nothing more, the hub takes nothing more, or [`READ_LEN`] bytes were read.
    /// In the last case the task has been woken.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>, stream: impl AsyncRead + Unpin) -> Poll<io::Result<ReadEnd>> {
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

    /// Does the work of a turn. Returns `None` when there is more to come and the task will be woken for it.
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
            let kept_len = self.unfinished.len();
            buf[..kept_len].copy_from_slice(&self.unfinished);
            let waker = waker_ref(&self.readable);
            let read = Pin::new(&mut stream).poll_read(&mut Context::from_waker(&waker), &mut buf[kept_len..kept_len + budget]);
            match read {
                Poll::Pending => return Ok(None),
                Poll::Ready(Ok(0)) => return Ok(Some(ReadEnd::EndOfStream)),
                Poll::Ready(Ok(len)) => {
                    self.publish(cx, &buf[..kept_len + len]);
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
        if self.unpublished.is_empty() {
            return self.publisher.poll_ready(cx);
        }
        let received = std::mem::take(&mut self.unpublished);
        let (messages, _) = Messages::split(&received);
        self.poll_publish(cx, messages)
    }

    /// Publishes the whole messages in `received` and keeps the rest.
    fn publish(&mut self, cx: &mut Context<'_>, received: &[u8]) {
        let (messages, rest) = Messages::split(received);
        self.unfinished.clear();
        self.unfinished.extend_from_slice(rest);
        if !messages.is_empty() {
            // Whether the hub took them all is seen before the next read.
            let _ = self.poll_publish(cx, messages);
        }
    }

    /// Publishes messages, and keeps those that the hub does not take now.
    fn poll_publish(&mut self, cx: &mut Context<'_>, mut messages: Messages<'_>) -> Poll<Result<(), Closed>> {
        let count = messages.count();
        let poll = self.publisher.poll_publish(cx, &mut messages);
        self.message_count += (count - messages.count()) as u64;
        match poll {
            Poll::Ready(Ok(end)) => {
                self.end = end;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(closed)) => Poll::Ready(Err(closed)),
            Poll::Pending => {
                self.unpublished = messages.as_bytes().to_vec();
                Poll::Pending
            }
        }
    }
}
