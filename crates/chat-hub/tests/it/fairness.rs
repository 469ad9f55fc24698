use std::task::{Context, Poll, Waker};

use chat_hub::{Config, Policy, Publisher, Subscriber, Writer};
use chat_proto::Messages;
use futures::FutureExt;

use crate::util::{Read, Woken, drain, hub, message, publish, read, run, stall};

/// Publishes one message after the other until the hub makes the publisher wait; returns how many
/// bytes that took.
fn publish_until_pending(publisher: &mut Publisher, waker: &Waker) -> usize {
    let wire = message(7, 99);
    let mut published = 0;
    while published < 1 << 20 {
        let (mut messages, _) = Messages::split(&wire);
        let poll = publisher.poll_publish(&mut Context::from_waker(waker), &mut messages);
        if poll.is_pending() {
            return published;
        }
        published += wire.len();
    }
    panic!("nobody makes the publisher wait");
}

/// Checks that a publisher waits for a subscriber until the subscriber gives way. It has something
/// to read then, and returns the one it is from then on, if it is still there.
#[track_caller]
fn check_waits_until(give_way: impl FnOnce(Subscriber) -> Option<Subscriber>) {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let (woken, waker) = Woken::new();
    publish_until_pending(&mut publisher, &waker);
    assert!(!woken.is_set());
    let _subscriber = give_way(subscriber);
    assert!(woken.is_set(), "the publisher goes on");
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
}

#[test]
fn publishers_wait_for_a_subscriber_that_is_being_served() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let (woken, waker) = Woken::new();
    let published = publish_until_pending(&mut publisher, &waker);
    let is_a_quarter = (2 * 1024..5 * 1024).contains(&published);
    assert!(
        is_a_quarter,
        "about a quarter of the log, not {published} bytes"
    );
    assert!(!woken.is_set());
    assert_eq!(drain(&mut subscriber).0.len(), published);
    assert!(woken.is_set(), "reading lets the publisher go on");
    assert!(publish(&mut publisher, &message(8, 99)).is_ready());
}

#[test]
fn publishers_wait_for_a_batch_until_it_is_given_back() {
    for is_consumed in [false, true] {
        let hub = hub(16 * 1024);
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        assert!(publish(&mut publisher, &message(0, 99)).is_ready());
        let batch = subscriber.try_next_batch().unwrap();
        let (woken, waker) = Woken::new();
        publish_until_pending(&mut publisher, &waker);
        assert!(!woken.is_set());
        if is_consumed {
            batch.consume_all();
        } else {
            drop(batch);
        }
        assert!(woken.is_set(), "nobody serves it now");
        assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
    }
}

#[test]
fn nobody_waits_for_a_wait_that_was_dropped() {
    check_waits_until(|mut subscriber| {
        drain(&mut subscriber);
        assert!(subscriber.next_batch().now_or_never().is_none());
        Some(subscriber)
    });
    let hub = hub(16 * 1024);
    let mut subscriber = hub.subscribe();
    assert!(subscriber.next_batch().now_or_never().is_none());
    assert!(publish(&mut hub.publisher(), &run(0..1000, 99)).is_ready());
    assert!(
        subscriber.try_next_batch().is_ok(),
        "it may be served again"
    );
}

#[test]
fn nobody_waits_for_a_writer_whose_future_was_dropped() {
    let hub = hub(16 * 1024);
    let mut writer = hub.subscribe().into_writer();
    assert!(publish(&mut hub.publisher(), &message(0, 99)).is_ready());
    let writing = writer.write(|_, slices| Poll::Ready(Ok(slices[0].len())));
    assert!(writing.now_or_never().is_none());
    assert!(publish(&mut hub.publisher(), &run(0..1000, 99)).is_ready());
}

#[test]
fn nobody_waits_for_a_writer_that_failed() {
    let hub = hub(16 * 1024);
    let mut writer = hub.subscribe().into_writer();
    let mut publisher = hub.publisher();
    assert!(publish(&mut publisher, &message(0, 99)).is_ready());
    let mut cx = Context::from_waker(Waker::noop());
    let failed = writer.advance(&mut cx, Waker::noop(), |_| {
        Err(std::io::ErrorKind::BrokenPipe.into())
    });
    assert!(failed.is_err());
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
    let stats = hub.stats();
    assert_eq!(
        (stats.lag_max, stats.dropped),
        (0, 0),
        "its subscription is over"
    );
}

#[test]
fn a_writer_that_yields_is_waited_for() {
    let hub = hub(8 << 20);
    let (mut publisher, mut writer) = (hub.publisher(), hub.subscribe().into_writer());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(publish(&mut publisher, &run(0..8000, 99)).is_ready());
    let mut turn = |writer: &mut Writer| {
        let write = |slices: &[std::io::IoSlice<'_>]| Ok(slices.iter().map(|s| s.len()).sum());
        writer.advance(&mut cx, Waker::noop(), write).unwrap()
    };
    assert_eq!(turn(&mut writer), chat_hub::Progress::Yielded);
    let (woken, waker) = Woken::new();
    let (mut messages, wire) = (Messages::default(), run(0..100_000, 99));
    messages.clone_from(&Messages::split(&wire).0);
    let poll = publisher.poll_publish(&mut Context::from_waker(&waker), &mut messages);
    assert!(
        poll.is_pending(),
        "it has more to write and will come again"
    );
    while !woken.is_set() {
        turn(&mut writer);
    }
    assert_eq!(writer.subscriber().dropped(), 0);
}

#[test]
fn without_a_clock_nobody_waits_for_a_stalled_subscriber() {
    check_waits_until(|mut subscriber| {
        stall(&mut subscriber);
        Some(subscriber)
    });
}

#[test]
fn a_laggard_is_waited_for_again_once_it_has_read_everything() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    stall(&mut subscriber);
    assert!(subscriber.is_laggard());
    assert!(publish(&mut publisher, &run(0..40, 99)).is_ready());
    subscriber.try_next_batch().unwrap().consume(100).clear();
    assert!(
        publish(&mut publisher, &run(40..80, 99)).is_ready(),
        "it has not caught up"
    );
    assert_eq!(hub.stats().laggard_count, 1);
    assert_eq!(drain(&mut subscriber), (run(1..80, 99), 0));
    assert_eq!(hub.stats().laggard_count, 0);
    let published = publish_until_pending(&mut publisher, Waker::noop());
    assert_eq!(
        drain(&mut subscriber),
        (message(7, 99).repeat(published / 100), 0)
    );
}

#[test]
fn a_pause_a_leaving_and_an_end_let_publishers_go_on() {
    check_waits_until(|mut subscriber| {
        subscriber.pause();
        Some(subscriber)
    });
    check_waits_until(|subscriber| {
        drop(subscriber);
        None
    });
    check_waits_until(|mut subscriber| {
        subscriber.end_at(subscriber.position());
        Some(subscriber)
    });
    check_waits_until(|mut subscriber| {
        subscriber.end();
        Some(subscriber)
    });
}

#[test]
fn nobody_waits_for_a_subscriber_that_never_read() {
    let hub = hub(16 * 1024);
    let _subscriber = hub.subscribe();
    assert!(publish(&mut hub.publisher(), &run(0..1000, 99)).is_ready());
}

#[test]
fn an_ended_subscription_leaves_the_log_at_once() {
    let hub = hub(1 << 20);
    let (mut publisher, mut other) = (hub.publisher(), hub.subscribe());
    let mut ended: Vec<Subscriber> = (0..3).map(|_| hub.subscribe()).collect();
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
    // One is told to end where it is, one reaches its end, one finds it in its way.
    let end = hub.end();
    ended[0].end();
    ended[1].end_at(end);
    assert_eq!(drain(&mut ended[1]).0.len(), 100_000);
    drain(&mut other);
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
    ended[2].end_at(end);
    while let Read::Batch { .. } = read(&mut ended[2]) {}
    drain(&mut other);
    let stats = hub.stats();
    assert_eq!((stats.lag_max, stats.subscriber_count), (0, 4));
    assert!(ended.iter().all(|ended| ended.lag() == 0));
    // Nothing is retained for them.
    assert!(hub.subscribe_at(end).is_none());
}

#[test]
fn a_subscriber_that_reads_again_is_waited_for_where_it_is() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    // It is not served while most of a log is published, and then reads a little.
    assert!(publish(&mut publisher, &run(0..150, 99)).is_ready());
    let batch = subscriber.try_next_batch().unwrap();
    // Publishers were cleared to go on while nobody waited for it. That no longer holds.
    let (woken, waker) = Woken::new();
    assert_eq!(publish_until_pending(&mut publisher, &waker), 0);
    batch.consume_all();
    assert_eq!(drain(&mut subscriber), (Vec::new(), 0));
    assert!(woken.is_set());
}

#[test]
fn a_subscriber_that_joins_in_the_past_is_waited_for_there() {
    let config = Config::default().with_policy(Policy::Block);
    let hub = config.with_capacity(352 * 1024).build().unwrap();
    let mut publisher = hub.publisher();
    // 450 messages fill two segments: the third one retains the place after them. The others bring
    // the log past 64 KiB, and publishers look again for somebody to wait for.
    assert!(publish(&mut publisher, &run(0..450, 99)).is_ready());
    let place = hub.end();
    for number in 450..660 {
        assert!(publish(&mut publisher, &message(number, 99)).is_ready());
    }
    // Publishers were cleared to go on while there was nobody to wait for. That no longer holds.
    let subscriber = hub.subscribe_at(place).unwrap();
    publish_until_pending(&mut publisher, Waker::noop());
    let lag = subscriber.lag();
    assert!(
        (64 * 1024..=72 * 1024).contains(&lag),
        "64 KiB and an eighth at most, not {lag} bytes"
    );
}

#[test]
fn a_publisher_that_is_gone_is_not_woken() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let (woken, waker) = Woken::new();
    publish_until_pending(&mut publisher, &waker);
    drop((publisher, waker));
    assert_eq!(
        std::sync::Arc::strong_count(&woken),
        1,
        "its waker is gone with it"
    );
    drain(&mut subscriber);
    assert!(!woken.is_set());
}

#[test]
fn a_subscriber_that_is_gone_is_not_woken() {
    let hub = hub(16 * 1024);
    let mut subscriber = hub.subscribe();
    let (woken, waker) = Woken::new();
    assert!(
        subscriber
            .poll_batch(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop((subscriber, waker));
    assert_eq!(
        std::sync::Arc::strong_count(&woken),
        1,
        "its waker is gone with it"
    );
    assert!(publish(&mut hub.publisher(), &message(0, 9)).is_ready());
    assert!(!woken.is_set());
}
