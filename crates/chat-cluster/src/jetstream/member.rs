//! The handles of a node that runs on its own thread.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chat_proto::{BODY_LEN_MAX, Messages};

use super::shared::Shared;
use super::{Figures, RefuseError, State};
use crate::Mark;

/// A node of a cluster that runs on its own thread. A clone is another handle of the same.
#[derive(Clone, Debug)]
pub struct Member {
    shared: Arc<Shared>,
}

/// Has the messages of one client published. Senders that wait for room have their turns in the
/// order in which they began to wait.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    place: Place,
}

/// Says that nothing more is accepted: the member leaves, or its life is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node of the cluster accepts nothing more")]
pub struct Gone;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    None,
    /// It waits for room, under this ticket.
    Waiting(u64),
    /// So many bytes are promised.
    Promised(usize),
}

impl Member {
    pub(super) fn new() -> Self {
        let shared = Arc::new(Shared::default());
        Self { shared }
    }

    /// Makes a sender.
    pub fn sender(&self) -> Sender {
        Sender {
            shared: Arc::clone(&self.shared),
            place: Place::None,
        }
    }

    /// Leaves the cluster: nothing more is promised, and the member's life is over when everything
    /// that it has accepted has come back. There is no limit on the time; whoever cannot wait drops
    /// the deliveries.
    pub fn leave(&self) {
        self.shared.leave();
    }

    /// Returns how the member is.
    pub fn state(&self) -> State {
        self.shared.lock().state.clone()
    }

    /// Waits until the state has changed since `version`, which is 0 at first and is set; returns
    /// the state, or `None` when the time is over.
    pub fn wait(&self, version: &mut u64, time_max: Duration) -> Option<State> {
        self.shared.wait(version, time_max)
    }

    /// Returns why the stream as it is now would be refused, if it would: somebody has changed a setting
    /// of it since the member joined. The member goes on, as the promise holds until entries are lost.
    pub fn refused(&self) -> Option<RefuseError> {
        self.shared.lock().refused.clone()
    }

    /// Returns what the member counted.
    pub fn figures(&self) -> Figures {
        self.shared.lock().figures()
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Sender {
    /// Waits for room; is ready with how many bytes of messages are accepted next, at least one,
    /// and 255 more for a message that had begun to arrive before. The promise holds until it is
    /// used or given up.
    ///
    /// # Errors
    ///
    /// [`Gone`] when nothing more is accepted.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        let ticket = match self.place {
            Place::Promised(len) => return Poll::Ready(Ok(len)),
            Place::Waiting(ticket) => Some(ticket),
            Place::None => None,
        };
        let mut inner = self.shared.lock();
        if inner.is_over() {
            self.place = Place::None;
            return Poll::Ready(Err(Gone));
        }
        if !inner.is_first(ticket) || !inner.has_room() {
            let (ticket, before) = inner.wait(ticket, cx.waker());
            self.place = Place::Waiting(ticket);
            drop(inner);
            drop(before);
            return Poll::Pending;
        }
        let before = ticket.and_then(|ticket| inner.stop_waiting(ticket));
        let promised = inner.free().min(PROMISE_LEN_MAX);
        inner.promised += promised;
        drop(inner);
        drop(before);
        let len = promised - BODY_LEN_MAX;
        self.place = Place::Promised(len);
        if ticket.is_some() {
            self.shared.wake_first();
        }
        Poll::Ready(Ok(len))
    }

    /// Takes messages off the front, as many as there is room for, and uses the promise. Where it
    /// has taken some, calls `note` with the mark after them, before any batch with them is
    /// published.
    ///
    /// # Errors
    ///
    /// [`Gone`] when nothing more is accepted.
    pub fn accept(
        &mut self,
        messages: &mut Messages<'_>,
        note: impl FnOnce(Mark),
    ) -> Result<(), Gone> {
        let len = messages.as_bytes().len();
        let mut inner = self.shared.lock();
        let accepted = inner.node.as_mut().and_then(|node| node.accept(messages));
        let mark = accepted.ok_or(Gone);
        if let Ok(mark) = mark
            && messages.as_bytes().len() < len
        {
            note(mark);
        }
        drop(inner);
        self.pass();
        self.shared.wake.notify_one();
        mark.map(drop)
    }

    /// Gives up what was promised, or the waiting for it.
    pub fn pass(&mut self) {
        let place = std::mem::take(&mut self.place);
        if place == Place::None {
            return;
        }
        let mut inner = self.shared.lock();
        let mut before = None;
        match place {
            Place::Waiting(ticket) => before = inner.stop_waiting(ticket),
            Place::Promised(len) => {
                inner.promised -= len + BODY_LEN_MAX;
                inner.leave_if_kept();
            }
            Place::None => {}
        }
        let is_leaving = inner.is_leaving;
        drop(inner);
        drop(before);
        self.shared.wake_first();
        if is_leaving {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.pass();
    }
}

/// The longest promise in bytes. Judgement: a batch.
const PROMISE_LEN_MAX: usize = crate::BATCH_LEN_MAX;
