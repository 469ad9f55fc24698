//! Where the last message of each client stands.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use chat_cluster::{Mark, Own};
use chat_hub::{Closed, Position};

/// Which clients' messages are on their way to the stream and back.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The marks after what clients sent, in their order. Each has bytes of its own in the outbox,
    /// which bounds them.
    away: Mutex<VecDeque<(Mark, Arc<LastMessage>)>>,
    is_closed: AtomicBool,
}

/// The last message of a client that was accepted.
#[derive(Debug, Default)]
pub(super) struct LastMessage {
    state: Mutex<LastState>,
}

#[derive(Debug, Default)]
struct LastState {
    mark: Mark,
    /// The position after it, when it has come back.
    position: Option<Position>,
    /// Waits for that.
    waker: Option<Waker>,
}

/// The end of a client's messages in a batch that has come back.
pub(super) struct BatchEnd {
    mark: Mark,
    offset: usize,
    last: Arc<LastMessage>,
}

impl Ends {
    /// Notes that messages of a client were accepted. Called in the order of the marks.
    pub(super) fn note(&self, mark: Mark, last: &Arc<LastMessage>) {
        let mut state = last.lock();
        (state.mark, state.position) = (mark, None);
        drop(state);
        let mut away = self.lock();
        match away.back_mut() {
            Some((before, of)) if Arc::ptr_eq(of, last) => *before = mark,
            _ => away.push_back((mark, Arc::clone(last))),
        }
    }

    /// Takes the ends of those clients out whose last message is in the batch.
    pub(super) fn take(&self, own: &Own) -> Vec<BatchEnd> {
        let mut ends = Vec::new();
        let mut away = self.lock();
        while let Some((mark, _)) = away.front()
            && let Some(offset) = own.offset(*mark)
            && let Some((mark, last)) = away.pop_front()
        {
            // A client that has sent more has its end in a later batch.
            if last.lock().mark == mark {
                ends.push(BatchEnd { mark, offset, last });
            }
        }
        ends
    }

    /// Notes that nothing comes back any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        let away = std::mem::take(&mut *self.lock());
        for (_, last) in away {
            last.wake();
        }
    }

    /// Waits until the last message of a client has come back; is ready with the position after it.
    pub(super) fn poll(
        &self,
        last: &LastMessage,
        cx: &Context<'_>,
    ) -> Poll<Result<Position, Closed>> {
        let mut state = last.lock();
        if let Some(position) = state.position {
            return Poll::Ready(Ok(position));
        }
        state.waker = Some(cx.waker().clone());
        drop(state);
        // After the waker is there: one who closes wakes it, or has closed before.
        match self.is_closed.load(Ordering::SeqCst) {
            true => Poll::Ready(Err(Closed)),
            false => Poll::Pending,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Mark, Arc<LastMessage>)>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LastMessage {
    fn wake(&self) {
        let waker = self.lock().waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, LastState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BatchEnd {
    /// Returns how far after the beginning of the batch it is, in bytes.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Notes the position. A client that has sent more by now has another end.
    pub(super) fn set(self, position: Position) {
        let mut state = self.last.lock();
        if state.mark == self.mark {
            state.position = Some(position);
        }
        drop(state);
        self.last.wake();
    }
}
