use std::future::poll_fn;
use std::mem;
use std::task::Poll;

use chat_hub::{Closed, Policy, Position, Subscriber};
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::steps::{
    Socket, assert_counts, behind, hub, next, poll_once, publish_all, receive, spawn_publishing,
    spawn_publishing_behind, spawn_serving,
};
use crate::util::{Read, block, message, publish_past, read, run};

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
fn messages_of_two_publishers_arrive_once_and_those_of_each_in_order() {
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
fn blocking_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Oldest, &WAITS, |mut subscriber, _| {
        block(&mut subscriber);
        Some(subscriber)
    });
}

#[test]
fn ending_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Oldest, &WAITS, |mut subscriber, _| {
        subscriber.end_at(Position::default());
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
            // By the second time its place among those who wait may be void, and another's.
            for _ in 0..2 {
                poll_once(|cx| impatient.poll_ready(cx).is_pending());
            }
        });
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        while let Read::Batch { .. } = read(&mut subscriber) {}
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        giving_up.join().unwrap();
    });
}

#[test]
fn a_blocked_subscriber_is_asked_and_publishing_goes_on() {
    static BLOCKS: Moment = Moment::new("the subscriber blocks");
    static ASKED: Moment = Moment::new("the publisher waits for the answer");
    static LOSES: Moment = Moment::new("the subscriber loses messages");
    static LOSES_NOTHING: Moment = Moment::new("the subscriber loses nothing");
    explore(Some(3), &[&BLOCKS, &ASKED, &LOSES, &LOSES_NOTHING], || {
        let hub = hub(Policy::Oldest);
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        assert_eq!(read(&mut subscriber), Read::Pending);
        // It is about to be overrun, and about to be asked once more.
        publish_past(&mut publisher, &run(0..28, 255), &mut subscriber);
        let socket = Arc::new(Socket::default());
        let serving = spawn_serving(subscriber, &socket, 34, &BLOCKS);
        let emptying = thread::spawn(move || socket.empty());
        publish_all(&mut publisher, &run(28..34, 255), &ASKED).unwrap();
        let (received, subscriber) = serving.join().unwrap();
        emptying.join().unwrap();
        let (delivered, dropped) = (received.len() as u64, subscriber.dropped());
        if dropped > 0 { &LOSES } else { &LOSES_NOTHING }.comes();
        assert!(received.into_iter().eq(dropped..34), "the newest are left");
        assert_counts(&hub, [subscriber], (34, delivered, dropped));
    });
}

#[test]
fn a_blocked_subscriber_that_answers_in_time_loses_nothing() {
    static ASKED: Moment = Moment::new("the publisher waits for the answer");
    explore(Some(4), &[&ASKED], || {
        let hub = hub(Policy::Oldest);
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        assert_eq!(read(&mut subscriber), Read::Pending);
        publish_past(&mut publisher, &run(0..15, 255), &mut subscriber);
        let serving = thread::spawn(move || {
            // Its socket was full once, and has had room for some time when it is asked. Nothing
            // else wakes it.
            let mut has_room = false;
            block_on(poll_fn(|cx| {
                if mem::replace(&mut has_room, true) {
                    return Poll::Ready(());
                }
                subscriber.block(cx);
                Poll::Pending
            }));
            (
                receive(&mut subscriber, 36, &Moment::new("the subscriber waits")),
                subscriber,
            )
        });
        publish_all(&mut publisher, &run(15..36, 255), &ASKED).unwrap();
        let (received, subscriber) = serving.join().unwrap();
        assert!(received.into_iter().eq(0..36));
        assert_counts(&hub, [subscriber], (36, 36, 0));
    });
}

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
fn a_subscriber_that_leaves_while_it_waits_leaves_the_others_waiting() {
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

/// Checks that a publisher which waits for a subscriber half the log behind publishes two more
/// messages once the subscriber gives way.
///
/// `give_way` is told how many messages there will be, and returns the subscriber if it is still
/// there.
#[track_caller]
pub(crate) fn check_waiting_publisher_goes_on(
    policy: Policy,
    waits: &'static Moment,
    give_way: fn(Subscriber, usize) -> Option<Subscriber>,
) {
    explore(EVERY_ORDER, &[waits], move || {
        let hub = hub(policy);
        let (subscriber, count) = behind(&hub);
        let publishing = spawn_publishing_behind(&hub, count, waits);
        let subscriber = give_way(subscriber, count + 2);
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        assert_eq!(hub.stats().published, count as u64 + 2);
        drop(subscriber);
    });
}
