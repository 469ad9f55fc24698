use std::io;
use std::task::{Context, Poll, Waker};

use chat_hub::{Config, Hub, Policy, Progress, Publisher, Subscriber, WriteError};
use chat_proto::Messages;

use crate::util::{Read, Woken, drain, message, publish, read, run, stall};

const POLICIES: [Policy; 4] = [
    Policy::Oldest,
    Policy::Newest,
    Policy::Disconnect,
    Policy::Block,
];

const CAPACITY: usize = 64 * 1024;

/// How many of the messages of these tests, 64 bytes each, the log has room for.
const CAPACITY_COUNT: u64 = CAPACITY as u64 / 64;

fn hub(policy: Policy) -> Hub {
    Config::default()
        .with_capacity(CAPACITY)
        .with_policy(policy)
        .build()
        .unwrap()
}

/// Publishes messages one by one, while `stalled` answers that it is whenever publishers wait;
/// returns how many it could.
fn publish_past(
    publisher: &mut Publisher,
    numbers: std::ops::Range<u64>,
    stalled: &mut Subscriber,
) -> u64 {
    let start = numbers.start;
    for number in numbers {
        if publish(publisher, &message(number, 63)).is_pending() {
            stall(stalled);
            if publish(publisher, &message(number, 63)).is_pending() {
                return number - start;
            }
        }
        if stalled.is_disconnected() {
            return number + 1 - start;
        }
    }
    u64::MAX
}

#[test]
fn under_every_policy_who_keeps_up_loses_nothing() {
    for policy in POLICIES {
        let hub = hub(policy);
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        let mut received = Vec::new();
        for start in (0..10 * CAPACITY_COUNT).step_by(50) {
            assert!(
                publish(&mut publisher, &run(start..start + 50, 63)).is_ready(),
                "{policy:?}"
            );
            let (wire, dropped) = drain(&mut subscriber);
            received.extend(wire);
            assert_eq!(dropped, 0, "{policy:?}");
        }
        assert_eq!(
            received,
            run(0..10 * CAPACITY_COUNT + 60, 63)[..received.len()],
            "{policy:?}"
        );
        assert_eq!(hub.stats().delivered, hub.stats().published, "{policy:?}");
    }
}

#[test]
fn under_every_policy_the_counts_of_a_laggard_add_up() {
    for policy in POLICIES {
        let hub = hub(policy);
        let (mut publisher, mut laggard, mut quick) =
            (hub.publisher(), hub.subscribe(), hub.subscribe());
        assert!(publish(&mut publisher, &run(0..10, 63)).is_ready());
        let first = drain(&mut laggard);
        stall(&mut laggard);
        let mut received = 0;
        for number in 10..5 * CAPACITY_COUNT {
            if publish(&mut publisher, &message(number, 63)).is_pending() {
                stall(&mut laggard);
            }
            received += drain(&mut quick).0.len() as u64 / 64;
        }
        let (rest, dropped) = drain(&mut laggard);
        received += drain(&mut quick).0.len() as u64 / 64;
        let stats = hub.stats();
        let delivered = (first.0.len() + rest.len()) as u64 / 64;
        assert_eq!(received, stats.published, "{policy:?}");
        assert_eq!(
            (stats.delivered, stats.dropped),
            (delivered + received, laggard.dropped()),
            "{policy:?}"
        );
        assert_eq!(laggard.dropped() > 0, policy != Policy::Block, "{policy:?}");
        if policy != Policy::Disconnect {
            assert_eq!(delivered + laggard.dropped(), stats.published, "{policy:?}");
        }
        // What was lost behind the last batch is told by the next one.
        assert!(publish(&mut publisher, &message(0, 63)).is_ready());
        let told_later = drain(&mut laggard).1;
        let told = if policy == Policy::Disconnect {
            0
        } else {
            laggard.dropped()
        };
        assert_eq!(dropped + told_later, told, "{policy:?}");
    }
}

#[test]
fn newest_keeps_what_was_queued_and_then_jumps_to_the_end() {
    let hub = hub(Policy::Newest);
    let (mut publisher, mut laggard) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut laggard), Read::Pending);
    stall(&mut laggard);
    assert_eq!(
        publish_past(&mut publisher, 0..5000, &mut laggard),
        u64::MAX,
        "nobody waits for a laggard"
    );
    let (wire, dropped) = drain(&mut laggard);
    assert_eq!(dropped, 0, "the backlog has no gap");
    let kept = wire.len() as u64 / 64;
    assert_eq!(wire, run(0..kept, 63));
    assert!(
        kept * 20 >= CAPACITY_COUNT * 9,
        "nearly half of the log is a backlog, not {kept} messages"
    );
    assert_eq!(laggard.dropped(), 5000 - kept);
    assert!(publish(&mut publisher, &message(5000, 63)).is_ready());
    assert_eq!(
        read(&mut laggard),
        Read::Batch {
            dropped: 5000 - kept,
            wire: message(5000, 63)
        }
    );
}

#[test]
fn newest_loses_nothing_as_long_as_the_whole_log_holds_it() {
    let hub = hub(Policy::Newest);
    let (mut publisher, mut laggard) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut laggard), Read::Pending);
    stall(&mut laggard);
    let count = CAPACITY_COUNT * 8 / 10;
    assert_eq!(
        publish_past(&mut publisher, 0..count, &mut laggard),
        u64::MAX
    );
    assert_eq!(drain(&mut laggard), (run(0..count, 63), 0));
}

#[test]
fn a_backlog_that_nobody_reads_goes_to_the_next_laggard() {
    let hub = hub(Policy::Newest);
    let (mut publisher, _forgotten, mut laggard) =
        (hub.publisher(), hub.subscribe(), hub.subscribe());
    assert_eq!(read(&mut laggard), Read::Pending);
    for start in (0..10_000).step_by(50) {
        assert!(publish(&mut publisher, &run(start..start + 50, 63)).is_ready());
        assert_eq!(drain(&mut laggard).1, 0);
    }
    stall(&mut laggard);
    assert_eq!(
        publish_past(&mut publisher, 10_000..20_000, &mut laggard),
        u64::MAX
    );
    let (wire, dropped) = drain(&mut laggard);
    assert_eq!(dropped, 0);
    let kept = wire.len() as u64 / 64;
    assert!(kept * 20 >= CAPACITY_COUNT * 9, "{kept} messages were kept");
    assert_eq!(wire, run(10_000..10_000 + kept, 63));
}

#[test]
fn a_backlog_that_nobody_reads_is_not_kept_by_other_readers() {
    let hub = hub(Policy::Newest);
    let mut publisher = hub.publisher();
    let mut forgotten = hub.subscribe();
    let mut laggards: Vec<_> = (0..3).map(|_| hub.subscribe()).collect();
    read(&mut forgotten);
    forgotten.stall(Waker::noop());
    for laggard in &mut laggards {
        read(laggard);
        laggard.stall(Waker::noop());
    }
    let mut published = 0;
    let mut publish_more = |count| {
        assert!(publish(&mut publisher, &run(published..published + count, 63)).is_ready());
        published += count;
    };
    publish_more(CAPACITY_COUNT * 11 / 10);
    // Each is more than the half of a log behind that is no backlog when it reads.
    let mut dropped_before = 0;
    for turn in 0..90 {
        let laggard = &mut laggards[turn % 3];
        drain(laggard);
        laggard.stall(Waker::noop());
        publish_more(CAPACITY_COUNT * 19 / 100);
        if turn == 45 {
            dropped_before = hub.stats().dropped;
        }
    }
    let dropped = hub.stats().dropped - dropped_before;
    assert!(
        dropped < 45 * CAPACITY_COUNT / 10,
        "{dropped} messages were lost by laggards whose backlog nobody else read"
    );
}

#[test]
fn a_backlog_that_somebody_reads_is_kept() {
    let hub = hub(Policy::Newest);
    let (mut publisher, mut slow, mut other) = (hub.publisher(), hub.subscribe(), hub.subscribe());
    stall(&mut slow);
    stall(&mut other);
    assert!(publish(&mut publisher, &run(0..CAPACITY_COUNT * 11 / 10, 63)).is_ready());
    let mut received = Vec::<u8>::new();
    for turn in 0..20 {
        let batch = slow.try_next_batch().unwrap();
        received.extend(batch.chunks().flatten().take(64 * 20));
        assert!(batch.consume(64 * 20).is_empty());
        stall(&mut slow);
        // The other one has nothing kept, and falls behind again and again.
        if turn % 3 == 0 {
            drain(&mut other);
            stall(&mut other);
        }
        assert!(publish(&mut publisher, &run(0..300, 63)).is_ready());
    }
    assert_eq!(received, run(0..400, 63));
    assert!(slow.dropped() == 0 && other.dropped() > 0);
}

#[test]
fn a_laggard_is_disconnected_as_soon_as_it_has_lost_something() {
    let hub = hub(Policy::Disconnect);
    let (mut publisher, mut laggard, mut quick) =
        (hub.publisher(), hub.subscribe(), hub.subscribe());
    assert_eq!(read(&mut laggard), Read::Pending);
    let (woken, waker) = Woken::new();
    laggard.stall(&waker);
    let mut count = 0;
    // It is woken for its end, and for nothing else.
    while !laggard.is_disconnected() {
        assert!(count < 2 * CAPACITY_COUNT, "it is told in time");
        if publish(&mut publisher, &message(count, 63)).is_ready() {
            count += 1;
        }
        if woken.is_set() {
            laggard.stall(&waker);
        }
        drain(&mut quick);
    }
    assert_eq!(hub.stats().laggard_count, 0, "its subscription is over");
    assert!(
        count * 64 > CAPACITY as u64 * 9 / 10,
        "{count} messages fit in the log"
    );
    assert_eq!((laggard.dropped(), read(&mut laggard)), (count, Read::End));
    let stats = hub.stats();
    assert_eq!(
        (stats.disconnected, stats.dropped, quick.dropped()),
        (1, count, 0)
    );
    for start in (0..5000).step_by(50) {
        assert!(
            publish(&mut publisher, &run(start..start + 50, 63)).is_ready(),
            "nobody waits for it"
        );
        drain(&mut quick);
    }
    assert_eq!(
        (laggard.dropped(), hub.stats().disconnected),
        (count, 1),
        "what is published later was not for it"
    );
}

#[test]
fn what_a_disconnected_stream_took_counts_as_delivered() {
    let hub = hub(Policy::Disconnect);
    let (mut publisher, mut writer) = (hub.publisher(), hub.subscribe().into_writer());
    assert!(publish(&mut publisher, &run(0..2, 63)).is_ready());
    let full = || Err(io::ErrorKind::WouldBlock.into());
    let mut cx = Context::from_waker(Waker::noop());
    let turn = writer.advance(&mut cx, Waker::noop(), |_| full());
    assert_eq!(turn.unwrap(), Progress::Stalled);
    // It takes the beginning of a message, and while the rest is tried the log overruns it.
    let turn = writer.advance(&mut cx, Waker::noop(), |slices| {
        if slices[0].len() == 128 {
            return Ok(10);
        }
        assert!(publish(&mut publisher, &run(2..5000, 63)).is_ready());
        full()
    });
    assert!(matches!(turn, Err(WriteError::Lagged)));
    let stats = hub.stats();
    assert_eq!((stats.delivered, stats.dropped), (1, 4999));
    assert_eq!(writer.subscriber().dropped(), 4999);
}

#[test]
fn only_a_laggard_that_is_disconnected_is_woken_for_its_loss() {
    for policy in [Policy::Oldest, Policy::Newest, Policy::Disconnect] {
        let hub = hub(policy);
        let (mut publisher, mut laggard) = (hub.publisher(), hub.subscribe());
        let (woken, waker) = Woken::new();
        laggard.stall(&waker);
        let is_told = policy == Policy::Disconnect;
        let mut count = 0;
        // The message that makes the log overrun it tells it.
        while hub.stats().lag_max != CAPACITY as u64 && count < 5000 {
            assert!(!woken.is_set(), "{policy:?}: {count}");
            assert!(publish(&mut publisher, &message(count, 99)).is_ready());
            count += 1;
        }
        assert_eq!(woken.is_set(), is_told, "{policy:?}");
    }
}

#[test]
fn publishers_wait_for_a_laggard_from_its_joining_to_its_end() {
    let hub = hub(Policy::Block);
    let (mut publisher, mut laggard) = (hub.publisher(), hub.subscribe());
    let count = publish_past(&mut publisher, 0..5000, &mut laggard);
    assert!(
        (CAPACITY_COUNT / 8..CAPACITY_COUNT / 2).contains(&count),
        "{count} messages fit in a quarter of a log or so"
    );
    assert_eq!(drain(&mut laggard), (run(0..count, 63), 0));
    let more = publish_past(&mut publisher, count..5000, &mut laggard);
    assert!(more < CAPACITY_COUNT, "it is waited for again");

    let (woken, waker) = Woken::new();
    let wire = message(0, 63);
    let (mut messages, _) = Messages::split(&wire);
    let poll = publisher.poll_publish(&mut Context::from_waker(&waker), &mut messages);
    assert_eq!((poll, woken.count()), (Poll::Pending, 0));
    drop(laggard);
    assert_eq!(woken.count(), 1, "its leaving lets publishers go on");
    assert!(publish(&mut publisher, &wire).is_ready());
}

#[test]
fn ten_thousand_come_and_go_during_a_flood_under_every_policy() {
    for policy in POLICIES {
        let hub = hub(policy);
        let mut publisher = hub.publisher();
        let mut subscribers = Vec::new();
        for number in 0..10_000 {
            // Some read and then keep everybody waiting, some say that they are full, most do
            // nothing.
            let mut subscriber = hub.subscribe();
            let joined = subscriber.position().message_pos();
            if number % 100 == 0 {
                read(&mut subscriber);
            }
            if number % 10 == 1 {
                stall(&mut subscriber);
            }
            subscribers.push((subscriber, joined));
            if subscribers.len() > 50 {
                subscribers.swap_remove(usize::try_from(number * 7).unwrap() % 51);
            }
            let _ = publish(&mut publisher, &run(number * 9..number * 9 + 9, 255));
        }
        hub.close();
        let published = hub.stats().published;
        for (subscriber, joined) in &mut subscribers {
            let delivered = drain(subscriber).0.len() as u64 / 256;
            let read = delivered + subscriber.dropped();
            assert!(
                read == published - *joined || subscriber.is_disconnected(),
                "{policy:?}: {read} of {}",
                published - *joined
            );
        }
        drop(subscribers);
        let stats = hub.stats();
        assert_eq!(
            (stats.subscriber_count, stats.lag_max),
            (0, 0),
            "{policy:?}"
        );
    }
}
