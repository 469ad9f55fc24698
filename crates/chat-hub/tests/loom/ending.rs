use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use chat_hub::{Closed, Policy, Publisher, Subscriber};
use loom::sync::Mutex;
use loom::thread;

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::socket::spawn_serving;
use crate::steps::{
    assert_counts, behind, far_behind, hub, next, publish_all, receive, receive_all,
    spawn_publishing_behind, wait,
};
use crate::util::{message, publish};

#[test]
fn closing_ends_all_waiting() {
    static PUBLISHER_WAITS: Moment = Moment::new("the publisher waits");
    static SUBSCRIBER_WAITS: Moment = Moment::new("the subscriber waits");
    explore(Some(4), &[&PUBLISHER_WAITS, &SUBSCRIBER_WAITS], || {
        let hub = hub(Policy::Oldest);
        let mut quick = hub.subscribe();
        let (slow, count) = behind(&hub);
        assert_eq!(receive(&mut quick, count, &SUBSCRIBER_WAITS).len(), count);
        let publishing = spawn_publishing_behind(&hub, count, &PUBLISHER_WAITS);
        let reading = thread::spawn(move || next(&mut quick, &SUBSCRIBER_WAITS));
        hub.close();
        assert_eq!(publishing.join().unwrap(), Err(Closed));
        assert_eq!(reading.join().unwrap(), None);
        drop(slow);
    });
}

#[test]
fn a_turn_that_was_taken_is_read_before_the_end() {
    static CLOSED: Moment = Moment::new("the hub is closed before the turn is taken");
    static LATE: Moment = Moment::new("the message is published after the close");
    static WAITS: Moment = Moment::new("the subscriber waits");
    static SECOND: Moment = Moment::new("a second turn comes before the close");
    explore(Some(4), &[&CLOSED, &LATE, &WAITS, &SECOND], || {
        let hub = hub(Policy::Oldest);
        let (publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        let is_closed = Arc::new(Mutex::new(false));
        let publishing = spawn_publishing_in_a_turn(publisher, &is_closed, &LATE);
        let reading = thread::spawn(move || (receive_all(&mut subscriber, &WAITS), subscriber));
        hub.close();
        *is_closed.lock().unwrap() = true;
        let published = publishing.join().unwrap();
        let (received, subscriber) = reading.join().unwrap();
        match published {
            0 => CLOSED.comes(),
            1 => (),
            _ => SECOND.comes(),
        }
        assert!(received.into_iter().eq(0..published));
        assert_counts(&hub, [subscriber], (published, published, 0));
    });
}

#[test]
fn a_turn_that_comes_at_the_close_is_whole_or_not_at_all() {
    static PUBLISHED: Moment = Moment::new("the publisher has its turn");
    static CLOSED: Moment = Moment::new("the publisher is told that the hub is closed");
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(Some(2), &[&PUBLISHED, &CLOSED, &WAITS], || {
        let hub = hub(Policy::Oldest);
        let mut quick = hub.subscribe();
        let (slow, count) = behind(&hub);
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        let leaving = thread::spawn(move || drop(slow));
        let reading = thread::spawn(move || {
            let received = receive_all(&mut quick, &Moment::new("the subscriber waits"));
            (received, quick)
        });
        hub.close();
        leaving.join().unwrap();
        let (received, quick) = reading.join().unwrap();
        let published = match publishing.join().unwrap() {
            Ok(published) => {
                PUBLISHED.comes();
                published
            }
            Err(Closed) => {
                CLOSED.comes();
                count as u64
            }
        };
        assert!(received.into_iter().eq(0..published));
        assert_counts(&hub, [quick], (published, published, 0));
    });
}

#[test]
fn a_turn_that_nobody_came_for_lets_a_closed_hub_end() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    static GIVEN: Moment = Moment::new("the turn is given before the close");
    explore(Some(3), &[&WAITS, &GIVEN], || {
        let hub = hub(Policy::Oldest);
        let mut quick = hub.subscribe();
        let (slow, count) = behind(&hub);
        let mut publisher = hub.publisher();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(publisher.poll_ready(&mut cx).is_pending());
        let leaving = thread::spawn(move || drop(slow));
        let reading = thread::spawn(move || receive_all(&mut quick, &WAITS).len());
        if hub.stats().waiting_publisher_count == 0 {
            GIVEN.comes();
        }
        hub.close();
        assert_eq!(reading.join().unwrap(), count);
        leaving.join().unwrap();
        assert_eq!(publisher.poll_ready(&mut cx), Poll::Ready(Err(Closed)));
    });
}

#[test]
fn a_turn_that_is_given_up_lets_a_closed_hub_end() {
    static WAITS: Moment = Moment::new("the subscriber waits after the close");
    check_end_comes(&WAITS, |mut publisher| {
        publisher.pass();
        Some(publisher)
    });
}

#[test]
fn a_publisher_that_leaves_in_its_turn_lets_a_closed_hub_end() {
    static WAITS: Moment = Moment::new("the subscriber waits after the close");
    check_end_comes(&WAITS, |publisher| {
        drop(publisher);
        None
    });
}

#[test]
fn the_last_handle_ends_a_subscriber_that_goes_to_sleep() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    static HUB_IS_LAST: Moment = Moment::new("the hub goes last");
    static PUBLISHER_IS_LAST: Moment = Moment::new("the publisher goes last");
    explore(
        EVERY_ORDER,
        &[&WAITS, &HUB_IS_LAST, &PUBLISHER_IS_LAST],
        || {
            let hub = hub(Policy::Oldest);
            let (mut publisher, subscriber) = (hub.publisher(), hub.subscribe());
            assert!(publish(&mut publisher, &message(0, 8)).is_ready());
            let reading = spawn_reading_to_the_end(subscriber, &WAITS);
            let gone = Arc::new(AtomicBool::new(false));
            let leaving = thread::spawn({
                let gone = Arc::clone(&gone);
                move || leave(publisher, &gone, &PUBLISHER_IS_LAST)
            });
            leave(hub, &gone, &HUB_IS_LAST);
            leaving.join().unwrap();
            assert_eq!(reading.join().unwrap(), [0]);
        },
    );
}

#[test]
fn a_last_publisher_that_leaves_in_its_turn_ends_the_hub() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    explore(EVERY_ORDER, &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let (mut publisher, subscriber) = (hub.publisher(), hub.subscribe());
        drop(hub);
        assert!(wait(&WAITS, |cx| publisher.poll_ready(cx)).is_ok());
        let reading = spawn_reading_to_the_end(subscriber, &WAITS);
        drop(publisher);
        assert_eq!(reading.join().unwrap(), []);
    });
}

#[test]
fn an_ender_ends_a_subscriber_that_goes_to_sleep() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    explore(EVERY_ORDER, &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let (mut publisher, subscriber) = (hub.publisher(), hub.subscribe());
        assert!(publish(&mut publisher, &message(0, 8)).is_ready());
        let (ender, end) = (subscriber.ender(), hub.end());
        let reading = spawn_reading_to_the_end(subscriber, &WAITS);
        ender.end_at(end);
        assert_eq!(reading.join().unwrap(), [0]);
    });
}

#[test]
fn an_ender_ends_a_subscriber_that_is_being_written_to() {
    static STALLS: Moment = Moment::new("the subscriber stalls");
    explore(EVERY_ORDER, &[&STALLS], || {
        let hub = hub(Policy::Oldest);
        let subscriber = far_behind(&hub, 1);
        let (ender, end) = (subscriber.ender(), subscriber.position());
        // Its socket is full for ever: nobody wakes it but the ender.
        let serving = spawn_serving(subscriber, &Arc::default(), u64::MAX, &STALLS);
        ender.end_at(end);
        assert_eq!(serving.join().unwrap().received, []);
    });
}

/// Drops a handle; notes when the other one is gone by then.
fn leave<T>(handle: T, is_other_gone: &AtomicBool, is_last: &Moment) {
    drop(handle);
    if is_other_gone.swap(true, Ordering::Relaxed) {
        is_last.comes();
    }
}

/// Starts a publisher that takes a turn, publishes a message in it, and then takes another; returns
/// how many messages it has published. A turn that was taken does not fail.
fn spawn_publishing_in_a_turn(
    mut publisher: Publisher,
    is_closed: &Arc<Mutex<bool>>,
    late: &'static Moment,
) -> thread::JoinHandle<u64> {
    let is_closed = Arc::clone(is_closed);
    thread::spawn(move || {
        let waits = Moment::new("it waits for its turn");
        for number in 0..2 {
            if wait(&waits, |cx| publisher.poll_ready(cx)).is_err() {
                return number;
            }
            if *is_closed.lock().unwrap() {
                late.comes();
            }
            publish_all(&mut publisher, &message(number, 8), &waits).unwrap();
        }
        2
    })
}

fn spawn_reading_to_the_end(
    mut subscriber: Subscriber,
    waits: &'static Moment,
) -> thread::JoinHandle<Vec<u64>> {
    thread::spawn(move || receive_all(&mut subscriber, waits))
}

/// Checks that a subscriber ends after the close when a publisher whose turn was taken does not use
/// it.
#[track_caller]
fn check_end_comes(waits: &'static Moment, give_up: fn(Publisher) -> Option<Publisher>) {
    explore(Some(4), &[waits], move || {
        let hub = hub(Policy::Oldest);
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        assert!(wait(waits, |cx| publisher.poll_ready(cx)).is_ok());
        let giving_up = thread::spawn(move || give_up(publisher));
        hub.close();
        let received = receive_all(&mut subscriber, waits);
        drop(giving_up.join().unwrap());
        assert_eq!(received, []);
        assert_counts(&hub, [subscriber], (0, 0, 0));
    });
}
