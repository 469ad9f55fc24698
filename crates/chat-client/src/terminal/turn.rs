//! Whose turn it is to write to the terminal.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Keeps the printing thread from writing while the line editor is neither reading nor going to.
///
/// The line editor prints what other threads hand to it, above the line. While it is not reading,
/// its printer would write directly: into what is being erased, or behind a prompt that is just
/// being drawn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_editing: bool,
    is_printing: bool,
    is_closed: bool,
}

impl Turn {
    /// Waits until the line editor reads. Returns whether to print: not after the end.
    pub(super) fn begin_printing(&self) -> bool {
        let mut state = self.lock();
        while !state.is_editing && !state.is_closed {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.is_printing = !state.is_closed;
        state.is_printing
    }

    pub(super) fn end_printing(&self) {
        self.lock().is_printing = false;
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
    ///
    /// A thread that still prints after some time waits for the line editor to read again: it has
    /// handed over what it prints, and does no harm.
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

/// How long handing something over to the line editor takes at most. A judgement: it is less than a
/// millisecond, and nobody notices this.
const HAND_OVER: Duration = Duration::from_millis(20);
