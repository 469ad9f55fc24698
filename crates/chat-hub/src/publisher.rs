//! Publishing.

use std::future::poll_fn;
use std::task::{Context, Poll};

use chat_proto::Messages;

use crate::Position;
use crate::blocking;
use crate::hub::Shared;
use crate::sync::Arc;
use crate::wait::Ticket;

/// Publishes messages to all subscribers of a hub.
///
/// Each publisher's messages keep their order; those of several publishers interleave in one order
/// that all subscribers see.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    /// This publisher's place among those that wait.
    ticket: Option<Ticket>,
}

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ticket: None,
        }
    }

    /// Publishes messages, waiting for subscribers that could be written to and are more than half
    /// the log behind.
    ///
    /// Returns the position behind the last of them; for an empty run that is the end of the log,
    /// wherever it is by now. A run longer than the log's half may be published in parts, with
    /// messages of other publishers between. Dropping the future stops before a part.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed; what had not been published by then is not published.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_hub::{Closed, Hub};
    /// use chat_proto::Messages;
    ///
    /// # futures::executor::block_on(async {
    /// let hub = Hub::default();
    /// let mut publisher = hub.publisher();
    /// let (messages, _) = Messages::split(b"\x05hello");
    /// assert_eq!(publisher.publish(messages).await.unwrap().message_pos(), 1);
    ///
    /// hub.close();
    /// assert_eq!(publisher.publish(messages).await, Err(Closed));
    /// # });
    /// ```
    pub async fn publish(&mut self, mut messages: Messages<'_>) -> Result<Position, Closed> {
        poll_fn(|cx| self.poll_publish(cx, &mut messages)).await
    }

    /// Publishes messages as [`publish`](Self::publish) does; the thread is parked while it waits.
    /// Not for async tasks.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed; what had not been published by then is not published.
    pub fn publish_blocking(&mut self, mut messages: Messages<'_>) -> Result<Position, Closed> {
        blocking::wait(|cx| self.poll_publish(cx, &mut messages))
    }

    /// Publishes as many of `messages` as may be published now and takes those off its front; is
    /// pending while some are left.
    ///
    /// Costs one copy of the bytes, and one wake for every subscriber that had read everything.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed.
    pub fn poll_publish(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<Position, Closed>> {
        self.shared.with_state(|state| {
            if state.closed {
                return Poll::Ready(Err(Closed));
            }
            state.append(messages);
            if messages.is_empty() {
                return Poll::Ready(Ok(state.log.end()));
            }
            state.wait_to_publish(&mut self.ticket, cx.waker());
            Poll::Pending
        })
    }

    /// Waits until messages may be published.
    ///
    /// Ask before you take in what you would then have to keep. Others may publish in between, so
    /// [`poll_publish`](Self::poll_publish) can still be pending, but seldom.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.shared.with_state(|state| {
            if state.closed {
                return Poll::Ready(Err(Closed));
            }
            if state.may_publish() {
                return Poll::Ready(Ok(()));
            }
            state.wait_to_publish(&mut self.ticket, cx.waker());
            Poll::Pending
        })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.shared
                .with_state(|state| state.leave_publisher(&mut self.ticket));
        }
    }
}

/// Says that the hub was closed: it takes no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub is closed")]
pub struct Closed;
