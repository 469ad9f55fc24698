//! The threads that run the sessions.
//!
//! Sockets and timers are async-std's, which leaves waiting for them to one thread of its own, called `async-io`. The executor that
//! async-std would run tasks on polls for I/O too, between tasks, and the two take turns at it: with batches of ten messages that
//! cost 7 % of the server's processor time in thread switches. So the same executor is run here by threads that run tasks and nothing else.

use std::future::{Future, pending};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use async_executor::{StaticExecutor, Task};
use futures::executor::block_on;

/// Starts a thread a processor to run what is spawned.
pub(crate) fn start() -> io::Result<()> {
    let thread_count = thread::available_parallelism().map_or(1, usize::from);
    for index in 0..thread_count {
        thread::Builder::new().name(format!("session-{index}")).spawn(run_for_ever)?;
    }
    Ok(())
}

/// Runs a future to its end on one of the threads, unless the task is dropped before.
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    EXECUTOR.spawn(future)
}

fn run_for_ever() {
    loop {
        // A task that panics ends, and that is logged; the others go on.
        let ended = panic::catch_unwind(AssertUnwindSafe(|| block_on(EXECUTOR.run(pending::<()>()))));
        if ended.is_err() {
            tracing::error!("a task panicked, which is a bug of this server; the others go on");
        }
    }
}

static EXECUTOR: StaticExecutor = StaticExecutor::new();
