use std::future::ready;
use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

use chat_hub::{Clock, Policy};
use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::socket::{Socket, spawn_serving};
use crate::steps::{
    Told, assert_counts, behind, clocked, nearly_lagging, publish_all, receive_from,
    spawn_publishing_behind, wait,
};
use crate::util::{drain, run, stall};

#[test]
fn who_is_told_to_try_again_takes_all_or_is_a_laggard() {
    static STALLS: Moment = Moment::new("the subscriber stalls");
    static WAITS: Moment = Moment::new("the publisher waits");
    static LOSES: Moment = Moment::new("the subscriber loses messages");
    static TRIES: Moment = Moment::new("the subscriber tries again and loses nothing");
    explore(Some(2), &[&STALLS, &WAITS, &LOSES, &TRIES], || {
        let (hub, mut clock, subscriber) = nearly_lagging(Policy::Oldest, 31);
        let socket = Arc::new(Socket::default());
        let serving = spawn_serving(subscriber, &socket, 33, &STALLS);
        let ticking = thread::spawn({
            let socket = Arc::clone(&socket);
            move || {
                let refused_count = socket.refused_count();
                tick(&mut clock, 2);
                socket.empty();
                (refused_count, clock)
            }
        });
        publish_all(&mut hub.publisher(), &run(31..33, 255), &WAITS).unwrap();
        let served = serving.join().unwrap();
        let (refused_count, _clock) = ticking.join().unwrap();
        let has_tried = socket.refused_count() > refused_count;
        let dropped = served.dropped();
        if dropped > 0 {
            LOSES.comes();
            assert!(
                has_tried,
                "nobody is a laggard who was not told to try again"
            );
        } else if has_tried {
            TRIES.comes();
        }
        let counts = (33, served.delivered(), dropped);
        assert!(
            served.received.into_iter().eq(dropped..33),
            "the newest are left"
        );
        assert!(dropped < 20, "the newer half of what the log holds is left");
        assert_counts(&hub, [served.writer], counts);
    });
}

#[test]
fn a_stream_that_is_emptied_in_time_loses_nothing() {
    static STALLS: Moment = Moment::new("the subscriber stalls");
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(Some(2), &[&STALLS, &WAITS], || {
        let (hub, mut clock, subscriber) = nearly_lagging(Policy::Oldest, 31);
        let socket = Arc::new(Socket::default());
        let serving = spawn_serving(subscriber, &socket, 33, &STALLS);
        let ticking = thread::spawn(move || {
            tick(&mut clock, 1);
            socket.empty();
            clock
        });
        publish_all(&mut hub.publisher(), &run(31..33, 255), &WAITS).unwrap();
        let served = serving.join().unwrap();
        drop(ticking.join().unwrap());
        assert!(served.received.into_iter().eq(0..33));
        assert_counts(&hub, [served.writer], (33, 33, 0));
    });
}

#[test]
fn who_tries_in_time_when_told_to_loses_nothing() {
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(Some(2), &[&WAITS], || {
        let (hub, mut clock, mut subscriber) = nearly_lagging(Policy::Oldest, 31);
        let told = Arc::new(Told::default());
        subscriber.stall(&Waker::from(Arc::clone(&told)));
        let serving = thread::spawn(move || {
            // Its stream was full once, and has had room for some time when it is told to try it
            // again. Nothing else wakes it.
            told.wait();
            let batch = subscriber.try_next_batch().unwrap();
            let received = receive_from(batch, 33);
            (received, subscriber)
        });
        let ticking = thread::spawn(move || {
            // So late an answer is waited for.
            tick(&mut clock, 9);
            clock
        });
        publish_all(&mut hub.publisher(), &run(31..33, 255), &WAITS).unwrap();
        let (received, subscriber) = serving.join().unwrap();
        assert!(received.into_iter().eq(0..33));
        hub.close();
        drop(ticking.join().unwrap());
        assert_counts(&hub, [subscriber], (33, 33, 0));
    });
}

#[test]
fn a_publisher_that_waits_for_a_full_stream_goes_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    static LAGS: Moment = Moment::new("the subscriber is a laggard before it has tried again");
    explore(Some(2), &[&WAITS, &LAGS], || {
        let (hub, clock, mut subscriber) = nearly_lagging(Policy::Oldest, 9);
        let keeping_time = spawn_keeping_time(clock);
        let publishing = spawn_publishing_behind(&hub, 9, &WAITS);
        if subscriber.is_laggard() {
            LAGS.comes();
        }
        // It is still full.
        stall(&mut subscriber);
        assert_eq!(publishing.join().unwrap(), Ok(11));
        assert!(subscriber.is_laggard());
        hub.close();
        keeping_time.join().unwrap();
        assert_eq!(drain(&mut subscriber), (run(0..11, 255), 0));
        assert_counts(&hub, [subscriber], (11, 11, 0));
    });
}

#[test]
fn a_stall_wakes_a_clock_that_goes_to_sleep() {
    static ASKED: Moment = Moment::new("the subscriber is told to try again");
    explore(Some(3), &[&ASKED], || {
        let (hub, clock) = clocked(Policy::Oldest);
        let mut subscriber = hub.subscribe();
        let keeping_time = spawn_keeping_time(clock);
        let mut is_stalled = false;
        // Nobody else could tell it.
        wait(&ASKED, |cx| {
            if mem::replace(&mut is_stalled, true) {
                return Poll::Ready(());
            }
            subscriber.stall(cx.waker());
            Poll::Pending
        });
        hub.close();
        keeping_time.join().unwrap();
    });
}

#[test]
fn a_waiting_publisher_wakes_a_clock_that_goes_to_sleep() {
    static WAITS: Moment = Moment::new("the publisher waits");
    static SLEEPS: Moment = Moment::new("the clock sleeps");
    explore(EVERY_ORDER, &[&WAITS, &SLEEPS], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let (subscriber, count) = behind(&hub);
        let keeping_time = thread::spawn(move || {
            assert!(wait(&SLEEPS, |cx| clock.poll_due(cx)).is_some());
            // Nobody else lets the publisher go on.
            drop(subscriber);
            clock
        });
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        drop(keeping_time.join().unwrap());
    });
}

#[test]
fn the_end_of_a_hub_ends_a_clock_that_goes_to_sleep() {
    static SLEEPS: Moment = Moment::new("the clock sleeps");
    explore(EVERY_ORDER, &[&SLEEPS], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let publisher = hub.publisher();
        let keeping_time = thread::spawn(move || {
            assert_eq!(wait(&SLEEPS, |cx| clock.poll_due(cx)), None);
        });
        let leaving = thread::spawn(move || drop(publisher));
        drop(hub);
        leaving.join().unwrap();
        keeping_time.join().unwrap();
    });
}

#[test]
fn a_clock_that_is_dropped_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    static STALLED: Moment = Moment::new("the clock is dropped after the stall");
    static GONE: Moment = Moment::new("the clock is dropped before the stall");
    explore(Some(3), &[&WAITS, &STALLED, &GONE], || {
        let (hub, clock) = clocked(Policy::Oldest);
        let (mut subscriber, count) = behind(&hub);
        let leaving = thread::spawn(move || drop(clock));
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        stall(&mut subscriber);
        if subscriber.is_laggard() {
            &GONE
        } else {
            &STALLED
        }
        .comes();
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        leaving.join().unwrap();
        assert!(subscriber.is_laggard());
        let read = run(0..count as u64, 255).len() + 2 * 256;
        assert_eq!(drain(&mut subscriber).0.len(), read);
        assert!(!subscriber.is_laggard(), "it has caught up");
    });
}

/// Lets time pass as long as somebody is under a limit, by so many steps at most.
pub(crate) fn tick(clock: &mut Clock, count_max: usize) {
    let sleeps = Moment::new("the clock sleeps");
    for _ in 0..count_max {
        if wait(&sleeps, |cx| clock.poll_due(cx)).is_none() {
            return;
        }
        clock.tick();
    }
}

/// Starts a clock that keeps time until the end of the hub, as fast as it can.
fn spawn_keeping_time(clock: Clock) -> JoinHandle<()> {
    thread::spawn(move || block_on(clock.keep_time(|_| ready(()))))
}
