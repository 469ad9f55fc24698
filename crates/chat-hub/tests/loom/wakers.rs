//! One thread, one order: these stand here because loom reports a lock that is taken twice, where
//! std would hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use chat_hub::{Hub, Policy, Publisher, Subscriber};
use chat_proto::Messages;

use crate::explore::{EVERY_ORDER, explore};
use crate::steps::{behind, clocked, hub};
use crate::util::{Read, message, publish, read, stall};

#[test]
fn a_waker_that_another_replaces_is_dropped_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let last = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        assert_eq!(read(&mut subscriber), Read::Pending);
        last.assert_dropped("another waits for the next batch");

        let last = leave_waker(&hub, |cx| subscriber.stall(cx.waker()));
        stall(&mut subscriber);
        last.assert_dropped("another tries again");

        let (_slow, _) = behind(&hub);
        let mut publisher = hub.publisher();
        let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        assert!(
            publisher
                .poll_ready(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        last.assert_dropped("another waits to publish");
        let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        assert!(publish(&mut publisher, &message(0, 8)).is_pending());
        last.assert_dropped("another waits while it publishes");
    });
}

#[test]
fn the_waker_of_who_goes_on_is_dropped_outside_the_lock() {
    let go_ons: [fn(&mut Subscriber); 4] = [
        stall,
        Subscriber::pause,
        |subscriber| subscriber.end_at(subscriber.position()),
        |subscriber| assert!(subscriber.try_next_batch().is_err()),
    ];
    for go_on in go_ons {
        explore(EVERY_ORDER, &[], move || {
            let hub = hub(Policy::Oldest);
            let (mut waiting, mut stalled) = (hub.subscribe(), hub.subscribe());
            let last = leave_waker(&hub, |cx| assert!(waiting.poll_batch(cx).is_pending()));
            go_on(&mut waiting);
            last.assert_dropped("it waits for the next batch no more");
            let last = leave_waker(&hub, |cx| stalled.stall(cx.waker()));
            go_on(&mut stalled);
            last.assert_dropped("it has not stalled any more");
        });
    }
}

#[test]
fn the_waker_of_who_leaves_is_dropped_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (mut waiting, mut stalled) = (hub.subscribe(), hub.subscribe());
        let last = leave_waker(&hub, |cx| assert!(waiting.poll_batch(cx).is_pending()));
        drop(waiting);
        last.assert_dropped("a waiting subscriber leaves");
        let last = leave_waker(&hub, |cx| stalled.stall(cx.waker()));
        drop(stalled);
        last.assert_dropped("a stalled subscriber leaves");

        let (_slow, _) = behind(&hub);
        for leave in [drop as fn(Publisher), |mut publisher| publisher.pass()] {
            let mut publisher = hub.publisher();
            let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
            leave(publisher);
            last.assert_dropped("a waiting publisher leaves");
        }
        let mut publisher = hub.publisher();
        let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        let wire = message(0, 8);
        assert!(
            publisher
                .try_publish(&mut Messages::split(&wire).0)
                .is_err()
        );
        last.assert_dropped("a waiting publisher gives up");
    });
}

#[test]
fn the_clocks_wakers_are_dropped_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let replaced = leave_waker(&hub, |cx| assert!(clock.poll_due(cx).is_pending()));
        let sleeping = leave_waker(&hub, |cx| assert!(clock.poll_due(cx).is_pending()));
        replaced.assert_dropped("another is to be woken");
        drop(clock);
        sleeping.assert_dropped("the clock is gone");
    });
}

/// Polls with a waker that takes the hub's lock when it is woken and when it is dropped. From then
/// on only the hub has it.
pub(crate) fn leave_waker(hub: &Hub, poll: impl FnOnce(&mut Context<'_>)) -> Left {
    let left = Left {
        is_woken: Arc::default(),
        is_dropped: Arc::default(),
    };
    let waker = Waker::from(Arc::new(LockingWaker {
        owned: hub.subscribe(),
        is_woken: Arc::clone(&left.is_woken),
        is_dropped: Arc::clone(&left.is_dropped),
    }));
    poll(&mut Context::from_waker(&waker));
    drop(waker);
    assert!(!left.is_dropped.load(Ordering::Relaxed), "the hub has it");
    left
}

/// Tells what became of a task's last waker.
pub(crate) struct Left {
    is_woken: Arc<AtomicBool>,
    is_dropped: Arc<AtomicBool>,
}

impl Left {
    /// Checks that it was woken; it may still be there.
    #[track_caller]
    pub(crate) fn assert_called(&self, why: &str) {
        assert!(self.is_woken.load(Ordering::Relaxed), "{why}");
    }

    /// Checks that it was woken, and is gone.
    #[track_caller]
    pub(crate) fn assert_woken(&self, why: &str) {
        self.assert_called(why);
        assert!(self.is_dropped.load(Ordering::Relaxed), "{why}");
    }

    /// Checks that it is gone and was not woken.
    #[track_caller]
    pub(crate) fn assert_dropped(&self, why: &str) {
        assert!(!self.is_woken.load(Ordering::Relaxed), "{why}");
        assert!(self.is_dropped.load(Ordering::Relaxed), "{why}");
    }
}

/// The waker of a task that owns a subscriber, which takes the hub's lock to leave.
struct LockingWaker {
    owned: Subscriber,
    is_woken: Arc<AtomicBool>,
    is_dropped: Arc<AtomicBool>,
}

impl Wake for LockingWaker {
    fn wake(self: Arc<Self>) {
        self.owned.lag();
        self.is_woken.store(true, Ordering::Relaxed);
    }
}

impl Drop for LockingWaker {
    fn drop(&mut self) {
        // A model that has failed has failed.
        if !thread::panicking() {
            self.owned.lag();
            self.is_dropped.store(true, Ordering::Relaxed);
        }
    }
}
