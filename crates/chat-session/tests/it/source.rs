use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use chat_hub::{Closed, Hub, Position, Publisher};
use chat_proto::{BODY_LEN_MAX, Messages, MessagesBuf};
use chat_session::Publish;

/// Publishes to a hub when the test says so, as a log that is shared by several machines would.
#[derive(Clone)]
pub(crate) struct Source(Arc<Mutex<State>>);

pub(crate) struct State {
    /// How many bytes it promises room for at a time; 0 is none for now.
    pub(crate) promise_len: usize,
    /// How many messages it accepts before it has others wait.
    pub(crate) accept_count: usize,
    /// Whether it makes no more promises. It keeps those that it has made.
    pub(crate) is_closed: bool,
    /// Whether it tells where the last message stands, once that is in the log.
    pub(crate) tells_end: bool,
    /// Everything that was accepted.
    pub(crate) accepted: MessagesBuf,
    publisher: Publisher,
    /// What was accepted and is not in the log.
    queue: MessagesBuf,
    promised: Option<usize>,
    waker: Option<Waker>,
}

impl Source {
    /// Makes one that accepts everything.
    pub(crate) fn new(hub: &Hub) -> Self {
        Self(Arc::new(Mutex::new(State {
            promise_len: usize::MAX,
            accept_count: usize::MAX,
            is_closed: false,
            tells_end: true,
            accepted: MessagesBuf::new(),
            publisher: hub.publisher(),
            queue: MessagesBuf::new(),
            promised: None,
            waker: None,
        })))
    }

    /// Changes what it does, and wakes who waits for it.
    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Moves what was accepted into the log.
    pub(crate) fn arrive(&self) {
        self.set(|state| {
            let queue = std::mem::take(&mut state.queue);
            let mut messages = queue.as_messages();
            if !messages.is_empty() {
                state.publisher.try_publish(&mut messages).unwrap();
            }
        });
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Publish for Source {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        let mut state = self.state();
        if let Some(promised) = state.promised {
            return Poll::Ready(Ok(promised));
        }
        if state.is_closed {
            return Poll::Ready(Err(Closed));
        }
        if state.promise_len == 0 {
            return state.wait(cx);
        }
        state.promised = Some(state.promise_len);
        Poll::Ready(Ok(state.promise_len))
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Messages<'_>,
    ) -> Poll<Result<(), Closed>> {
        let mut state = self.state();
        match state.promised {
            Some(promised) => {
                let len_max = promised.saturating_add(BODY_LEN_MAX);
                let len = messages.as_bytes().len();
                assert!(len <= len_max, "{len} bytes, and {promised} were promised");
            }
            None if state.is_closed => return Poll::Ready(Err(Closed)),
            None => {}
        }
        let len: usize = (messages.iter().take(state.accept_count))
            .map(|body| body.encoded_len())
            .sum();
        let part = messages.take_len(len);
        state.accept_count -= part.count();
        state.queue.extend_from(part);
        state.accepted.extend_from(part);
        if !messages.is_empty() {
            return state.wait(cx);
        }
        state.promised = None;
        Poll::Ready(Ok(()))
    }

    fn pass(&mut self) {
        self.state().promised = None;
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Position, Closed>> {
        let mut state = self.state();
        if state.queue.is_empty() && state.tells_end {
            return Poll::Ready(Ok(state.publisher.position()));
        }
        if state.is_closed {
            return Poll::Ready(Err(Closed));
        }
        state.wait(cx)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}
