use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Time that passes when the test says so.
#[derive(Clone, Default)]
pub(crate) struct Time(Rc<RefCell<Timers>>);

#[derive(Default)]
struct Timers {
    now: Duration,
    sleepers: Vec<(Duration, Waker)>,
    sleep_count: usize,
}

impl Time {
    /// Lets time pass, and wakes whoever has slept enough.
    pub(crate) fn pass(&self, duration: Duration) {
        let mut timers = self.0.borrow_mut();
        timers.now += duration;
        let now = timers.now;
        let (due, sleepers) = std::mem::take(&mut timers.sleepers)
            .into_iter()
            .partition(|(deadline, _)| *deadline <= now);
        timers.sleepers = sleepers;
        let due: Vec<(Duration, Waker)> = due;
        drop(timers);
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        let mut timers = self.0.borrow_mut();
        timers.sleep_count += 1;
        let deadline = timers.now + duration;
        Sleep {
            deadline,
            time: self.clone(),
        }
    }

    /// Returns how often somebody has begun to sleep.
    pub(crate) fn sleep_count(&self) -> usize {
        self.0.borrow().sleep_count
    }
}

/// Is ready at a time.
pub(crate) struct Sleep {
    deadline: Duration,
    time: Time,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.time.0.borrow_mut();
        if timers.now >= self.deadline {
            return Poll::Ready(());
        }
        timers.sleepers.push((self.deadline, cx.waker().clone()));
        Poll::Pending
    }
}
