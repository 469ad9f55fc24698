use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chat_hub::{Clock, Config, Hub, Policy, Subscriber};
use chat_proto::Messages;

use crate::util::{Read, Woken, drain, message, publish, read, run, stall};

/// The grace is eight steps of 10 milliseconds. In each, a stream that keeps up takes 100 bytes.
const GRACE: Duration = Duration::from_millis(80);

pub(crate) fn config() -> Config {
    Config::default()
        .with_capacity(16 * 1024)
        .with_rate(10_000)
        .with_grace(GRACE)
}

/// Makes a hub whose clock somebody runs.
pub(crate) fn clocked(policy: Policy) -> (Hub, Clock) {
    let (hub, mut clock) = config().with_policy(policy).build_with_clock().unwrap();
    assert!(
        clock
            .poll_due(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    (hub, clock)
}

/// Has a subscriber be behind as far as publishers let it, and stall. The stream has not taken
/// anything since it has joined.
pub(crate) fn stalled(hub: &Hub) -> Subscriber {
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    while publish(&mut publisher, &message(7, 99)).is_ready() {}
    stall(&mut subscriber);
    subscriber
}

/// Takes a batch and consumes so many messages of 100 bytes of it.
pub(crate) fn take(subscriber: &mut Subscriber, count: usize) {
    let owed = subscriber.try_next_batch().unwrap().consume(100 * count);
    assert!(owed.is_empty());
}

#[test]
fn a_stream_that_takes_nothing_is_waited_for_for_the_grace() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let mut publisher = hub.publisher();
    for tick in 0..8 {
        assert!(
            publish(&mut publisher, &message(8, 99)).is_pending(),
            "tick {tick}"
        );
        assert!(!subscriber.is_laggard());
        clock.tick();
        // It has been told to try once more, and did.
        if tick >= 6 {
            stall(&mut subscriber);
        }
    }
    assert!(subscriber.is_laggard());
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
}

#[test]
fn the_time_of_all_who_wait_is_told() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let mut publishers = [hub.publisher(), hub.publisher()];
    for publisher in &mut publishers {
        assert!(publish(publisher, &message(8, 99)).is_pending());
    }
    assert_eq!(hub.stats().publisher_wait, Duration::ZERO);
    (0..3).for_each(|_| clock.tick());
    let told = hub.stats().publisher_wait;
    assert_eq!(told, 3 * 2 * GRACE / 8);
    drain(&mut subscriber);
    for publisher in &mut publishers {
        assert!(publish(publisher, &message(8, 99)).is_ready());
    }
    clock.tick();
    assert_eq!(hub.stats().publisher_wait, told, "nobody waits any more");
}

#[test]
fn a_stream_is_tried_once_more_before_its_client_is_a_laggard() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let (woken, waker) = Woken::new();
    subscriber.stall(&waker);
    let ticks = (1..).find(|_| {
        clock.tick();
        woken.is_set()
    });
    assert_eq!(ticks, Some(7));
    // It has had room all the time.
    drain(&mut subscriber);
    (0..100).for_each(|_| clock.tick());
    assert!(!subscriber.is_laggard());
    assert_eq!(subscriber.dropped(), 0);
}

#[test]
fn an_answer_that_is_late_is_waited_for() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let subscriber = stalled(&hub);
    // It has been asked and nobody polled it: that may be the executor's doing.
    (0..15).for_each(|_| clock.tick());
    assert!(!subscriber.is_laggard());
    (0..2).for_each(|_| clock.tick());
    assert!(subscriber.is_laggard(), "but not for ever");
}

#[test]
fn a_stream_at_the_rate_keeps_up_and_a_slower_one_does_not() {
    // How many messages of 100 bytes it takes in two steps.
    for (count, keeps_up) in [(5, true), (2, true), (1, false), (0, false)] {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let mut subscriber = stalled(&hub);
        let mut publisher = hub.publisher();
        for tick in 1..=600 {
            clock.tick();
            for _ in 0..10 {
                let _ = publish(&mut publisher, &message(7, 99));
            }
            if tick % 2 == 0 {
                take(&mut subscriber, count);
            }
            stall(&mut subscriber);
        }
        assert_eq!(subscriber.is_laggard(), !keeps_up, "{count}");
        assert_eq!(subscriber.dropped() == 0, keeps_up, "{count}");
    }
}

#[test]
fn a_laggard_that_has_caught_up_has_the_whole_grace_again() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    (0..20).for_each(|_| clock.tick());
    assert!(subscriber.is_laggard());
    // It takes bytes, and has not caught up.
    take(&mut subscriber, 1);
    stall(&mut subscriber);
    assert!(subscriber.is_laggard());
    drain(&mut subscriber);
    assert!(!subscriber.is_laggard());
    let mut publisher = hub.publisher();
    while publish(&mut publisher, &message(7, 99)).is_ready() {}
    stall(&mut subscriber);
    (0..6).for_each(|_| clock.tick());
    assert!(!subscriber.is_laggard());
    assert!(publish(&mut publisher, &message(7, 99)).is_pending());
}

#[test]
fn who_caught_up_with_little_has_the_whole_grace_again() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    for _ in 0..5 {
        assert!(publish(&mut publisher, &message(7, 99)).is_ready());
        for _ in 0..7 {
            stall(&mut subscriber);
            clock.tick();
            assert!(!subscriber.is_laggard());
        }
        // That is much less than it should have taken, and all there is.
        assert_eq!(drain(&mut subscriber).0.len(), 100);
    }
}

#[test]
fn a_stream_is_tried_once_more_each_time() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let (woken, waker) = Woken::new();
    for time in 1..=3 {
        subscriber.stall(&waker);
        while woken.count() < time {
            clock.tick();
            assert!(!subscriber.is_laggard(), "it is told before");
        }
        // It takes what it should have taken until now.
        take(&mut subscriber, 7);
    }
}

#[test]
fn what_a_stream_skipped_does_not_count_as_taken() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    (0..6).for_each(|_| clock.tick());
    // Nobody serves it for a while, and the log overruns it.
    subscriber.pause();
    assert!(publish(&mut hub.publisher(), &run(0..1000, 99)).is_ready());
    stall(&mut subscriber);
    assert!(subscriber.dropped() > 0 && !subscriber.is_laggard());
    for _ in 0..2 {
        clock.tick();
        stall(&mut subscriber);
    }
    assert!(subscriber.is_laggard(), "it took nothing in a whole grace");
}

#[test]
fn a_jump_to_the_end_is_no_catching_up() {
    let (hub, mut clock) = clocked(Policy::Newest);
    let mut subscriber = stalled(&hub);
    (0..20).for_each(|_| clock.tick());
    assert!(publish(&mut hub.publisher(), &run(0..1000, 99)).is_ready());
    // One task reads it, and has one waker.
    let (_woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    while let Poll::Ready(batch) = subscriber.poll_batch(&mut cx) {
        batch.expect("the hub is open").consume_all();
    }
    assert!(subscriber.dropped() > 0 && subscriber.is_laggard());
    assert!(subscriber.poll_batch(&mut cx).is_pending());
    assert!(!subscriber.is_laggard(), "there is nothing more to read");
}

#[test]
fn under_block_no_stream_is_a_laggard() {
    let (hub, mut clock) = clocked(Policy::Block);
    let subscriber = stalled(&hub);
    (0..1000).for_each(|_| clock.tick());
    assert!(!subscriber.is_laggard());
    assert!(publish(&mut hub.publisher(), &message(7, 99)).is_pending());
}

#[test]
fn many_stalled_streams_are_all_judged() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let subscribers: Vec<Subscriber> = (0..1000).map(|_| stalled_at_once(&hub)).collect();
    (0..20).for_each(|_| clock.tick());
    assert!(subscribers.iter().all(Subscriber::is_laggard));
}

/// Makes a subscriber whose stream takes nothing.
fn stalled_at_once(hub: &Hub) -> Subscriber {
    let mut subscriber = hub.subscribe();
    stall(&mut subscriber);
    subscriber
}

#[test]
fn an_ender_wakes_who_is_stalled_under_a_clock() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let (woken, waker) = Woken::new();
    subscriber.stall(&waker);
    subscriber.ender().end_at(subscriber.position());
    assert!(woken.is_set());
    assert_eq!(read(&mut subscriber), Read::End);
    let due = clock.poll_due(&mut Context::from_waker(Waker::noop()));
    assert!(due.is_pending(), "it is under no limit any more");
}

#[test]
fn a_clock_that_is_dropped_or_never_run_leaves_no_grace() {
    let (hub, clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let mut publisher = hub.publisher();
    let (woken, waker) = Woken::new();
    let wire = message(7, 99);
    let mut messages = Messages::split(&wire).0;
    assert!(
        publisher
            .poll_publish(&mut Context::from_waker(&waker), &mut messages)
            .is_pending()
    );
    drop(clock);
    assert!(woken.is_set() && subscriber.is_laggard());
    drain(&mut subscriber);
    stall(&mut subscriber);
    assert!(subscriber.is_laggard());

    let (hub, _clock) = config().build_with_clock().unwrap();
    assert!(stalled(&hub).is_laggard());
}

#[test]
fn a_clock_sleeps_while_nobody_is_under_a_limit() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let (woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(clock.poll_due(&mut cx).is_pending());
    for _ in 0..100 {
        assert!(publish(&mut publisher, &message(7, 99)).is_ready());
        drain(&mut subscriber);
    }
    // A turn that is not used yet is nothing to look after.
    assert!(publisher.poll_ready(&mut cx).is_ready());
    assert!(clock.poll_due(&mut cx).is_pending());
    publisher.pass();
    assert!(!woken.is_set());
    stall(&mut subscriber);
    assert!(woken.is_set());
    assert_eq!(clock.poll_due(&mut cx), Poll::Ready(Some(GRACE / 8)));
    (0..20).for_each(|_| clock.tick());
    // It is a laggard now, of which nothing more is to be found out.
    assert!(clock.poll_due(&mut cx).is_pending());
}

/// Checks that somebody who keeps the time sleeps for each step and then ticks.
#[track_caller]
fn check_keeps_time(run: impl FnOnce(Clock, &mut dyn FnMut(Duration))) {
    let (hub, clock) = clocked(Policy::Oldest);
    let mut subscriber = stalled(&hub);
    let (woken, waker) = Woken::new();
    let mut sleeps = Vec::new();
    run(clock, &mut |step| {
        sleeps.push(step);
        subscriber.stall(&waker);
        if sleeps.len() == 8 {
            hub.close();
        }
    });
    assert_eq!(sleeps, [GRACE / 8; 8]);
    assert!(woken.is_set(), "the seventh tick has it try once more");
}

#[test]
fn who_keeps_time_sleeps_for_each_step_and_ticks() {
    check_keeps_time(|clock, sleep| clock.keep_time_blocking(sleep));
    check_keeps_time(|clock, sleep| {
        futures::executor::block_on(clock.keep_time(|step| {
            sleep(step);
            futures::future::ready(())
        }));
    });
}

#[test]
fn an_event_loop_is_told_for_how_long_it_may_wait() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let mut now = Instant::now();
    assert_eq!(clock.advance(now), None);
    let mut subscriber = stalled(&hub);
    for _ in 0..8 {
        assert!(!subscriber.is_laggard());
        stall(&mut subscriber);
        assert_eq!(clock.advance(now), Some(GRACE / 8));
        assert_eq!(clock.advance(now + GRACE / 16), Some(GRACE / 16));
        now += GRACE / 8;
    }
    stall(&mut subscriber);
    assert_eq!(clock.advance(now), None);
    assert!(subscriber.is_laggard());
}

#[test]
fn a_clock_ends_with_its_hub() {
    let (hub, mut clock) = clocked(Policy::Oldest);
    let (woken, waker) = Woken::new();
    assert!(
        clock
            .poll_due(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(hub);
    assert!(woken.is_set());
    assert_eq!(
        clock.poll_due(&mut Context::from_waker(&waker)),
        Poll::Ready(None)
    );

    let (hub, clock) = config().build_with_clock().unwrap();
    let keeping_time = thread::spawn(move || clock.keep_time_blocking(|_| ()));
    drop(stalled(&hub));
    drop(hub);
    keeping_time.join().unwrap();

    let (hub, clock) = config().build_with_clock().unwrap();
    let keeping_time = thread::spawn(|| {
        futures::executor::block_on(clock.keep_time(|_| futures::future::ready(())));
    });
    drop(hub);
    keeping_time.join().unwrap();
}

#[test]
fn nobody_waits_for_a_stall_of_a_subscription_that_is_over() {
    let (hub, _clock) = clocked(Policy::Oldest);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &message(0, 99)).is_ready());
    subscriber.end_at(hub.end());
    // It is overrun while nobody serves it, and so has nothing more to read.
    assert!(publish(&mut publisher, &run(1..1000, 99)).is_ready());
    stall(&mut subscriber);
    assert_eq!((subscriber.dropped(), hub.stats().lag_max), (1, 0));
    assert!(publish(&mut publisher, &run(0..1000, 99)).is_ready());
}

#[test]
fn a_quick_laggard_is_waited_for_before_it_has_read_everything() {
    // How many of the messages that are published it takes at a time: a quarter is too slow.
    for (share, is_quick) in [(4, true), (3, true), (1, false)] {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let mut subscriber = stalled(&hub);
        (0..20).for_each(|_| clock.tick());
        assert!(subscriber.is_laggard());
        let mut publisher = hub.publisher();
        for _ in 0..200 {
            let _ = publish(&mut publisher, &run(0..4, 99));
            let batch = subscriber.try_next_batch().unwrap();
            let len = batch.len().min(100 * share);
            assert!(batch.consume(len).is_empty());
            stall(&mut subscriber);
        }
        assert_eq!(subscriber.is_laggard(), !is_quick, "{share} of 4");
        let flood = publish(&mut publisher, &run(0..1000, 99));
        assert_eq!(flood.is_pending(), is_quick, "{share} of 4");
    }
}
