//! Wakers that tell why a task was woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures::task::{ArcWake, AtomicWaker};

/// A flag that is raised by its waker, which then wakes the task.
///
/// A session waits for several things in one task. Given the task's own waker, it would have to try them all on every wake, and trying
/// to read is a system call. With a flag for the stream it tries only what the stream is ready for.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Released by whoever raises the flag and acquired by the task, so that the task sees what the waker saw.
    raised: AtomicBool,
    task: AtomicWaker,
}

impl Flag {
    /// Makes a lowered flag.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { raised: AtomicBool::new(false), task: AtomicWaker::new() })
    }

    /// Lowers the flag and tells whether it was raised. If not, `waker` is woken when it is.
    pub(crate) fn lower(&self, waker: &Waker) -> bool {
        self.task.register(waker);
        self.raised.swap(false, Ordering::Acquire)
    }

    /// Raises the flag without waking the task: it tries at its next wake, whatever that is for.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
    }
}

impl ArcWake for Flag {
    fn wake_by_ref(flag: &Arc<Self>) {
        flag.raise();
        flag.task.wake();
    }
}
