use chat_hub::Policy;
use loom::thread;

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::steps::{
    assert_counts, behind, check_waiting_publisher_goes_on, hub, poll_once, publish_all, receive,
    spawn_publishing, spawn_publishing_behind,
};
use crate::util::{Read, drain, message, read, stall};

#[test]
fn every_publish_wakes_a_waiting_subscriber() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    explore(EVERY_ORDER, &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let (publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        let publishing = spawn_publishing(publisher, 0..2);
        assert_eq!(receive(&mut subscriber, 2, &WAITS), [0, 1]);
        publishing.join().unwrap();
        assert_counts(&hub, [subscriber], (2, 2, 0));
    });
}

#[test]
fn each_publishers_messages_arrive_once_and_in_order() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    explore(Some(3), &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let publishing = [10, 20].map(|first| spawn_publishing(hub.publisher(), first..first + 2));
        let mut received = receive(&mut subscriber, 4, &WAITS);
        publishing
            .into_iter()
            .for_each(|publishing| publishing.join().unwrap());
        assert_counts(&hub, [subscriber], (4, 4, 0));
        received.sort_by_key(|number| number / 10);
        assert_eq!(
            received,
            [10, 11, 20, 21],
            "each once, those of one publisher in order"
        );
    });
}

#[test]
fn two_subscribers_see_one_order() {
    static WAITS: Moment = Moment::new("a subscriber waits");
    explore(Some(3), &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let (mut publisher, mut subscriber, mut other) =
            (hub.publisher(), hub.subscribe(), hub.subscribe());
        let publishing = spawn_publishing(hub.publisher(), 0..1);
        let reading = thread::spawn(move || (receive(&mut other, 2, &WAITS), other));
        publish_all(&mut publisher, &message(1, 8), &WAITS).unwrap();
        let received = receive(&mut subscriber, 2, &WAITS);
        publishing.join().unwrap();
        let (received_by_other, other) = reading.join().unwrap();
        assert_eq!(received, received_by_other);
        assert_counts(&hub, [subscriber, other], (2, 4, 0));
    });
}

#[test]
fn reading_on_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Oldest, &WAITS, |mut subscriber, count| {
        let received = receive(&mut subscriber, count, &Moment::new("the subscriber waits"));
        assert!(received.into_iter().eq(0..count as u64), "nothing is lost");
        Some(subscriber)
    });
}

#[test]
fn a_stall_under_no_clock_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Oldest, &WAITS, |mut subscriber, _| {
        stall(&mut subscriber);
        assert!(subscriber.is_laggard());
        Some(subscriber)
    });
}

#[test]
fn a_pause_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Oldest, &WAITS, |mut subscriber, _| {
        subscriber.pause();
        Some(subscriber)
    });
}

#[test]
fn ending_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Oldest, &WAITS, |mut subscriber, _| {
        subscriber.end_at(subscriber.position());
        assert_eq!(read(&mut subscriber), Read::End);
        Some(subscriber)
    });
}

#[test]
fn leaving_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Oldest, &WAITS, |subscriber, _| {
        drop(subscriber);
        None
    });
}

#[test]
fn a_publisher_that_gives_up_leaves_the_others_waiting() {
    static WAITS: Moment = Moment::new("a publisher waits");
    explore(Some(4), &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let (mut subscriber, count) = behind(&hub);
        let mut impatient = hub.publisher();
        let giving_up = thread::spawn(move || {
            // By the second time its place among those who wait may be void, or its turn come.
            for _ in 0..2 {
                let _ = poll_once(|cx| impatient.poll_ready(cx));
            }
        });
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        drain(&mut subscriber);
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        giving_up.join().unwrap();
        assert_eq!(hub.stats().waiting_publisher_count, 0);
    });
}

#[test]
fn a_waiting_subscriber_that_leaves_leaves_the_others_waiting() {
    static WAITS: Moment = Moment::new("the other subscriber waits");
    static LEAVES: Moment = Moment::new("the subscriber leaves while it waits");
    explore(Some(4), &[&WAITS, &LEAVES], || {
        let hub = hub(Policy::Oldest);
        let (mut leaving, mut staying) = (hub.subscribe(), hub.subscribe());
        let publishing = spawn_publishing(hub.publisher(), 0..2);
        let leaving = thread::spawn(move || {
            if poll_once(|cx| leaving.poll_batch(cx).is_pending()) {
                LEAVES.comes();
            }
        });
        assert_eq!(receive(&mut staying, 2, &WAITS), [0, 1]);
        publishing.join().unwrap();
        leaving.join().unwrap();
        assert_counts(&hub, [staying], (2, 2, 0));
    });
}

#[test]
fn who_joins_misses_nothing_from_then_on() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    static JOINS_BETWEEN: Moment = Moment::new("the subscriber joins between two publishes");
    explore(EVERY_ORDER, &[&WAITS, &JOINS_BETWEEN], || {
        let hub = hub(Policy::Oldest);
        let publishing = spawn_publishing(hub.publisher(), 0..2);
        let mut subscriber = hub.subscribe();
        let joined = subscriber.position().message_pos();
        if joined == 1 {
            JOINS_BETWEEN.comes();
        }
        let mut own = hub.publisher();
        let own_end = publish_all(&mut own, &message(7, 8), &WAITS).unwrap();
        let count = 3 - joined;
        let mut received = receive(&mut subscriber, count as usize, &WAITS);
        assert_eq!(
            received.remove((own_end.message_pos() - joined) as usize - 1),
            7,
            "its own is where it was told"
        );
        assert!(received.into_iter().eq(joined..2));
        publishing.join().unwrap();
        assert_counts(&hub, [subscriber], (3, count, 0));
    });
}
