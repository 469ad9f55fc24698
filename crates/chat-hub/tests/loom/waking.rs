//! One thread, one order: these stand here because loom reports a lock that is taken twice, where
//! std would hang.

use std::task::{Context, Waker};

use chat_hub::{Policy, Publisher, Subscriber, TryPublishError};
use chat_proto::Messages;

use crate::explore::{EVERY_ORDER, explore};
use crate::steps::{behind, clocked, hub};
use crate::util::{Read, message, publish, read, run, stall};
use crate::wakers::leave_waker;

#[test]
fn a_publish_wakes_readers_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (mut subscriber, mut publisher) = (hub.subscribe(), hub.publisher());
        let reader = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        assert!(publish(&mut publisher, &message(0, 8)).is_ready());
        reader.assert_woken("in a short run");

        read(&mut subscriber);
        let reader = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        assert!(publish(&mut publisher, &run(1..9, 255)).is_ready());
        reader.assert_woken("in parts");
    });
}

#[test]
fn subscribers_wake_waiting_publishers_outside_the_lock() {
    let give_ways: [fn(&mut Option<Subscriber>); 6] = [
        |slow| drop(slow.take()),
        |slow| while let Read::Batch { .. } = read(slow.as_mut().unwrap()) {},
        |slow| stall(slow.as_mut().unwrap()),
        |slow| slow.as_mut().unwrap().pause(),
        |slow| slow.as_mut().unwrap().end(),
        |slow| drop(slow.as_mut().unwrap().try_next_batch().unwrap()),
    ];
    for give_way in give_ways {
        explore(EVERY_ORDER, &[], move || {
            let hub = hub(Policy::Oldest);
            let (slow, _) = behind(&hub);
            let (mut slow, mut publisher) = (Some(slow), hub.publisher());
            let waiting = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
            give_way(&mut slow);
            waiting.assert_woken("its turn has come");
        });
    }
}

#[test]
fn publishers_wake_the_next_ones_outside_the_lock() {
    let give_ways: [fn(&mut Option<Publisher>); 4] = [
        |first| drop(first.take()),
        |first| first.as_mut().unwrap().pass(),
        |first| assert!(publish(first.as_mut().unwrap(), &run(0..2, 255)).is_ready()),
        |first| {
            let wire = message(0, 255);
            let tried = first
                .as_mut()
                .unwrap()
                .try_publish(&mut Messages::split(&wire).0);
            assert!(tried.is_ok());
        },
    ];
    for give_way in give_ways {
        explore(EVERY_ORDER, &[], move || {
            let hub = hub(Policy::Oldest);
            let (slow, _) = behind(&hub);
            let (mut first, mut second) = (hub.publisher(), hub.publisher());
            let given = leave_waker(&hub, |cx| assert!(first.poll_ready(cx).is_pending()));
            drop(slow);
            given.assert_woken("its turn has come");
            assert!(publish(&mut second, &message(1, 8)).is_ready(), "once");
            let next = leave_waker(&hub, |cx| assert!(second.poll_ready(cx).is_pending()));
            give_way(&mut Some(first));
            next.assert_woken("the first one has given way");
        });
    }
}

#[test]
fn the_clock_wakes_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let (mut slow, _) = behind(&hub);
        let mut publisher = hub.publisher();
        let stalled = leave_waker(&hub, |cx| slow.stall(cx.waker()));
        let waiting = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        (0..7).for_each(|_| clock.tick());
        stalled.assert_called("it is told to try again");
        (7..16).for_each(|_| clock.tick());
        waiting.assert_woken("nobody waits for a laggard");
        drop(slow);
        stalled.assert_woken("it was told to try again");
    });
}

#[test]
fn a_turn_that_is_taken_back_wakes_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let (slow, _) = behind(&hub);
        let (mut forgotten, mut next) = (hub.publisher(), hub.publisher());
        let given = leave_waker(&hub, |cx| assert!(forgotten.poll_ready(cx).is_pending()));
        drop(slow);
        given.assert_woken("its turn has come");
        assert!(publish(&mut next, &message(0, 8)).is_ready(), "once");
        let waiting = leave_waker(&hub, |cx| assert!(next.poll_ready(cx).is_pending()));
        (0..129).for_each(|_| clock.tick());
        waiting.assert_woken("nobody comes for the turn before");
    });
}

#[test]
fn the_clock_is_woken_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let sleeping = leave_waker(&hub, |cx| assert!(clock.poll_due(cx).is_pending()));
        stall(&mut subscriber);
        sleeping.assert_woken("a subscriber stalls");
        drop(subscriber);

        let sleeping = leave_waker(&hub, |cx| assert!(clock.poll_due(cx).is_pending()));
        let (_slow, _) = behind(&hub);
        sleeping.assert_woken("a publisher waits");

        clock.tick();
        let sleeping = leave_waker(&hub, |cx| assert!(clock.poll_due(cx).is_pending()));
        let wire = message(0, 8);
        let tried = hub.publisher().try_publish(&mut Messages::split(&wire).0);
        assert_eq!(tried, Err(TryPublishError::Full));
        sleeping.assert_woken("a publisher is refused");

        clock.tick();
        let sleeping = leave_waker(&hub, |cx| assert!(clock.poll_due(cx).is_pending()));
        hub.close();
        sleeping.assert_woken("the hub is closed");
    });
}

#[test]
fn a_clock_that_is_dropped_wakes_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let (hub, clock) = clocked(Policy::Oldest);
        let (mut slow, _) = behind(&hub);
        let mut publisher = hub.publisher();
        let stalled = leave_waker(&hub, |cx| slow.stall(cx.waker()));
        let waiting = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        drop(clock);
        waiting.assert_woken("nobody waits for a laggard");
        drop(slow);
        stalled.assert_dropped("nobody serves it");
    });
}

#[test]
fn a_close_wakes_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (_slow, _) = behind(&hub);
        let (mut subscriber, mut publisher) = (hub.subscribe(), hub.publisher());
        let reading = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        let waiting = leave_waker(&hub, |cx| assert!(publisher.poll_ready(cx).is_pending()));
        hub.close();
        reading.assert_woken("the hub is closed");
        waiting.assert_woken("the hub is closed");
    });
}

#[test]
fn the_last_turn_wakes_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (mut subscriber, mut publisher) = (hub.subscribe(), hub.publisher());
        assert!(
            publisher
                .poll_ready(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        );
        hub.close();
        let reading = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        publisher.pass();
        reading.assert_woken("nothing more will be published");
    });
}

#[test]
fn the_last_handle_wakes_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let reading = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        let sleeping = leave_waker(&hub, |cx| assert!(clock.poll_due(cx).is_pending()));
        drop(hub);
        reading.assert_woken("the hub has ended");
        sleeping.assert_woken("the hub has ended");
    });
}

#[test]
fn an_overrun_laggard_is_woken_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Disconnect);
        let mut laggard = hub.subscribe();
        let stalled = leave_waker(&hub, |cx| laggard.stall(cx.waker()));
        assert!(publish(&mut hub.publisher(), &run(0..40, 255)).is_ready());
        stalled.assert_woken("its subscription has ended");
    });
}

#[test]
fn an_ender_wakes_outside_the_lock() {
    explore(EVERY_ORDER, &[], || {
        let hub = hub(Policy::Oldest);
        let (mut subscriber, mut stalled) = (hub.subscribe(), hub.subscribe());
        let (ender, end) = (subscriber.ender(), hub.end());
        let reading = leave_waker(&hub, |cx| assert!(subscriber.poll_batch(cx).is_pending()));
        ender.end_at(end);
        reading.assert_woken("it ends here");

        let ender = stalled.ender();
        let parked = leave_waker(&hub, |cx| stalled.stall(cx.waker()));
        ender.end_at(end);
        parked.assert_called("it ends here");
        assert_eq!(read(&mut stalled), Read::End);
        parked.assert_woken("it ended there");
    });
}
