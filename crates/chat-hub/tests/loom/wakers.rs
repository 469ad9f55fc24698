//! One thread, one order: these stand here because loom reports a lock that is taken twice, where
//! std would hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use chat_hub::{Hub, Policy, Position};

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::steps::{behind, hub};
use crate::util::{Read, block, message, publish, read};

#[test]
fn wakers_may_call_the_hub() {
    static READER: Moment = Moment::new("a waiting subscriber is woken");
    static BLOCKED: Moment = Moment::new("a blocked subscriber is asked");
    static WRITER: Moment = Moment::new("a waiting publisher is woken");
    static CLOSE: Moment = Moment::new("closing wakes a publisher");
    explore(EVERY_ORDER, &[&READER, &BLOCKED, &WRITER, &CLOSE], || {
        let hub = hub(Policy::Oldest);
        let waker = |called| {
            Waker::from(Arc::new(CallingWaker {
                hub: hub.clone(),
                called,
            }))
        };
        let (mut quick, mut full) = (hub.subscribe(), hub.subscribe());
        assert!(
            quick
                .poll_batch(&mut Context::from_waker(&waker(&READER)))
                .is_pending()
        );
        full.block(&mut Context::from_waker(&waker(&BLOCKED)));
        let (slow, _) = behind(&hub);
        block(&mut quick);
        block(&mut full);
        let mut publisher = hub.publisher();
        assert!(
            publisher
                .poll_ready(&mut Context::from_waker(&waker(&WRITER)))
                .is_pending()
        );
        drop(slow);
        assert!(
            publisher
                .poll_ready(&mut Context::from_waker(&waker(&WRITER)))
                .is_ready()
        );
        let (_slow, _) = behind(&hub);
        assert!(
            publisher
                .poll_ready(&mut Context::from_waker(&waker(&CLOSE)))
                .is_pending()
        );
        hub.close();
    });
}

#[test]
fn a_waker_that_another_replaces_may_call_the_hub_when_it_is_dropped() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let last = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        assert_eq!(read(&mut subscriber), Read::Pending);
        assert!(last.is_dropped(), "another waits for the next batch");

        let last = leave_waker(&hub, |cx| subscriber.block(cx));
        block(&mut subscriber);
        assert!(last.is_dropped(), "another is asked");

        let (_slow, _) = behind(&hub);
        let mut publisher = hub.publisher();
        let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        assert!(
            publisher
                .poll_ready(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        assert!(last.is_dropped(), "another waits to publish");
        let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        assert!(publish(&mut publisher, &message(0, 8)).is_pending());
        assert!(last.is_dropped(), "another waits while it publishes");
    });
}

#[test]
fn the_waker_of_who_blocks_may_call_the_hub_when_it_is_dropped() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let last = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        block(&mut subscriber);
        assert!(last.is_dropped(), "nobody waits for the next batch");
        let last = leave_waker(&hub, |cx| subscriber.block(cx));
        subscriber.block_unasked();
        assert!(last.is_dropped(), "nobody is asked");
    });
}

#[test]
fn the_waker_of_who_reads_on_may_call_the_hub_when_it_is_dropped() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let last = leave_waker(&hub, |cx| subscriber.block(cx));
        assert!(publish(&mut hub.publisher(), &message(0, 8)).is_ready());
        assert_eq!(
            read(&mut subscriber),
            Read::Batch {
                dropped: 0,
                wire: message(0, 8)
            }
        );
        assert!(last.is_dropped());
    });
}

#[test]
fn the_waker_of_who_ends_may_call_the_hub_when_it_is_dropped() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (mut waiting, mut blocked) = (hub.subscribe(), hub.subscribe());
        let last = leave_waker(&hub, |cx| assert!(waiting.poll_batch(cx).is_pending()));
        waiting.end_at(Position::default());
        assert_eq!(read(&mut waiting), Read::End);
        assert!(last.is_dropped(), "it waits for nothing more");

        let last = leave_waker(&hub, |cx| blocked.block(cx));
        blocked.end_at(Position::default());
        assert_eq!(read(&mut blocked), Read::End);
        assert!(last.is_dropped(), "it has nothing more to be asked");
    });
}

#[test]
fn the_waker_of_who_leaves_may_call_the_hub_when_it_is_dropped() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (mut waiting, mut blocked, mut publisher) =
            (hub.subscribe(), hub.subscribe(), hub.publisher());
        let last = leave_waker(&hub, |cx| assert!(waiting.poll_batch(cx).is_pending()));
        drop(waiting);
        assert!(last.is_dropped(), "a waiting subscriber leaves");

        let last = leave_waker(&hub, |cx| blocked.block(cx));
        drop(blocked);
        assert!(last.is_dropped(), "a blocked subscriber leaves");

        let (_slow, _) = behind(&hub);
        let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        drop(publisher);
        assert!(last.is_dropped(), "a waiting publisher leaves");
    });
}

#[test]
fn the_waker_of_who_is_woken_may_call_the_hub_when_it_is_dropped() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (slow, _) = behind(&hub);
        let (mut subscriber, mut publisher) = (hub.subscribe(), hub.publisher());
        let last = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        drop(slow);
        assert!(last.is_dropped(), "publishers go on");

        let last = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        assert!(publish(&mut publisher, &message(0, 8)).is_ready());
        assert!(last.is_dropped(), "there is something to read");

        let _slow = behind(&hub);
        let (mut subscriber, mut publisher) = (hub.subscribe(), hub.publisher());
        let reading = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        let publishing = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        hub.close();
        assert!(
            reading.is_dropped() && publishing.is_dropped(),
            "the hub is closed"
        );
    });
}

/// Polls with a waker whose drop takes the hub's lock. From then on only the hub has it.
fn leave_waker(hub: &Hub, poll: impl FnOnce(&mut Context<'_>)) -> Last {
    let last = Last(Arc::default());
    let waker = Waker::from(Arc::new(LastWaker {
        hub: hub.clone(),
        is_dropped: Arc::clone(&last.0),
    }));
    poll(&mut Context::from_waker(&waker));
    drop(waker);
    assert!(!last.is_dropped(), "the hub has it");
    last
}

/// Tells what became of a task's last waker.
struct Last(Arc<AtomicBool>);

impl Last {
    fn is_dropped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The last waker of a task that is freed with it, and that owns a publisher or subscriber, which
/// takes the hub's lock to leave.
struct LastWaker {
    hub: Hub,
    is_dropped: Arc<AtomicBool>,
}

impl Wake for LastWaker {
    fn wake(self: Arc<Self>) {}
}

impl Drop for LastWaker {
    fn drop(&mut self) {
        // A model that has failed has failed.
        if !thread::panicking() {
            self.hub.stats();
            self.is_dropped.store(true, Ordering::Relaxed);
        }
    }
}

/// A waker that takes the hub's lock.
struct CallingWaker {
    hub: Hub,
    called: &'static Moment,
}

impl Wake for CallingWaker {
    fn wake(self: Arc<Self>) {
        self.hub.stats();
        self.called.comes();
    }
}
