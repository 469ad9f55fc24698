use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use chat_hub::{CapacityTooSmall, Closed, Config, Hub};
use chat_proto::Messages;
use futures::executor::block_on;

use crate::util::{Read, drain, hub, message, publish, read, run, stall};

#[test]
fn every_subscriber_reads_everything_in_one_order() {
    let hub = Hub::default();
    let (mut first, mut second) = (hub.publisher(), hub.publisher());
    let mut subscribers: Vec<_> = (0..3).map(|_| hub.subscribe()).collect();
    let mut expected = Vec::new();
    for round in 0..1000 {
        for (publisher, number) in [(&mut first, round), (&mut second, round + 5000)] {
            let wire = message(number, 8 + round as usize % 200);
            assert!(publish(publisher, &wire).is_ready());
            expected.extend(wire);
        }
    }
    for subscriber in &mut subscribers {
        assert_eq!(drain(subscriber), (expected.clone(), 0));
    }
}

#[test]
fn a_subscriber_reads_from_its_joining_on() {
    let hub = Hub::default();
    let mut publisher = hub.publisher();
    assert!(publish(&mut publisher, &run(0..3, 9)).is_ready());
    let mut subscriber = hub.subscribe();
    assert_eq!(subscriber.position().message_pos(), 3);
    assert_eq!(read(&mut subscriber), Read::Pending);
    assert!(publish(&mut publisher, &message(3, 9)).is_ready());
    assert_eq!(drain(&mut subscriber), (message(3, 9), 0));
}

#[test]
fn a_batch_that_is_dropped_is_read_again() {
    let hub = Hub::default();
    let mut subscriber = hub.subscribe();
    assert!(publish(&mut hub.publisher(), b"\x01a").is_ready());
    for _ in 0..2 {
        let batch = block_on(subscriber.next_batch()).unwrap();
        assert_eq!(batch.chunks().collect::<Vec<_>>(), [b"\x01a"]);
    }
    assert_eq!(
        read(&mut subscriber),
        Read::Batch {
            dropped: 0,
            wire: b"\x01a".to_vec()
        }
    );
    assert_eq!(read(&mut subscriber), Read::Pending);
}

#[test]
fn what_is_owed_completes_the_message_at_every_cut() {
    let wire = [message(0, 5), message(1, 0), message(2, 255), message(3, 1)].concat();
    let boundaries = [0, 6, 7, 263, 265];
    for cut in 0..=wire.len() {
        let hub = Hub::default();
        let mut subscriber = hub.subscribe();
        assert!(publish(&mut hub.publisher(), &wire).is_ready());
        let owed = block_on(subscriber.next_batch()).unwrap().consume(cut);
        let resumed = boundaries
            .into_iter()
            .find(|&boundary| boundary >= cut)
            .unwrap();
        assert_eq!(owed, wire[cut..resumed], "cut at {cut}");
        assert_eq!(drain(&mut subscriber).0, wire[resumed..], "cut at {cut}");
    }
}

#[test]
fn a_batch_is_256_kib_and_a_segment_at_most() {
    let hub = Hub::default();
    let mut subscriber = hub.subscribe();
    assert!(publish(&mut hub.publisher(), &run(0..8000, 99)).is_ready());
    let mut lens = Vec::new();
    while let Ok(batch) = subscriber.try_next_batch() {
        lens.push(batch.len());
        batch.consume_all();
    }
    assert_eq!(lens.iter().sum::<usize>(), 800_000);
    assert!(lens.iter().all(|len| *len <= 320 * 1024), "{lens:?}");
    assert!(lens[0] >= 256 * 1024, "and it is no shorter: {lens:?}");
}

#[test]
fn no_chunk_of_a_batch_is_empty() {
    let hub = Hub::default();
    let (mut publisher, mut quick) = (hub.publisher(), hub.subscribe());
    let mut slow = hub.subscribe();
    // The quick one is given copies, and the slow one more than that: a chunk ends there.
    for numbers in [0..10, 10..25] {
        assert!(publish(&mut publisher, &run(numbers, 99)).is_ready());
        drain(&mut quick);
    }
    drain(&mut slow);
    assert!(publish(&mut publisher, &message(25, 99)).is_ready());
    let batch = quick.try_next_batch().unwrap();
    assert_eq!(batch.chunks().collect::<Vec<_>>(), [message(25, 99)]);
}

#[test]
fn a_batch_has_64_chunks_at_most() {
    let hub = Hub::default();
    let (mut publisher, mut quick) = (hub.publisher(), hub.subscribe());
    let mut slow = hub.subscribe();
    // More than two kilobytes that are read at the end of the log are a chunk from then on.
    for start in (0..2500).step_by(25) {
        assert!(publish(&mut publisher, &run(start..start + 25, 99)).is_ready());
        drain(&mut quick);
    }
    let batch = slow.try_next_batch().unwrap();
    assert_eq!(batch.chunks().len(), 64);
    let read_count = batch.count();
    batch.consume_all();
    assert_eq!(drain(&mut slow), (run(read_count..2500, 99), 0));
}

#[test]
fn a_thread_takes_each_batch_from_the_one_before() {
    let hub = Hub::default();
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, b"\x01a").is_ready());
    let batch = subscriber.next_batch_blocking().unwrap();
    assert_eq!(batch.chunks().collect::<Vec<_>>(), [b"\x01a"]);
    assert!(publish(&mut publisher, b"\x01b").is_ready());
    let batch = batch.next_blocking().unwrap();
    assert_eq!(batch.chunks().collect::<Vec<_>>(), [b"\x01b"]);
    hub.close();
    assert!(batch.next_blocking().is_none());
}

#[test]
#[should_panic(expected = "consumed 3 bytes of a batch of 2")]
fn more_than_the_batch_cannot_be_consumed() {
    let hub = Hub::default();
    let mut subscriber = hub.subscribe();
    assert!(publish(&mut hub.publisher(), b"\x01a").is_ready());
    let _ = block_on(subscriber.next_batch()).unwrap().consume(3);
}

#[test]
fn a_run_longer_than_the_log_goes_through_in_parts() {
    let hub = hub(8192);
    let wire = run(0..10_000, 20);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let expected = wire.clone();
    let publishing = thread::spawn(move || {
        let (mut messages, _) = Messages::split(&wire);
        let end = block_on(publisher.publish(&mut messages));
        end.unwrap().message_pos()
    });
    let mut received = Vec::<u8>::new();
    let mut next = block_on(subscriber.next_batch());
    while let Some(batch) = next {
        assert_eq!(batch.dropped(), 0);
        received.extend(batch.chunks().flatten());
        if received.len() == expected.len() {
            break;
        }
        next = block_on(batch.next());
    }
    assert!(
        received == expected,
        "what was read is not what was published"
    );
    assert_eq!(publishing.join().unwrap(), 10_000);
}

#[test]
fn threads_that_wait_for_each_other_go_on() {
    let (questions, answers) = (Hub::default(), Hub::default());
    let (mut asked, mut answered) = (questions.subscribe(), answers.subscribe());
    let mut answering = answers.publisher();
    let thread = thread::spawn(move || {
        while let Some(batch) = asked.next_batch_blocking() {
            batch.consume_all();
            let mut answer = Messages::split(b"\0").0;
            answering.publish_blocking(&mut answer).unwrap();
        }
    });
    // Of the two, one has to wait for the other each time.
    let mut asking = questions.publisher();
    for _ in 0..100 {
        let mut question = Messages::split(b"\0").0;
        asking.publish_blocking(&mut question).unwrap();
        answered.next_batch_blocking().unwrap().consume_all();
    }
    questions.close();
    thread.join().unwrap();
}

#[test]
fn one_publish_wakes_a_waiting_subscriber_once() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let hub = Hub::default();
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    // Polling twice is waiting once.
    for _ in 0..2 {
        assert!(
            subscriber
                .poll_batch(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    assert!(publish(&mut publisher, &run(0..100, 30)).is_ready());
    assert!(publish(&mut publisher, &run(100..200, 30)).is_ready());
    assert_eq!(
        count.0.load(Ordering::Relaxed),
        1,
        "200 messages are one wake"
    );
    stall(&mut subscriber);
    assert!(publish(&mut publisher, &message(200, 30)).is_ready());
    assert_eq!(
        count.0.load(Ordering::Relaxed),
        1,
        "a stalled subscriber sleeps"
    );
}

#[test]
fn closing_lets_subscribers_read_to_the_end() {
    let hub = Hub::default();
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..4, 9)).is_ready());
    hub.close();
    hub.close();
    let (mut messages, _) = Messages::split(b"\0");
    assert_eq!(block_on(publisher.publish(&mut messages)), Err(Closed));
    assert_eq!(
        publisher.poll_ready(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Err(Closed))
    );
    assert_eq!(drain(&mut subscriber), (run(0..4, 9), 0));
    assert_eq!(read(&mut subscriber), Read::End);
    assert_eq!(
        read(&mut hub.subscribe()),
        Read::End,
        "who joins a closed hub is at its end"
    );
}

#[test]
fn a_subscription_ends_where_it_was_told_to() {
    let hub = Hub::default();
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let Poll::Ready(end) = publish(&mut publisher, &run(0..4, 9)) else {
        panic!("nobody is waited for")
    };
    assert!(publish(&mut publisher, &run(4..8, 9)).is_ready());
    subscriber.end_at(end);
    assert_eq!(drain(&mut subscriber), (run(0..4, 9), 0));
    assert_eq!(read(&mut subscriber), Read::End);
}

#[test]
fn a_capacity_too_small_for_the_longest_messages_is_refused() {
    for capacity in [0, 1, 256, 8191] {
        let refused = Config::default()
            .with_capacity(capacity)
            .build()
            .unwrap_err();
        assert_eq!(
            refused,
            CapacityTooSmall {
                capacity,
                capacity_min: 8192
            }
        );
    }
    let refused = Config::default().with_capacity(7).build().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a capacity of 7 bytes is too small: the least is 8192"
    );
    let hub = hub(8192);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    for number in 0..100 {
        assert!(publish(&mut publisher, &message(number, 255)).is_ready());
        assert_eq!(drain(&mut subscriber), (message(number, 255), 0));
    }
}
