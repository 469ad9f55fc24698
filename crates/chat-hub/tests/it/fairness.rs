use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use chat_hub::Publisher;
use chat_proto::Messages;

use crate::util::{Read, block, drain, hub, message, publish, publish_past, read, run};

/// A waker that remembers that it was called.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Publishes one message after the other until the hub makes the publisher wait; returns how many
/// bytes that took.
fn publish_until_pending(publisher: &mut Publisher, woken: &Arc<Woken>) -> usize {
    let published = publish_with(publisher, &Waker::from(Arc::clone(woken)), 1 << 20);
    assert!(published < 1 << 20, "nobody makes the publisher wait");
    published
}

/// Publishes until the hub makes the publisher wait, or `byte_len` bytes are published; returns how
/// many were.
fn publish_until(publisher: &mut Publisher, byte_len: usize) -> usize {
    publish_with(publisher, Waker::noop(), byte_len)
}

fn publish_with(publisher: &mut Publisher, waker: &Waker, byte_len: usize) -> usize {
    let wire = message(7, 99);
    let mut published = 0;
    while published < byte_len {
        let (mut messages, _) = Messages::split(&wire);
        if publisher
            .poll_publish(&mut Context::from_waker(waker), &mut messages)
            .is_pending()
        {
            break;
        }
        published += wire.len();
    }
    published
}

#[test]
fn publishers_wait_for_a_subscriber_that_could_be_written_to() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let woken = Arc::new(Woken::default());
    let published = publish_until_pending(&mut publisher, &woken);
    assert!(
        (8 * 1024..10 * 1024).contains(&published),
        "about half the log, not {published} bytes"
    );
    assert!(!woken.is_set());
    assert_eq!(drain(&mut subscriber).0.len(), published);
    assert!(woken.is_set(), "reading lets the publisher go on");
    assert!(publish(&mut publisher, &message(8, 99)).is_ready());
}

#[test]
fn publishers_do_not_wait_for_a_blocked_subscriber() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let woken = Arc::new(Woken::default());
    publish_until_pending(&mut publisher, &woken);
    block(&mut subscriber);
    assert!(woken.is_set(), "blocking lets the publisher go on");
    publish_past(&mut publisher, &run(0..1000, 99), &mut subscriber);
}

#[test]
fn a_blocked_subscriber_is_asked_before_it_loses_anything() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let asked = Arc::new(Woken::default());
    subscriber.block(&mut Context::from_waker(&Waker::from(Arc::clone(&asked))));
    let woken = Arc::new(Woken::default());
    let published = publish_until_pending(&mut publisher, &woken);
    assert!(
        published < 10 * 1024 && asked.is_set(),
        "it is asked when it is half the log behind"
    );
    assert!(!woken.is_set(), "the publisher waits for the answer");
    // Its socket has had room for some time.
    assert_eq!(
        drain(&mut subscriber),
        (message(7, 99).repeat(published / 100), 0)
    );
    assert!(woken.is_set());
}

#[test]
fn a_blocked_subscriber_that_still_is_loses_messages() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let mut question_count = 0;
    let mut published = 0;
    while published < 64 * 1024 {
        let asked = Arc::new(Woken::default());
        subscriber.block(&mut Context::from_waker(&Waker::from(Arc::clone(&asked))));
        published += publish_until(&mut publisher, 64 * 1024 - published);
        question_count += usize::from(asked.is_set());
    }
    assert!(
        (1..=8).contains(&question_count),
        "asked {question_count} times: not once it was overrun"
    );
    assert!(drain(&mut subscriber).1 > 0);
}

#[test]
fn publishers_do_not_wait_for_a_subscriber_that_left_or_has_ended() {
    let hub = hub(16 * 1024);
    let mut publisher = hub.publisher();
    let mut subscriber = hub.subscribe();
    assert_eq!(read(&mut subscriber), Read::Pending);
    let woken = Arc::new(Woken::default());
    publish_until_pending(&mut publisher, &woken);
    drop(subscriber);
    assert!(woken.is_set(), "leaving lets the publisher go on");

    let mut subscriber = hub.subscribe();
    let here = subscriber.position();
    subscriber.end_at(here);
    assert_eq!(read(&mut subscriber), Read::End);
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
}

#[test]
fn nobody_waits_for_a_subscriber_that_never_read() {
    let hub = hub(16 * 1024);
    let _subscriber = hub.subscribe();
    assert!(publish(&mut hub.publisher(), &run(0..1000, 99)).is_ready());
}

#[test]
fn a_subscriber_that_can_be_written_to_again_loses_nothing_more() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    // It is blocked while most of a log is published, and then reads a little.
    assert!(publish(&mut publisher, &run(0..150, 99)).is_ready());
    let Poll::Ready(Some(batch)) = subscriber.poll_batch(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("there is something to read");
    };
    batch.consume(100);
    // Publishers were cleared to go on while nobody waited for it. That no longer holds.
    let woken = Arc::new(Woken::default());
    assert_eq!(publish_until_pending(&mut publisher, &woken), 0);
    assert_eq!(drain(&mut subscriber), (run(1..150, 99), 0));
    assert!(woken.is_set());
}

#[test]
fn a_waiting_publisher_asks_before_it_has_something_to_publish() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    publish_until_pending(&mut publisher, &Arc::default());
    let mut other = hub.publisher();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(
        other
            .poll_ready(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drain(&mut subscriber);
    assert!(woken.is_set());
    assert!(
        other
            .poll_ready(&mut Context::from_waker(&waker))
            .is_ready()
    );
}

#[test]
fn a_publisher_that_is_gone_is_not_woken() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let woken = Arc::new(Woken::default());
    publish_until_pending(&mut publisher, &woken);
    drop(publisher);
    assert_eq!(Arc::strong_count(&woken), 1, "its waker is gone with it");
    drain(&mut subscriber);
    assert!(!woken.is_set());
}

#[test]
fn a_subscriber_that_is_gone_is_not_woken() {
    let hub = hub(16 * 1024);
    let mut subscriber = hub.subscribe();
    let woken = Arc::new(Woken::default());
    assert!(
        subscriber
            .poll_batch(&mut Context::from_waker(&Waker::from(Arc::clone(&woken))))
            .is_pending()
    );
    drop(subscriber);
    assert_eq!(Arc::strong_count(&woken), 1, "its waker is gone with it");
    assert!(publish(&mut hub.publisher(), &message(0, 9)).is_ready());
    assert!(!woken.is_set());
}
