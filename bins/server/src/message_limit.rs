//! The time that a client has for a message it has begun.

use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;
use futures::FutureExt;

/// Finds out that a client does not finish a message.
#[derive(Debug)]
pub(crate) struct MessageLimit {
    timeout: Duration,
    /// The number of the message that has begun, and its time.
    begun: Option<(u64, Timer)>,
}

impl MessageLimit {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            begun: None,
        }
    }

    /// Returns how long a message may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Is ready when the message that is unfinished now has been for too long.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>, unfinished: Option<u64>) -> Poll<()> {
        let Some(number) = unfinished else {
            self.begun = None;
            return Poll::Pending;
        };
        let (begun, timer) = self
            .begun
            .get_or_insert_with(|| (number, Timer::after(self.timeout)));
        if *begun != number {
            *begun = number;
            timer.set_after(self.timeout);
        }
        timer.poll_unpin(cx).map(drop)
    }
}
