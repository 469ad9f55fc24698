//! The threads that run the sessions.
//!
//! Sockets and timers are async-std's, which are async-io's; tasks run on the executor that
//! async-std has too. But where async-std would poll for I/O each time that a task has run, these
//! threads run all tasks that can run before they do: one look at the sockets for a batch
//! of messages, by the thread that then serves them. With single messages that costs a tenth less
//! processor time than leaving the looking to the thread that async-io has for it, and with batches
//! of eight bytes as well.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use async_executor::{StaticExecutor, Task};
use async_io::block_on;
use async_std::task::yield_now;

use crate::limits::{ThreadsError, session_thread_count};

/// Starts a thread for each processor, to run the tasks that are spawned.
pub(crate) fn start() -> Result<(), ThreadsError> {
    let needed = session_thread_count();
    for index in 0..needed {
        thread::Builder::new()
            .name(format!("session-{index}"))
            .spawn(run_for_ever)
            .map_err(|source| ThreadsError { needed, source })?;
    }
    Ok(())
}

/// Runs a future to its end on one of the threads, unless the task is dropped before.
pub(crate) fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    EXECUTOR.spawn(future)
}

fn run_for_ever() {
    loop {
        // A task that panics ends, and that is logged; the others go on.
        let ended = panic::catch_unwind(AssertUnwindSafe(|| block_on(run())));
        if ended.is_err() {
            tracing::error!("a task panicked, which is a bug of this server; the others go on");
        }
    }
}

/// Runs tasks. Where it waits, the thread looks after sockets and timers.
async fn run() {
    let mut left = TICKS_MAX;
    loop {
        if left == 0 {
            // Tasks that always can run are not to keep the others from their sockets.
            yield_now().await;
            left = TICKS_MAX;
        }
        EXECUTOR.tick().await;
        left -= 1;
        while left > 0 && EXECUTOR.try_tick() {
            left -= 1;
        }
    }
}

static EXECUTOR: StaticExecutor = StaticExecutor::new();

/// How many tasks run at most before the thread looks after sockets again. A judgement: a look
/// costs some microseconds, as a task does that writes one message; one that writes as much as a
/// socket takes costs a hundred times that.
const TICKS_MAX: u32 = 64;
