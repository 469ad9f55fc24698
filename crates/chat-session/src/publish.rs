//! The place where a session publishes.

use std::task::{Context, Poll};

use chat_hub::{Closed, Position, Publisher};
use chat_proto::Messages;

/// Publishes a client's messages.
///
/// A session reads only as much as it has been promised room for, so it holds no queue. The
/// position of a client's last message may be known much later than the message was accepted, as
/// with a log that is shared by several machines.
///
/// The implementation for [`Publisher`] publishes to a hub in this process.
pub trait Publish {
    /// Waits for room; is ready with how many bytes of messages [`poll_accept`](Self::poll_accept)
    /// takes next, at least one, and 255 more for a message that had begun to arrive before.
    ///
    /// The promise holds until it is used or given up, even if nothing more is accepted after that.
    ///
    /// # Errors
    ///
    /// [`Closed`] when no more messages are accepted.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>>;

    /// Accepts messages, and takes those it has accepted off the front of `messages`. Is ready when
    /// it has accepted all.
    ///
    /// # Errors
    ///
    /// [`Closed`] when no more messages are accepted. Those that are left are lost, which an
    /// implementation avoids by keeping its promises.
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>>;

    /// Gives up the room that was promised, or the waiting for it.
    fn pass(&mut self);

    /// Waits until it is known where the last message stands that was accepted; is ready with the
    /// position after it in the log of the session's subscriber, and any earlier position when none
    /// was accepted. Called once nothing more is to be accepted.
    ///
    /// # Errors
    ///
    /// [`Closed`] when that will not be known. The session goes on to the end of the log then.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, Closed>>;
}

impl Publish for Publisher {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        Publisher::poll_ready(self, cx)
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        self.poll_publish(cx, messages).map_ok(drop)
    }

    fn pass(&mut self) {
        Publisher::pass(self);
    }

    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        Poll::Ready(Ok(self.position()))
    }
}
