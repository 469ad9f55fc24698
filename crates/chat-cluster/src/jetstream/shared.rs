//! What the members' handles and the thread that runs the node share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{End, Figures, RefuseError, State};
use crate::{MessageId, Node};

/// What the members' handles and the thread that runs the node share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Guards everything that both sides change.
    inner: Mutex<Inner>,
    /// Notified when the state has changed.
    changed: Condvar,
    /// Wakes the thread that runs the node.
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    /// The node, from when it is joining to when the member's life is over.
    pub(super) node: Option<Node>,
    pub(super) state: State,
    /// How often the state has changed.
    pub(super) version: u64,
    /// Whether nothing more is promised.
    pub(super) is_leaving: bool,
    /// How many bytes are promised to senders.
    pub(super) promised: usize,
    /// The senders that wait for room, in their order.
    waiting: BTreeMap<u64, Waker>,
    ticket_count: u64,
    pub(super) figures: Figures,
    /// Why the stream would be refused now, if it would.
    pub(super) refused: Option<RefuseError>,
    /// When each own batch was published that has not come back.
    published: VecDeque<(MessageId, Instant)>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state, and tells those who watch it.
    pub(super) fn set_state(&self, state: State) {
        let mut inner = self.lock();
        inner.state = state;
        inner.version += 1;
        drop(inner);
        self.changed.notify_all();
    }

    /// Ends the member's life.
    pub(super) fn end(&self, end: End) {
        let mut inner = self.lock();
        let (figures, waiting) = (inner.figures(), std::mem::take(&mut inner.waiting));
        inner.figures = figures;
        inner.node = None;
        drop(inner);
        self.set_state(State::Ended(Arc::new(end)));
        waiting.into_values().for_each(Waker::wake);
    }

    /// Has the member leave when all that was promised is accepted, and has come back.
    pub(super) fn leave(&self) {
        let mut inner = self.lock();
        inner.is_leaving = true;
        inner.leave_if_kept();
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        waiting.into_values().for_each(Waker::wake);
        self.wake.notify_one();
    }

    /// Waits until the state is another than at this version; returns it, or `None` when the time
    /// is over.
    pub(super) fn wait(&self, version: &mut u64, time_max: Duration) -> Option<State> {
        let seen = *version;
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), time_max, |inner| inner.version == seen);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *version = inner.version;
        (inner.version != seen).then(|| inner.state.clone())
    }

    /// Wakes the sender that waits first, if there is room for it.
    pub(super) fn wake_first(&self) {
        let inner = self.lock();
        let first = inner.waiting.values().next().filter(|_| inner.has_room());
        let first = first.cloned();
        drop(inner);
        first.into_iter().for_each(Waker::wake);
    }
}

impl Inner {
    /// Returns how many bytes are neither taken nor promised.
    pub(super) fn free(&self) -> usize {
        let room = self.node.as_ref().map_or(0, Node::room);
        room.saturating_sub(self.promised)
    }

    /// Returns whether there is room for a promise.
    pub(super) fn has_room(&self) -> bool {
        self.free() >= FREE_MIN
    }

    /// Returns whether nothing more is accepted.
    pub(super) fn is_over(&self) -> bool {
        self.is_leaving || self.node.is_none()
    }

    /// Returns whether it is a sender's turn: nobody waits before it.
    pub(super) fn is_first(&self, ticket: Option<u64>) -> bool {
        let first = self.waiting.keys().next();
        first.is_none() || first == ticket.as_ref()
    }

    /// Has a sender wait in its place, or in a new one at the end; returns the place, and the waker
    /// that it had, as [`stop_waiting`](Self::stop_waiting) does.
    #[must_use]
    pub(super) fn wait(&mut self, ticket: Option<u64>, waker: &Waker) -> (u64, Option<Waker>) {
        let ticket = ticket.unwrap_or(self.ticket_count);
        self.ticket_count = self.ticket_count.max(ticket + 1);
        let before = self.waiting.insert(ticket, waker.clone());
        (ticket, before)
    }

    /// Has a sender wait no more. Its waker is to be dropped when the lock is released: a task may go
    /// with its last one, and a sender with it.
    #[must_use]
    pub(super) fn stop_waiting(&mut self, ticket: u64) -> Option<Waker> {
        self.waiting.remove(&ticket)
    }

    /// Has the node leave if it was asked to and no promise is open.
    pub(super) fn leave_if_kept(&mut self) {
        if self.is_leaving
            && self.promised == 0
            && let Some(node) = &mut self.node
        {
            node.leave();
        }
    }

    /// Notes that a batch is published.
    pub(super) fn note_publish(&mut self, id: MessageId) {
        let is_batch = matches!(id, MessageId::Numbered { number: 1.., .. });
        // A repetition is no new one.
        if is_batch && self.published.back().is_none_or(|(last, _)| *last != id) {
            self.published.push_back((id, Instant::now()));
        }
    }

    /// Notes that the batch has come back that was published first.
    pub(super) fn note_return(&mut self, len: usize) {
        let Some((_, at)) = self.published.pop_front() else {
            return;
        };
        self.figures.count_return(len, at.elapsed());
    }

    /// Returns the figures as they are now.
    pub(super) fn figures(&self) -> Figures {
        let mut figures = self.figures;
        if let Some(node) = &self.node {
            figures.counts = node.counts();
            figures.epoch = node.epoch().unwrap_or(0);
            figures.outbox_len = node.outbox_len();
        }
        figures
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Joining { trouble: None }
    }
}

/// How much room is worth a promise: reading a client byte by byte would cost more than waiting.
const FREE_MIN: usize = 4096;
