//! Whose turn it is to write to the terminal.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Keeps the printing thread from writing while the line editor is neither reading nor going to.
///
/// The line editor prints what other threads hand to it, above the line. While it is not reading,
/// its printer would write directly: into what is being erased, or after a prompt that is just
/// being drawn. And it takes one thing at a time: who hands over another one waits for as long as it
/// does not read.
#[derive(Debug, Default)]
pub(super) struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_editing: bool,
    /// Whether something is being handed over.
    is_printing: bool,
    /// Whether what was handed over last has not been seen on the screen.
    is_pending: bool,
    is_closed: bool,
}

impl Turn {
    /// Waits until the line editor reads and has shown what was printed before. Returns whether to
    /// print: not after the end.
    pub(super) fn begin_printing(&self) -> bool {
        let mut state = self.lock();
        while !state.is_closed && (!state.is_editing || state.is_pending) {
            let (next, timeout) = self
                .changed
                .wait_timeout(state, PENDING_TIME)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            // It is searching in its history, or was not seen when it showed it.
            if timeout.timed_out() && state.is_editing {
                break;
            }
        }
        state.is_printing = !state.is_closed;
        state.is_pending = state.is_printing;
        state.is_printing
    }

    pub(super) fn end_printing(&self) {
        self.lock().is_printing = false;
        self.changed.notify_all();
    }

    /// Notes that what was printed is on the screen.
    pub(super) fn show(&self) {
        self.lock().is_pending = false;
        self.changed.notify_all();
    }

    /// Notes that the line editor reads.
    pub(super) fn begin_editing(&self) {
        let mut state = self.lock();
        if !state.is_editing {
            state.is_editing = true;
            self.changed.notify_all();
        }
    }

    /// Notes that the line editor will not read any more, and waits until nobody prints.
    pub(super) fn end_editing(&self) {
        let mut state = self.lock();
        state.is_editing = false;
        if state.is_printing {
            let result = self
                .changed
                .wait_timeout_while(state, HAND_OVER, |state| state.is_printing);
            drop(result.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Lets nobody print any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the line editor may take to show something, before something else is handed over to it.
/// A judgement.
const PENDING_TIME: Duration = Duration::from_secs(5);

/// How long handing something over takes at most, unless it waits for the line editor, which does no
/// harm. A judgement: it is less than a millisecond.
const HAND_OVER: Duration = Duration::from_millis(300);
