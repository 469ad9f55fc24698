//! The state behind its lock, and waking without it.

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::PoisonError;
use std::task::Waker;

use crate::position::{HubId, Place, Position};
use crate::state::State;
use crate::sync::{Arc, Mutex, MutexGuard};

/// The part of a hub that all its handles share.
pub(crate) struct Shared {
    id: HubId,
    /// Guards the log, the cursors into it, and who waits.
    ///
    /// Nobody is woken, no waker is dropped and nothing is written while it is held. A task may be
    /// freed with its last waker, and with it a publisher or subscriber that it owns, which takes
    /// this lock to leave.
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self {
            id: HubId::unique(),
            state: Mutex::new(state),
        }
    }

    /// Returns a place in the log as its users see it.
    pub(crate) fn position(&self, place: Place) -> Position {
        Position::new(self.id, place)
    }

    /// Returns the place of a position, if it is one of this hub's.
    pub(crate) fn place(&self, position: Position) -> Option<Place> {
        position.place_in(self.id)
    }

    /// Lets `access` have the state under the lock. Then, without the lock, wakes the tasks that
    /// are to be woken and drops the wakers that are spent.
    pub(crate) fn with_state<T>(&self, access: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let value = access(&mut state);
        state.wake_clock_if_due();
        if state.woken.is_empty() && state.spent.is_empty() {
            return value;
        }
        let spent = mem::take(&mut state.spent);
        self.wake(state);
        drop(spent);
        value
    }

    /// Releases the lock, then wakes the tasks that are to be woken.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.woken.is_empty() {
            return;
        }
        let mut woken = mem::take(&mut state.woken);
        drop(state);
        wake_all(&mut woken);
        // The memory is kept, so that waking does not allocate.
        let mut state = self.lock();
        if state.woken.capacity() < woken.capacity() && state.woken.is_empty() {
            state.woken = woken;
        }
    }

    /// Takes the lock: for [`with_state`](Self::with_state) alone, which knows what is to be done
    /// when it is released.
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a bug in a waker's clone; the state is consistent between calls
        // of this crate.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    /// Takes no lock and prints no message: a log may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Wakes all, also when one of the wakers panics. Then panics with the first of their panics.
fn wake_all(woken: &mut Vec<Waker>) {
    let mut panicked: Option<Box<dyn Any + Send>> = None;
    for waker in woken.drain(..) {
        let woken = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
        panicked = panicked.or(woken.err());
    }
    if let Some(payload) = panicked {
        panic::resume_unwind(payload);
    }
}

/// What publishing handles share: a hub ends when the last of them is gone.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.with_state(State::close);
    }
}
