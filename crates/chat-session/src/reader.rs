//! The reading half of a session: from the stream to where it publishes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use chat_hub::{Closed, Position};
use chat_proto::{Messages, MessagesBuf, Partial};
use futures::io::AsyncRead;

use crate::Publish;
use crate::scratch::{self, READ_LEN};

/// Reads a stream and publishes every message of it.
#[derive(Debug)]
pub(crate) struct Reader<P> {
    publisher: P,
    /// Whether to go on at the next turn, though the stream has not said that it has something.
    goes_on: bool,
    /// The beginning of a message whose end has not arrived.
    partial: Partial,
    /// Messages that were read and not accepted. As long as there are any, nothing is read.
    unaccepted: Option<Box<MessagesBuf>>,
    /// Whether the stream had nothing more when it was read last.
    is_waiting: bool,
    message_count: u64,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The client ended its sending side.
    EndOfStream,
    /// No more messages are accepted.
    Closed,
}

impl<P: Publish> Reader<P> {
    pub(crate) fn new(publisher: P) -> Self {
        Self {
            publisher,
            goes_on: true,
            partial: Partial::new(),
            unaccepted: None,
            is_waiting: false,
            message_count: 0,
        }
    }

    /// Returns how many messages were accepted.
    pub(crate) fn message_count(&self) -> u64 {
        self.message_count
    }

    /// Tells whether the stream has nothing more for now, and what it had ended inside a message.
    pub(crate) fn is_inside_message(&self) -> bool {
        self.is_waiting && !self.partial.is_empty()
    }

    /// Waits until it is known where the client's last message stands.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        self.publisher.poll_end(cx)
    }

    /// Gives up a turn to publish.
    pub(crate) fn pass(&mut self) {
        self.publisher.pass();
    }

    /// Reads and publishes for a turn: until the stream has nothing more, nothing more is accepted
    /// for now, or [`READ_LEN`] bytes were read. In the last case the task has been woken.
    ///
    /// `is_woken` tells whether the stream may have something to read; `stream_cx` is woken when it
    /// has.
    pub(crate) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        stream_cx: &mut Context<'_>,
        is_woken: bool,
        stream: impl AsyncRead + Unpin,
    ) -> Poll<io::Result<ReadEnd>> {
        if !std::mem::take(&mut self.goes_on) && !is_woken {
            return Poll::Pending;
        }
        let end = scratch::with(|buf| self.poll_read(cx, stream_cx, stream, buf));
        if !self.goes_on {
            self.publisher.pass();
        }
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
        stream_cx: &mut Context<'_>,
        mut stream: impl AsyncRead + Unpin,
        buf: &mut [u8],
    ) -> io::Result<Option<ReadEnd>> {
        self.is_waiting = false;
        let mut budget = READ_LEN;
        while budget > 0 {
            let len = match self.poll_ready(cx) {
                Poll::Ready(Ok(len)) => len.min(budget),
                Poll::Ready(Err(Closed)) => return Ok(Some(ReadEnd::Closed)),
                Poll::Pending => {
                    self.goes_on = true;
                    return Ok(None);
                }
            };
            let carried_len = self.partial.prepend(buf);
            let unread = &mut buf[carried_len..][..len];
            match Pin::new(&mut stream).poll_read(stream_cx, unread) {
                Poll::Pending => {
                    self.is_waiting = true;
                    return Ok(None);
                }
                Poll::Ready(Ok(0)) => return Ok(Some(ReadEnd::EndOfStream)),
                Poll::Ready(Ok(len)) => {
                    let messages = self.partial.split(&buf[..carried_len + len]);
                    // Whether everything was accepted is seen before the next read.
                    let _ = self.poll_accept(cx, messages);
                    budget -= len;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        // Messages that were read under a promise are still to be accepted.
        if self.unaccepted.is_none() {
            self.publisher.pass();
        }
        self.goes_on = true;
        cx.waker().wake_by_ref();
        Ok(None)
    }

    /// Waits until what was read before is accepted and there is room for more; is ready with how
    /// many bytes may be read.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        if let Some(unaccepted) = self.unaccepted.take() {
            match self.poll_accept(cx, unaccepted.as_messages()) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(closed)) => return Poll::Ready(Err(closed)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.publisher.poll_ready(cx)
    }

    /// Has messages accepted, and keeps what is not.
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        mut messages: Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        if messages.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let count = messages.count();
        let poll = self.publisher.poll_accept(cx, &mut messages);
        self.message_count += (count - messages.count()) as u64;
        if !messages.is_empty() {
            self.unaccepted = Some(Box::new(MessagesBuf::from(messages)));
        }
        poll
    }
}
