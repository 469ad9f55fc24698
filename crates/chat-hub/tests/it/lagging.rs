use chat_hub::{Config, Policy};

use crate::util::{Read, drain, hub, message, publish, publish_past, read, run, stall};

#[test]
fn lagging_subscriber_learns_exact_loss() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..1000, 63)).is_ready());
    let Read::Batch { dropped, wire } = read(&mut subscriber) else {
        panic!("there is something to read")
    };
    assert!(
        dropped > 700,
        "a log of 256 messages cannot hold more, yet only {dropped} were lost"
    );
    assert_eq!(
        wire,
        run(dropped..1000, 63),
        "it reads everything after the loss"
    );
    assert_eq!(subscriber.dropped(), dropped);
    let stats = hub.stats();
    assert_eq!((stats.published, stats.dropped), (1000, dropped));
}

#[test]
fn a_laggard_resumes_in_the_middle_of_what_is_retained() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..1000, 63)).is_ready());
    let (wire, _) = drain(&mut subscriber);
    assert!(
        (7 * 1024..=9 * 1024).contains(&wire.len()),
        "half a log is left to it, not {} bytes",
        wire.len()
    );
    // Hence a third of a log may be published without another loss.
    stall(&mut subscriber);
    assert!(publish(&mut publisher, &run(1000..1085, 63)).is_ready());
    assert_eq!(drain(&mut subscriber), (run(1000..1085, 63), 0));
}

#[test]
fn a_message_that_was_begun_is_owed_whatever_is_lost_after_it() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..3, 63)).is_ready());
    let batch = futures::executor::block_on(subscriber.next_batch()).unwrap();
    let owed = batch.consume(64 + 10);
    assert_eq!(owed, message(1, 63)[10..]);
    stall(&mut subscriber);
    publish_past(&mut publisher, &run(3..1000, 63), &mut subscriber);
    let Read::Batch { dropped, wire } = read(&mut subscriber) else {
        panic!("there is something to read")
    };
    assert_eq!(
        wire,
        run(2 + dropped..1000, 63),
        "the two that were written are neither lost nor repeated"
    );
}

#[test]
fn the_loss_before_the_end_of_a_subscription_is_counted() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..10, 63)).is_ready());
    subscriber.end_at(hub.subscribe().position());
    assert!(publish(&mut publisher, &run(10..1000, 63)).is_ready());
    assert_eq!(read(&mut subscriber), Read::End);
    assert_eq!(
        subscriber.dropped(),
        10,
        "what is beyond the end is no loss"
    );
}

#[test]
fn the_counts_add_up_when_everybody_is_at_rest() {
    let hub = hub(16 * 1024);
    let mut publisher = hub.publisher();
    let (mut quick, mut slow) = (hub.subscribe(), hub.subscribe());
    for start in (0..5000).step_by(10) {
        publish_past(&mut publisher, &run(start..start + 10, 63), &mut slow);
        drain(&mut quick);
        if start % 1000 == 0 {
            drain(&mut slow);
            stall(&mut slow);
        }
    }
    assert_eq!(
        hub.stats().lag_max,
        16 * 1024,
        "the log has overrun the stalled subscriber"
    );
    drain(&mut slow);
    let stats = hub.stats();
    assert_eq!((stats.published, stats.subscriber_count), (5000, 2));
    assert!(stats.lag_max <= 1024, "a segment at most");
    assert_eq!((quick.dropped(), slow.dropped() > 0), (0, true));
    assert_eq!(
        (stats.dropped, stats.delivered),
        (slow.dropped(), 10_000 - slow.dropped())
    );
    drop((quick, slow));
    assert_eq!(hub.stats().subscriber_count, 0);
    assert_eq!(
        hub.stats().delivered,
        stats.delivered,
        "what was delivered stays counted"
    );
}

#[test]
fn an_end_that_was_passed_already_costs_no_loss() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let start = subscriber.position();
    assert!(publish(&mut publisher, &run(0..10, 63)).is_ready());
    assert_eq!(drain(&mut subscriber).0.len(), 640);
    stall(&mut subscriber);
    publish_past(&mut publisher, &run(10..1000, 63), &mut subscriber);
    subscriber.end_at(start);
    assert_eq!(read(&mut subscriber), Read::End);
    assert_eq!(
        (
            subscriber.dropped(),
            hub.stats().dropped,
            hub.stats().delivered
        ),
        (0, 0, 10)
    );
}

#[test]
fn a_subscription_that_has_ended_does_not_go_on() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..10, 63)).is_ready());
    subscriber.end_at(hub.subscribe().position());
    assert!(publish(&mut publisher, &run(10..1000, 63)).is_ready());
    assert_eq!(read(&mut subscriber), Read::End);
    subscriber.end_at(hub.subscribe().position());
    assert_eq!(read(&mut subscriber), Read::End);
    assert_eq!(subscriber.dropped(), 10);
}

#[test]
fn a_laggard_that_takes_nothing_does_not_hold_the_backlog() {
    let config = Config::default().with_policy(Policy::Newest);
    let hub = config.with_capacity(64 * 1024).build().unwrap();
    let (mut publisher, mut idle, mut laggard) =
        (hub.publisher(), hub.subscribe(), hub.subscribe());
    assert_eq!(read(&mut laggard), Read::Pending);
    // The idle one has the backlog, and tries its stream again and again.
    for start in (0..2000).step_by(50) {
        stall(&mut idle);
        assert!(publish(&mut publisher, &run(start..start + 50, 63)).is_ready());
        assert_eq!(drain(&mut laggard), (run(start..start + 50, 63), 0));
    }
    stall(&mut laggard);
    for start in (2000..4000).step_by(50) {
        stall(&mut idle);
        assert!(publish(&mut publisher, &run(start..start + 50, 63)).is_ready());
    }
    let (wire, dropped) = drain(&mut laggard);
    let kept = wire.len() as u64 / 64;
    assert!(
        kept > 450,
        "nearly half of the log is a backlog, not {kept} messages"
    );
    assert_eq!((wire, dropped), (run(2000..2000 + kept, 63), 0));
}
