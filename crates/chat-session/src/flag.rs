//! Wakers that tell why a task was woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures::task::{ArcWake, WakerRef, waker_ref};

/// A flag that is raised by its waker, which then wakes the task.
///
/// A session waits for several things in one task. Given the task's own waker, it would have to try
/// them all on every wake, and trying to read is a system call. With a flag for the stream it tries
/// only what the stream is ready for.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    /// Made for the task that polls; another one when the session is moved to another task, which
    /// is seldom if ever.
    raised: Option<Arc<Raised>>,
}

#[derive(Debug)]
struct Raised {
    /// Released by the thread that raises the flag and acquired by the task, so that the task sees
    /// the same as the waker did.
    is_raised: AtomicBool,
    task: Waker,
}

impl Flag {
    /// Lowers the flag and tells whether it was raised. If not, `task` is woken when it is. To a
    /// task that it did not know it is raised.
    pub(crate) fn lower(&mut self, task: &Waker) -> bool {
        self.of_task(task).is_raised.swap(false, Ordering::Acquire)
    }

    /// Raises the flag without waking the task: it tries at its next wake, whatever that is for.
    pub(crate) fn raise(&self) {
        if let Some(raised) = &self.raised {
            raised.is_raised.store(true, Ordering::Release);
        }
    }

    /// Returns a waker that raises the flag and wakes `task`.
    pub(crate) fn waker(&mut self, task: &Waker) -> WakerRef<'_> {
        waker_ref(self.of_task(task))
    }

    fn of_task(&mut self, task: &Waker) -> &Arc<Raised> {
        let known = self
            .raised
            .take()
            .filter(|raised| raised.task.will_wake(task));
        self.raised.insert(known.unwrap_or_else(|| {
            Arc::new(Raised {
                is_raised: AtomicBool::new(true),
                task: task.clone(),
            })
        }))
    }
}

impl ArcWake for Raised {
    fn wake_by_ref(raised: &Arc<Self>) {
        raised.is_raised.store(true, Ordering::Release);
        raised.task.wake_by_ref();
    }
}
