use std::task::{Context, Poll, Waker};

use chat_hub::{Closed, TryPublishError};
use chat_proto::Messages;

use crate::turns::held;
use crate::util::{Read, Woken, drain, hub, message, publish, read, run};

#[test]
fn a_turn_that_was_taken_survives_the_close() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut other) = (hub.publisher(), hub.publisher());
    let mut subscriber = hub.subscribe();
    let (woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    assert!(subscriber.poll_batch(&mut cx).is_pending());
    assert!(
        publisher
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );
    hub.close();
    let wire = run(0..3, 9);
    let mut messages = Messages::split(&wire).0;
    assert_eq!(
        other.try_publish(&mut messages),
        Err(TryPublishError::Closed)
    );
    assert_eq!(read(&mut subscriber), Read::Pending, "there may be more");
    assert!(publish(&mut publisher, &wire).is_ready());
    assert_eq!(
        publisher.try_publish(&mut messages),
        Err(TryPublishError::Closed),
        "once"
    );
    assert_eq!(drain(&mut subscriber), (wire.clone(), 0));
    assert_eq!(read(&mut subscriber), Read::End);
    assert!(woken.is_set());
}

#[test]
fn a_turn_that_nobody_came_for_ends_with_the_close() {
    let (hub, mut subscriber, mut first) = held();
    drain(&mut subscriber);
    // Its turn has come, and it does not know.
    hub.close();
    assert_eq!(read(&mut subscriber), Read::End);
    let wire = message(0, 99);
    let mut messages = Messages::split(&wire).0;
    assert_eq!(
        first.try_publish(&mut messages),
        Err(TryPublishError::Closed)
    );
}

#[test]
fn a_turn_that_is_given_up_after_the_close_lets_subscribers_end() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(
        publisher
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );
    hub.close();
    let (woken, waker) = Woken::new();
    assert!(
        subscriber
            .poll_batch(&mut Context::from_waker(&waker))
            .is_pending()
    );
    publisher.pass();
    assert!(woken.is_set());
    assert_eq!(read(&mut subscriber), Read::End);
}

#[test]
fn closing_tells_waiting_publishers_and_what_went_out() {
    let (hub, _subscriber, _first) = held();
    let mut publisher = hub.publisher();
    let wire = run(0..10, 9);
    let mut messages = Messages::split(&wire).0;
    let (woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    assert!(publisher.poll_publish(&mut cx, &mut messages).is_pending());
    hub.close();
    assert!(woken.is_set());
    assert_eq!(
        publisher.poll_publish(&mut cx, &mut messages),
        Poll::Ready(Err(Closed))
    );
    assert_eq!(messages.count(), 10);
    assert_eq!(publisher.poll_ready(&mut cx), Poll::Ready(Err(Closed)));
    let mut empty = Messages::default();
    let poll = publisher.poll_publish(&mut cx, &mut empty);
    assert_eq!(
        poll,
        Poll::Ready(Err(Closed)),
        "even with nothing to publish"
    );
}
