use std::task::{Context, Poll, Waker};

use chat_hub::{Policy, Publisher};
use chat_proto::Messages;

use crate::clock::{clocked, config, stalled, take};
use crate::util::{Read, Woken, drain, message, publish, read, run, stall};

#[test]
fn a_woken_subscriber_that_never_comes_is_given_up() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut forgotten = hub.subscribe();
    assert_eq!(read(&mut forgotten), Read::Pending);
    let mut publisher = hub.publisher();
    while publish(&mut publisher, &message(7, 99)).is_ready() {}
    // It is a matter of many graces: an executor may be slow.
    (0..16 * 8).for_each(|_| clock.tick());
    assert!(publish(&mut publisher, &message(7, 99)).is_pending());
    clock.tick();
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
    assert!(forgotten.is_laggard());
    drain(&mut forgotten);
    assert!(!forgotten.is_laggard(), "it can come back");
}

#[test]
fn nobody_is_given_up_while_messages_are_published() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let mut publisher = hub.publisher();
    for _ in 0..1000 {
        take(&mut subscriber, 1);
        stall(&mut subscriber);
        while publish(&mut publisher, &message(7, 99)).is_ready() {}
        clock.tick();
        assert!(!subscriber.is_laggard());
    }
}

#[test]
fn nobody_is_given_up_while_nobody_waits() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut woken = hub.subscribe();
    assert_eq!(read(&mut woken), Read::Pending);
    assert!(publish(&mut hub.publisher(), &run(0..30, 99)).is_ready());
    (0..1000).for_each(|_| clock.tick());
    assert!(!woken.is_laggard());
    assert_eq!(drain(&mut woken), (run(0..30, 99), 0));
}

#[test]
fn a_publisher_that_never_comes_for_its_turn_is_given_up() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut reader = hub.subscribe();
    assert_eq!(read(&mut reader), Read::Pending);
    let (mut forgotten, mut publisher) = (hub.publisher(), hub.publisher());
    while publish(&mut forgotten, &message(7, 99)).is_ready() {}
    drain(&mut reader);
    // Its turn has come. The other one may overtake it once.
    assert!(publish(&mut publisher, &message(7, 99)).is_ready());
    let (woken, waker) = Woken::new();
    let wire = message(7, 99);
    let mut messages = Messages::split(&wire).0;
    let poll = publisher.poll_publish(&mut Context::from_waker(&waker), &mut messages);
    assert!(poll.is_pending());
    (0..130).for_each(|_| clock.tick());
    assert!(woken.is_set(), "the other one goes on");
    assert!(!reader.is_laggard(), "nobody waits for it");
    assert!(publish(&mut publisher, &message(7, 99)).is_ready());
    drain(&mut reader);
    assert!(
        publish(&mut forgotten, &message(7, 99)).is_ready(),
        "it can come back"
    );
}

#[test]
fn turns_that_are_held_for_ever_are_taken_back() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut holders: Vec<Publisher> = (0..4).map(|_| hub.publisher()).collect();
    let mut cx = Context::from_waker(Waker::noop());
    for holder in &mut holders {
        let _ = holder.poll_ready(&mut cx);
    }
    let mut publisher = hub.publisher();
    assert!(
        publish(&mut publisher, &message(7, 99)).is_pending(),
        "there is no room"
    );
    (0..130).for_each(|_| clock.tick());
    assert!(publish(&mut publisher, &message(7, 99)).is_ready());

    // And so the hub can end.
    let mut subscriber = hub.subscribe();
    assert!(holders[0].poll_ready(&mut cx).is_ready());
    hub.close();
    let (woken, waker) = Woken::new();
    assert!(
        subscriber
            .poll_batch(&mut Context::from_waker(&waker))
            .is_pending()
    );
    (0..130).for_each(|_| clock.tick());
    assert!(woken.is_set());
    assert_eq!(read(&mut subscriber), Read::End);
    assert_eq!(clock.poll_due(&mut cx), Poll::Ready(None));
}

#[test]
fn a_refused_publisher_counts_as_waiting() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut forgotten = hub.subscribe();
    assert_eq!(read(&mut forgotten), Read::Pending);
    let mut publisher = hub.publisher();
    let wire = run(0..1000, 99);
    let mut messages = Messages::split(&wire).0;
    for _ in 0..200 {
        let _ = publisher.try_publish(&mut messages);
        clock.tick();
    }
    assert!(messages.is_empty(), "it was given up");
}

#[test]
fn a_stream_at_a_low_rate_is_not_given_up() {
    // It takes 16 graces until a segment of the log has been taken at the rate.
    let config = config().with_capacity(1 << 20).with_rate(10_000);
    let (hub, mut clock) = config.build_with_clock().unwrap();
    assert!(
        clock
            .poll_due(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    let mut subscriber = stalled(&hub);
    let mut publisher = hub.publisher();
    for _ in 0..1000 {
        let _ = publish(&mut publisher, &message(7, 99));
        clock.tick();
        // Twice the rate.
        take(&mut subscriber, 2);
        stall(&mut subscriber);
    }
    assert!(!subscriber.is_laggard());
    assert_eq!(subscriber.dropped(), 0);
}

#[test]
fn turns_that_are_given_up_leave_their_room_to_others() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut reader = hub.subscribe();
    assert_eq!(read(&mut reader), Read::Pending);
    let mut first = hub.publisher();
    while publish(&mut first, &message(7, 99)).is_ready() {}
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let (mut publisher, (woken, waker)) = (hub.publisher(), Woken::new());
        let poll = publisher.poll_ready(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        waiting.push((publisher, woken));
    }
    let woken_count = || waiting.iter().filter(|(_, woken)| woken.is_set()).count();
    drain(&mut reader);
    let before = woken_count();
    assert!(before < 10, "there is no room for all");
    (0..129).for_each(|_| clock.tick());
    let after = woken_count();
    assert!(after > before);
    clock.tick();
    assert_eq!(woken_count(), after, "these have as long a time");
}
