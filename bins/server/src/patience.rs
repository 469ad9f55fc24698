//! How long a client may take nothing when there is a reason to be rid of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Timer;

/// Finds out that a client takes nothing of what is on its way to it.
///
/// It is looked at in steps, so a client is given up that much of the time late at most.
#[derive(Debug)]
pub(crate) struct Patience {
    time: Duration,
    /// How much the client had taken when that was looked at last.
    taken: u64,
    /// How many steps in a row it has taken nothing.
    vain_count: u32,
    step: Timer,
}

/// What a client takes of what there is for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// There is something for it, and it has taken so many bytes ever.
    Some(u64),
    /// It has everything.
    All,
}

impl Patience {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            time,
            taken: 0,
            vain_count: 0,
            step: Timer::after(step(time)),
        }
    }

    /// Returns how long the client may take nothing.
    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    /// Is ready when the client has taken nothing for the whole time. `taking` is asked once a step.
    pub(crate) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        taking: impl Fn() -> Taking,
    ) -> Poll<()> {
        loop {
            ready!(Pin::new(&mut self.step).poll(cx));
            self.step.set_after(step(self.time));
            if self.is_over(taking()) {
                return Poll::Ready(());
            }
        }
    }

    /// Ends a step; tells whether the time is over.
    fn is_over(&mut self, taking: Taking) -> bool {
        match taking {
            Taking::Some(taken) if taken == self.taken => self.vain_count += 1,
            Taking::Some(taken) => (self.taken, self.vain_count) = (taken, 0),
            Taking::All => self.vain_count = 0,
        }
        self.vain_count >= STEP_COUNT
    }
}

fn step(time: Duration) -> Duration {
    (time / STEP_COUNT).max(STEP_MIN)
}

/// In how many steps a client may take nothing. A judgement.
const STEP_COUNT: u32 = 4;

/// How long a step takes at least: with none it would always be over.
const STEP_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_takes_a_byte_now_and_then_is_waited_for() {
        let mut patience = Patience::new(Duration::from_secs(1));
        for taken in 1..100 {
            for _ in 0..STEP_COUNT {
                assert!(!patience.is_over(Taking::Some(taken)));
            }
        }
    }

    #[test]
    fn one_who_takes_nothing_is_given_up_after_the_whole_time() {
        let mut patience = Patience::new(Duration::from_secs(1));
        assert!(!patience.is_over(Taking::Some(7)));
        for _ in 1..STEP_COUNT {
            assert!(!patience.is_over(Taking::Some(7)));
        }
        assert!(patience.is_over(Taking::Some(7)));
    }

    #[test]
    fn one_who_has_everything_is_waited_for() {
        let mut patience = Patience::new(Duration::from_secs(1));
        for _ in 0..100 {
            assert!(!patience.is_over(Taking::All));
        }
    }
}
