//! The threads that run the sessions.
//!
//! Sockets and timers are async-std's, which are async-io's; tasks run on the executor that
//! async-std has too. But where async-std would poll for I/O each time that a task has run, these
//! threads run all tasks that can run before they do: one look at the sockets for a batch
//! of messages, by the thread that then serves them. With single messages that costs a tenth less
//! processor time than leaving the looking to the thread that async-io has for it, and with batches
//! of eight bytes as well.

use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_executor::{StaticExecutor, Task};
use async_io::block_on;
use async_std::task::yield_now;

use crate::limits::{ThreadsError, session_thread_count};

#[cfg(not(panic = "unwind"))]
compile_error!("a session that panics must not end those of others: build with panic = \"unwind\"");

/// Starts a thread for each processor, to run the tasks that are spawned.
pub(crate) fn start() -> Result<(), ThreadsError> {
    let needed = session_thread_count();
    let threads = THREADS.get_or_init(|| (0..needed).map(|_| Rounds::default()).collect());
    for (index, rounds) in threads.iter().enumerate() {
        thread::Builder::new()
            .name(format!("session-{index}"))
            .spawn(|| run_for_ever(rounds))
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

/// Where the threads were at a moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    /// Looks where the threads are.
    pub(crate) fn look() -> Self {
        let threads = THREADS.get().into_iter().flatten();
        Self(threads.map(Rounds::count).collect())
    }

    /// Tells whether any thread has been at the same tasks since `before`. A round takes
    /// milliseconds, so after seconds one of them does not end.
    pub(crate) fn is_any_stuck_since(&self, before: &Self) -> bool {
        let mut threads = self.0.iter().zip(&before.0);
        threads.any(|(&now, &before)| now == before && now % 2 == 1)
    }
}

/// How often a thread has run what there was to run, twice; odd while it does.
///
/// It is alone on its cache line, since its thread writes it all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Rounds(AtomicU64);

impl Rounds {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    // No other thread writes it, and nothing is read by it but itself.

    fn begin(&self) {
        // It is odd already where a round ended in a panic.
        self.0.store((self.count() + 1) | 1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.store(self.count() + 1, Ordering::Relaxed);
    }
}

fn run_for_ever(rounds: &Rounds) {
    loop {
        // The executor drops a task that panics, with all that it has, and goes on. This is for a panic
        // of anything else. Both are logged.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| block_on(run(rounds))));
    }
}

/// Runs tasks, and counts the rounds. Where it waits, the thread looks after sockets and timers.
async fn run(rounds: &Rounds) {
    let mut running = pin!(run_tasks());
    poll_fn(|cx| {
        rounds.begin();
        let polled = running.as_mut().poll(cx);
        rounds.end();
        polled
    })
    .await;
}

async fn run_tasks() {
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

static THREADS: OnceLock<Box<[Rounds]>> = OnceLock::new();

/// How many tasks run at most before the thread looks after sockets again. A judgement: a look
/// costs some microseconds, as a task does that writes one message; one that writes as much as a
/// socket takes costs a hundred times that.
const TICKS_MAX: u32 = 64;

#[cfg(test)]
pub(crate) mod tests;
