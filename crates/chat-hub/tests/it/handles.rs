use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use chat_hub::{Config, Hub, Policy, Publisher, TryNextError};
use chat_proto::Messages;

use crate::util::{Read, Woken, drain, hub, message, publish, read, run};

#[test]
fn a_hub_ends_with_its_last_handle_and_its_last_publisher() {
    type Last = fn(Hub, Publisher);
    let lasts: [Last; 3] = [
        |hub, publisher| drop((hub, publisher)),
        |hub, publisher| drop((publisher, hub)),
        |hub, publisher| {
            let clone = publisher.clone();
            drop((hub, publisher));
            drop(clone);
        },
    ];
    for last in lasts {
        let hub = Hub::default();
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        assert!(publish(&mut publisher, &message(1, 9)).is_ready());
        drain(&mut subscriber);
        let (woken, waker) = Woken::new();
        assert!(
            subscriber
                .poll_batch(&mut Context::from_waker(&waker))
                .is_pending()
        );
        last(hub, publisher);
        assert!(woken.is_set());
        assert_eq!(read(&mut subscriber), Read::End);
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let documented = Config::default()
        .with_capacity(8 * 1024 * 1024)
        .with_policy(Policy::Oldest)
        .with_rate(8 * 1024 * 1024)
        .with_grace(Duration::from_millis(100));
    assert_eq!(Config::default(), documented);
}

#[test]
fn a_hub_lives_as_long_as_a_handle_or_a_publisher_does() {
    let hub = Hub::default();
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let clone = hub.clone();
    drop(hub);
    drop(clone);
    assert_eq!(
        subscriber.try_next_batch().unwrap_err(),
        TryNextError::Empty
    );
    assert!(publish(&mut publisher, &message(1, 9)).is_ready());
    drop(publisher);
    assert_eq!(
        drain(&mut subscriber).0,
        message(1, 9),
        "what is there is read"
    );
    assert_eq!(
        subscriber.try_next_batch().unwrap_err(),
        TryNextError::Ended
    );
}

#[test]
fn another_hubs_position_is_refused_and_breaks_nothing() {
    let (hub, other) = (hub(16 * 1024), hub(16 * 1024));
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    // It would be in the middle of a message here.
    assert!(publish(&mut other.publisher(), &message(0, 30)).is_ready());
    assert!(publish(&mut publisher, &run(0..3, 63)).is_ready());
    let foreign = other.end();
    assert_eq!(foreign.partial_cmp(&hub.end()), None);
    assert_ne!(foreign, hub.end());
    for refused in [
        panic::catch_unwind(AssertUnwindSafe(|| subscriber.end_at(foreign))).unwrap_err(),
        panic::catch_unwind(AssertUnwindSafe(|| hub.subscribe_at(foreign))).unwrap_err(),
    ] {
        let message = refused.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| refused.downcast_ref::<&str>().copied());
        assert_eq!(message, Some("the position is another hub's"));
    }
    assert_eq!(drain(&mut subscriber), (run(0..3, 63), 0));
    assert_eq!(hub.stats().dropped, 0);
}

#[test]
fn a_subscriber_can_join_where_another_one_is() {
    let hub = hub(64 * 1024);
    let (mut publisher, mut slow) = (hub.publisher(), hub.subscribe());
    let start = slow.position();
    assert!(publish(&mut publisher, &run(0..500, 63)).is_ready());
    let owed = slow.try_next_batch().unwrap().consume(64 * 100);
    assert!(owed.is_empty());
    let middle = slow.position();
    let mut joined = hub
        .subscribe_at(middle)
        .expect("it is retained for the other one");
    assert_eq!(joined.position(), middle);
    assert_eq!(drain(&mut joined), (run(100..500, 63), 0));
    let mut tail = hub.subscribe_at(hub.end()).expect("the end is retained");
    assert_eq!(read(&mut tail), Read::Pending);
    drop((joined, tail));
    drain(&mut slow);
    slow.pause();
    assert!(publish(&mut publisher, &run(500..3000, 63)).is_ready());
    drain(&mut slow);
    assert!(hub.subscribe_at(start).is_none(), "it has been let go");
    let stats = hub.stats();
    assert_eq!(stats.delivered + stats.dropped, 3000 + 400);
    assert_eq!(stats.delivered_bytes, 64 * stats.delivered);
    assert!(stats.retained_bytes <= 64 * 1024);
}

#[test]
fn an_ender_of_a_subscriber_that_is_gone_ends_nobody_else() {
    let hub = Hub::default();
    let gone = hub.subscribe();
    let (ender, end) = (gone.ender(), gone.position());
    drop(gone);
    // It is kept where the other one was.
    let mut subscriber = hub.subscribe();
    ender.end_at(end);
    assert!(publish(&mut hub.publisher(), b"\0").is_ready());
    assert_eq!(drain(&mut subscriber).0, b"\0");
}

#[test]
fn an_ender_wakes_who_waits_and_who_is_stalled() {
    let hub = Hub::default();
    let mut subscriber = hub.subscribe();
    let ender = subscriber.ender();
    let (woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    assert!(subscriber.poll_batch(&mut cx).is_pending());
    ender.end_at(hub.end());
    assert_eq!(woken.count(), 1);
    assert_eq!(read(&mut subscriber), Read::End);

    let mut subscriber = hub.subscribe();
    let ender = subscriber.ender();
    subscriber.stall(&waker);
    ender.end_at(hub.end());
    assert_eq!(woken.count(), 2);
    assert_eq!(read(&mut subscriber), Read::End);
}

#[test]
fn lags_are_told_for_each_and_for_all() {
    let hub = hub(1 << 20);
    let (mut publisher, quick) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..2000, 99)).is_ready());
    assert_eq!(quick.lag(), 200_000);
    let stats = hub.stats();
    assert!(stats.lag_max >= 200_000 && stats.lag_max <= 200_000 + 65_536);
    assert_eq!((stats.published, stats.published_bytes), (2000, 200_000));
    assert_eq!(stats.retained_bytes, 200_000);
    drop(quick);
    assert_eq!(hub.stats().lag_max, 0);
}

#[test]
fn chunks_can_be_owned_and_read_as_messages() {
    let hub = hub(1 << 20);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let wire = run(0..3000, 99);
    assert!(publish(&mut publisher, &wire).is_ready());
    let mut owned = Vec::new();
    while let Ok(batch) = subscriber.try_next_batch() {
        let runs: Vec<usize> = batch.messages().map(Messages::count).collect();
        assert_eq!(runs.iter().sum::<usize>() as u64, batch.count());
        assert!(
            batch
                .chunks()
                .zip(batch.messages())
                .all(|(chunk, run)| run.as_bytes() == chunk)
        );
        owned.extend(batch.shared_chunks());
        batch.consume_all();
    }
    assert!(publish(&mut publisher, &run(3000..9000, 99)).is_ready());
    assert_eq!(owned.concat(), wire, "they do not change");
}

#[test]
fn debug_output_has_no_bodies() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let wire = b"\x06SECRET".repeat(100);
    assert!(publish(&mut publisher, &wire).is_ready());
    let batch = subscriber.try_next_batch().unwrap();
    let printed = format!("{hub:?} {publisher:?} {batch:?}");
    drop(batch);
    let mut writer = subscriber.into_writer();
    let cut = writer.advance(
        &mut Context::from_waker(Waker::noop()),
        Waker::noop(),
        |slices| {
            if slices[0].len() > 6 {
                Ok(4)
            } else {
                Err(std::io::ErrorKind::WouldBlock.into())
            }
        },
    );
    assert_eq!(cut.unwrap(), chat_hub::Progress::Stalled);
    let printed = format!("{printed} {writer:?}");
    for name in ["Hub {", "Publisher {", "Batch {", "Subscriber {"] {
        assert!(printed.contains(name), "{printed}");
    }
    for secret in ["SECRET", "RET", "83, 69", "[82, 69, 84]"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(printed.contains("3 bytes"), "{printed}");
}

#[test]
fn a_waker_that_panics_loses_nobody_elses_wake() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("this waker panics");
        }
    }
    let hub = Hub::default();
    let mut subscribers: Vec<_> = (0..5).map(|_| hub.subscribe()).collect();
    let (woken, waker) = Woken::new();
    let panics = Waker::from(Arc::new(Panics));
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        let waker = if index % 2 == 1 { &panics } else { &waker };
        assert!(
            subscriber
                .poll_batch(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    let mut publisher = hub.publisher();
    let published = panic::catch_unwind(AssertUnwindSafe(|| publish(&mut publisher, b"\0")));
    assert!(published.is_err(), "the panic is not swallowed");
    assert_eq!(woken.count(), 3);
    for subscriber in &mut subscribers {
        assert_eq!(drain(subscriber).0, b"\0");
    }
    assert!(publish(&mut publisher, b"\0").is_ready(), "the hub goes on");
}

#[test]
fn an_ender_ends_a_subscription_at_once() {
    let hub = hub(16 * 1024);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let (start, ender) = (subscriber.position(), subscriber.ender());
    let (woken, waker) = Woken::new();
    assert!(
        subscriber
            .poll_batch(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(publish(&mut publisher, &run(0..10, 63)).is_ready());
    ender.end_at(start);
    assert!(woken.is_set());
    assert_eq!(hub.stats().lag_max, 0, "it is in nobody's way");
    assert!(publish(&mut publisher, &run(0..1000, 63)).is_ready());
    assert_eq!(read(&mut subscriber), Read::End);
    drop(subscriber);
    // The next subscriber may have its key, and is not ended.
    let mut other = hub.subscribe();
    ender.end_at(hub.end());
    assert_eq!(read(&mut other), Read::Pending);
}

#[test]
fn a_stall_of_a_subscription_that_an_ender_ended_is_woken() {
    let hub = hub(16 * 1024);
    let mut subscriber = hub.subscribe();
    assert!(publish(&mut hub.publisher(), &run(0..10, 63)).is_ready());
    let (start, ender) = (subscriber.position(), subscriber.ender());
    // It ends between a read and the stall.
    ender.end_at(start);
    let (woken, waker) = Woken::new();
    subscriber.stall(&waker);
    assert!(woken.is_set());
    assert_eq!(read(&mut subscriber), Read::End);
}
