//! Publishing.

use std::fmt;
use std::future::poll_fn;
use std::iter;
use std::task::{Context, Poll, Waker};

use chat_proto::{BODY_LEN_MAX, Messages};
use smallvec::SmallVec;

use crate::position::Place;
use crate::shared::Owner;
use crate::sync::Arc;
use crate::turns::{Seniority, Ticket};
use crate::{Position, blocking};

/// Publishes messages to all subscribers of a hub.
///
/// Each publisher's messages keep their order; those of several publishers interleave in one order
/// that all subscribers see. A clone is another publisher.
///
/// # Turns
///
/// Publishers publish in turns, each a part of bounded length. A part is a 32nd of the log's
/// capacity at most (in a log of less than 512 KiB, a 16th or 16 KiB, whichever is less), and less
/// while many publishers wait. Turns are given in the order in which publishers ask. From the
/// moment a publisher asks until it is polled in its turn, each other publisher publishes one part
/// at most.
///
/// Dropping the future that asked, [`pass`](Self::pass), and dropping the publisher free its place.
/// A publisher that was woken for its turn and never polls again makes the others wait, and so does
/// one that is [ready](Self::poll_ready) and never publishes. The hub's [`Clock`](crate::Clock)
/// takes its turn back after 16 graces, and a second at least; without a clock, nobody does.
pub struct Publisher {
    owner: Arc<Owner>,
    /// This publisher's place among those that ask for a turn.
    ticket: Option<Ticket>,
    seniority: Seniority,
    /// After the last message that was published.
    end: Place,
}

impl Publisher {
    pub(crate) fn new(owner: Arc<Owner>) -> Self {
        Self {
            owner,
            ticket: None,
            seniority: Seniority::default(),
            end: Place::default(),
        }
    }

    /// Publishes messages, waiting for its turns and for subscribers that keep up.
    ///
    /// Takes the messages that are published off the front of `messages`: when the future is
    /// dropped or fails, those that are left were not published. Returns the position after the
    /// last message; for an empty run that is the end of the log, wherever it is by now.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed.
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
    /// let (mut messages, _) = Messages::split(b"\x05hello");
    /// assert_eq!(publisher.publish(&mut messages).await.unwrap().message_pos(), 1);
    /// assert!(messages.is_empty());
    ///
    /// hub.close();
    /// let (mut messages, _) = Messages::split(b"\x05hello");
    /// assert_eq!(publisher.publish(&mut messages).await, Err(Closed));
    /// assert_eq!(messages.count(), 1);
    /// # });
    /// ```
    pub async fn publish(&mut self, messages: &mut Messages<'_>) -> Result<Position, Closed> {
        let asking = Asking(self);
        poll_fn(|cx| asking.0.poll_publish(cx, messages)).await
    }

    /// Publishes messages as [`publish`](Self::publish) does; the thread is parked while it waits.
    /// Not for async tasks.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed.
    pub fn publish_blocking(&mut self, messages: &mut Messages<'_>) -> Result<Position, Closed> {
        blocking::wait(|cx| self.poll_publish(cx, messages))
    }

    /// Publishes what can be published without waiting, and takes it off the front of `messages`.
    /// Gives up a place that this publisher had among those that wait.
    ///
    /// # Errors
    ///
    /// [`TryPublishError::Full`] when messages are left because other publishers or subscribers
    /// have to go on first, [`TryPublishError::Closed`] when the hub was closed.
    pub fn try_publish(
        &mut self,
        messages: &mut Messages<'_>,
    ) -> Result<Position, TryPublishError> {
        match self.publish_turns(None, messages) {
            Poll::Ready(Ok(end)) => Ok(end),
            Poll::Ready(Err(Closed)) => Err(TryPublishError::Closed),
            Poll::Pending => Err(TryPublishError::Full),
        }
    }

    /// Publishes as many of `messages` as may be published now and takes those off its front; is
    /// pending while some are left.
    ///
    /// Costs one copy of the bytes, and one wake for every subscriber that had read everything. The
    /// hub's lock is held for at most 32 KiB at a time, whatever the messages. A caller that
    /// stops polling before it is ready calls [`pass`](Self::pass).
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed.
    pub fn poll_publish(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<Position, Closed>> {
        self.publish_turns(Some(cx.waker()), messages)
    }

    /// Waits for a turn; is ready with how many bytes may be published in it, at least those of one
    /// message. 255 bytes more may be published for a message that had begun to arrive before.
    ///
    /// Ask before you take in what you would then have to keep. The turn stays until it is used by
    /// [`poll_publish`](Self::poll_publish) or given up by [`pass`](Self::pass), even when the hub
    /// is closed meanwhile: the next publish of so many bytes is neither pending nor
    /// [`Closed`]. Publishing an empty run gives the turn up.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the hub was closed.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        self.poll_turn(Some(cx.waker()))
    }

    /// Gives up the turn, or the waiting for it. Does nothing when there is none.
    pub fn pass(&mut self) {
        let Self { owner, ticket, .. } = self;
        if ticket.is_some() {
            owner.shared.with_state(|state| state.end_turn(ticket));
        }
    }

    /// Returns the position after the last message that this publisher has published, and the start
    /// of the log if there is none.
    ///
    /// A client that ends its sending side still receives everything up to here: see
    /// [`Subscriber::end_at`](crate::Subscriber::end_at).
    pub fn position(&self) -> Position {
        self.owner.shared.position(self.end)
    }

    fn publish_turns(
        &mut self,
        waker: Option<&Waker>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<Position, Closed>> {
        if messages.as_bytes().len() <= CUT_LEN
            && let Some(published) = self.publish_cut(waker, messages)
        {
            return published;
        }
        loop {
            let len = match self.poll_turn(waker) {
                Poll::Ready(Ok(len)) => len,
                Poll::Ready(Err(closed)) => return Poll::Ready(Err(closed)),
                Poll::Pending => return Poll::Pending,
            };
            self.publish_part(messages.take_len(len + BODY_LEN_MAX));
            if messages.is_empty() {
                return Poll::Ready(Ok(self.position()));
            }
        }
    }

    /// Publishes a short run under one lock, or finds that it has to wait. Returns `None` when it
    /// is this publisher's turn, and the turn is too short.
    fn publish_cut(
        &mut self,
        waker: Option<&Waker>,
        messages: &mut Messages<'_>,
    ) -> Option<Poll<Result<Position, Closed>>> {
        let Self {
            owner,
            ticket,
            seniority,
            end,
        } = self;
        let shared = &owner.shared;
        let published = shared.with_state(|state| {
            if messages.is_empty() && !state.is_closed() {
                state.end_turn(ticket);
                return Some(Poll::Ready(Ok(state.end())));
            }
            match state.poll_turn(ticket, *seniority, waker) {
                Poll::Ready(Ok(len)) if len + BODY_LEN_MAX >= messages.as_bytes().len() => {
                    state.append(std::mem::take(messages));
                    *seniority = state.end_part(ticket);
                    *end = state.end();
                    Some(Poll::Ready(Ok(*end)))
                }
                Poll::Ready(Ok(_)) => None,
                Poll::Ready(Err(closed)) => Some(Poll::Ready(Err(closed))),
                Poll::Pending => Some(Poll::Pending),
            }
        });
        published.map(|published| published.map_ok(|end| shared.position(end)))
    }

    fn poll_turn(&mut self, waker: Option<&Waker>) -> Poll<Result<usize, Closed>> {
        let (ticket, seniority) = (&mut self.ticket, self.seniority);
        let shared = &self.owner.shared;
        shared.with_state(|state| state.poll_turn(ticket, seniority, waker))
    }

    /// Publishes a part, in the turn for it, and ends the turn.
    fn publish_part(&mut self, mut part: Messages<'_>) {
        let Self {
            owner,
            ticket,
            seniority,
            end,
        } = self;
        while !part.is_empty() {
            // What is appended under one lock is cut where it is not held.
            let cuts = iter::from_fn(|| Some(part.take_len(CUT_LEN)));
            let cuts = cuts.take_while(|cut| !cut.is_empty()).take(CUTS_MAX);
            let cuts: SmallVec<[Messages<'_>; CUTS_MAX]> = cuts.collect();
            owner.shared.with_state(|state| {
                cuts.into_iter().for_each(|cut| state.append(cut));
                *end = state.end();
                if part.is_empty() {
                    *seniority = state.end_part(ticket);
                }
            });
        }
    }
}

impl Clone for Publisher {
    /// Makes another publisher, which waits for turns of its own.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.owner))
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_asking = self.ticket.is_some();
        f.debug_struct("Publisher")
            .field("is_asking", &is_asking)
            .finish_non_exhaustive()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.pass();
    }
}

/// A publisher whose asking ends with the future that asked.
struct Asking<'a>(&'a mut Publisher);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.pass();
    }
}

/// Says that the hub was closed: it takes no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub is closed")]
pub struct Closed;

/// Why messages are left that were to be published at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryPublishError {
    /// Others have to go on first: publishers that asked before, or a subscriber that keeps up.
    #[error("the hub takes no more messages for now")]
    Full,
    /// The hub was closed.
    #[error("the hub is closed")]
    Closed,
}

/// How many bytes of messages are appended at once, which are scanned under the lock when a segment
/// of the log ends inside them. Measured: scanning so many in the worst case, empty messages and
/// bodies of one byte in turn, takes 3 us.
const CUT_LEN: usize = 2048;

/// How many cuts are appended under one lock: 32 KiB in all, which takes 3 us to copy.
const CUTS_MAX: usize = 16;
