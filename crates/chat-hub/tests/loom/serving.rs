use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use chat_hub::{Batch, Policy};
use loom::future::block_on;

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::steps::{
    assert_counts, far_behind, fill, hub, poll_once, receive_from, spawn_publishing_behind,
    spawn_publishing_run,
};
use crate::util::{drain, message, publish, run};

#[test]
fn who_takes_each_batch_from_the_last_loses_nothing() {
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(Some(2), &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = far_behind(&hub, 1);
        let first = subscriber.try_next_batch().unwrap();
        // More than the log holds is published while the subscriber reads.
        let publishing = spawn_publishing_run(hub.publisher(), 1..37, &WAITS);
        let received = receive_from(first, 37);
        assert_eq!(publishing.join().unwrap(), Ok(37));
        assert!(received.into_iter().eq(0..37));
        assert_counts(&hub, [subscriber], (37, 37, 0));
    });
}

#[test]
fn who_takes_a_batch_far_behind_is_waited_for_at_once() {
    static WAITS: Moment = Moment::new("a publisher waits");
    explore(Some(2), &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        // It is further behind than publishers let anybody be whom they wait for.
        let mut subscriber = far_behind(&hub, 30);
        let first = subscriber.try_next_batch().unwrap();
        let publishing =
            [30..32, 32..34].map(|numbers| spawn_publishing_run(hub.publisher(), numbers, &WAITS));
        assert_eq!(hub.end().message_pos(), 30, "it is waited for");
        let mut received = receive_from(first, 34);
        for publishing in publishing {
            publishing.join().unwrap().unwrap();
        }
        received.sort_unstable();
        assert!(received.into_iter().eq(0..34), "each arrives once");
        assert_counts(&hub, [subscriber], (34, 34, 0));
    });
}

#[test]
fn who_is_served_is_never_more_than_a_slack_behind() {
    static WAITS: Moment = Moment::new("a publisher waits");
    static BEHIND: Moment = Moment::new("the subscriber is further behind than a slack");
    explore(Some(2), &[&WAITS, &BEHIND], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = far_behind(&hub, 1);
        let first = subscriber.try_next_batch().unwrap();
        assert!(publish(&mut hub.publisher(), &run(1..8, 255)).is_ready());
        let publishing =
            [8..12, 12..16].map(|numbers| spawn_publishing_run(hub.publisher(), numbers, &WAITS));
        // A batch is all there is to read: a quarter of the log at most, an eighth of that until
        // the publishers look again, and a part of each of them.
        let batch_len_max = 2048 + 256 + 2 * 512;
        block_on(async {
            let (mut count, mut next) = (0, Some(first));
            while let Some(batch) = next {
                assert!(batch.len() <= batch_len_max, "{} bytes", batch.len());
                if batch.len() > 2048 {
                    BEHIND.comes();
                }
                count += batch.count();
                if count == 16 {
                    batch.consume_all();
                    break;
                }
                next = batch.next().await;
            }
        });
        for publishing in publishing {
            publishing.join().unwrap().unwrap();
        }
        assert_counts(&hub, [subscriber], (16, 16, 0));
    });
}

#[test]
fn a_wait_that_is_dropped_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(EVERY_ORDER, &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let publishing = {
            let mut waiting = pin!(subscriber.next_batch());
            assert!(poll_once(|cx| waiting.as_mut().poll(cx).is_pending()));
            let count = fill(&mut hub.publisher());
            spawn_publishing_behind(&hub, count, &WAITS)
        };
        let count = publishing.join().unwrap().unwrap();
        assert_eq!(drain(&mut subscriber), (run(0..count, 255), 0));
        assert_counts(&hub, [subscriber], (count, count, 0));
    });
}

#[test]
fn a_wait_that_is_dropped_when_it_is_woken_stops_nobody() {
    static WAITS: Moment = Moment::new("the publisher waits");
    static WOKEN: Moment = Moment::new("the wait is woken before it is dropped");
    explore(EVERY_ORDER, &[&WAITS, &WOKEN], || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let publishing = {
            let mut waiting = pin!(subscriber.next_batch());
            assert!(poll_once(|cx| waiting.as_mut().poll(cx).is_pending()));
            let publishing = spawn_publishing_run(hub.publisher(), 0..12, &WAITS);
            if hub.end().message_pos() > 0 {
                WOKEN.comes();
            }
            publishing
        };
        assert_eq!(publishing.join().unwrap(), Ok(12));
        assert_eq!(drain(&mut subscriber), (run(0..12, 255), 0));
        assert_counts(&hub, [subscriber], (12, 12, 0));
    });
}

#[test]
fn a_write_that_is_dropped_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(EVERY_ORDER, &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let mut writer = hub.subscribe().into_writer();
        let publishing = {
            let take_all = |_: &mut Context<'_>, slices: &[std::io::IoSlice<'_>]| {
                Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
            };
            let mut writing = pin!(writer.write(take_all));
            assert!(poll_once(|cx| writing.as_mut().poll(cx).is_pending()));
            let count = fill(&mut hub.publisher());
            spawn_publishing_behind(&hub, count, &WAITS)
        };
        let count = publishing.join().unwrap().unwrap();
        assert_eq!((writer.written(), writer.subscriber().dropped()), (0, 0));
        assert_counts(&hub, [writer], (count, 0, 0));
    });
}

#[test]
fn a_batch_that_is_dropped_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_batch_gives_way(&WAITS, |batch| {
        drop(batch);
        0
    });
}

#[test]
fn a_batch_that_is_consumed_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_batch_gives_way(&WAITS, |batch| {
        batch.consume_all();
        2
    });
}

#[test]
fn a_batch_that_is_cut_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_batch_gives_way(&WAITS, |batch| {
        assert_eq!(batch.consume(100), message(0, 255)[100..]);
        1
    });
}

#[test]
fn a_batch_that_is_read_on_from_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_batch_gives_way(&WAITS, |batch| {
        let next = block_on(batch.next()).unwrap();
        let count = next.count();
        next.consume_all();
        2 + count
    });
}

/// Checks that a publisher which waits for somebody who has a batch of two messages goes on once
/// the batch gives way, and that nothing is lost. `give_way` tells how many messages were read.
#[track_caller]
fn check_batch_gives_way(waits: &'static Moment, give_way: fn(Batch<'_>) -> u64) {
    explore(EVERY_ORDER, &[waits], move || {
        let hub = hub(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let mut publisher = hub.publisher();
        assert!(publish(&mut publisher, &run(0..2, 255)).is_ready());
        let batch = subscriber.try_next_batch().unwrap();
        let mut count = 2;
        while publish(&mut publisher, &message(count, 255)).is_ready() {
            count += 1;
        }
        drop(publisher);
        let publishing = spawn_publishing_behind(&hub, count as usize, waits);
        let read = give_way(batch);
        assert_eq!(publishing.join().unwrap(), Ok(count + 2));
        assert_eq!(drain(&mut subscriber), (run(read..count + 2, 255), 0));
        assert_counts(&hub, [subscriber], (count + 2, count + 2, 0));
    });
}
