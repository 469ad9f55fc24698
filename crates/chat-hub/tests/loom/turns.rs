use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use chat_hub::{Clock, Hub, Policy, Publisher, Subscriber, TryPublishError};
use chat_proto::Messages;
use loom::thread;

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::steps::{
    Told, assert_counts, behind, clocked, hub, poll_once, publish_all, receive, receive_from,
    spawn_publishing_run, wait,
};
use crate::util::{message, publish, run};

#[test]
fn three_publishers_go_on_after_one_part_of_each_other() {
    static WAITS: Moment = Moment::new("a publisher waits for its second turn");
    check_parts(Some(2), [(100, 2), (200, 2), (300, 1)], &WAITS);
}

#[test]
fn two_publishers_go_on_after_one_part_of_each_other() {
    static WAITS: Moment = Moment::new("a publisher waits for its second turn");
    check_parts(Some(3), [(100, 2), (200, 2)], &WAITS);
}

#[test]
fn publishers_that_ask_while_the_reader_reads_all_go_on() {
    static WAITS: Moment = Moment::new("a publisher waits");
    explore(Some(2), &[&WAITS], || {
        let hub = hub(Policy::Oldest);
        let (mut subscriber, count) = behind(&hub);
        let publishing = [100..103, 200..202]
            .map(|numbers| spawn_publishing_run(hub.publisher(), numbers, &WAITS));
        let first = subscriber.try_next_batch().unwrap();
        let mut received = receive_from(first, count + 5).split_off(count);
        publishing
            .into_iter()
            .for_each(|publishing| assert!(publishing.join().unwrap().is_ok()));
        received.sort_by_key(|number| number / 100);
        assert!(received.into_iter().eq((100..103).chain(200..202)));
        let total = count as u64 + 5;
        assert_counts(&hub, [subscriber], (total, total, 0));
    });
}

#[test]
fn a_publisher_that_passes_frees_its_place() {
    static WAITS: Moment = Moment::new("the next one waits for it");
    check_place_is_freed(&WAITS, &[], |mut first| {
        first.pass();
        Some(first)
    });
}

#[test]
fn a_publisher_that_is_dropped_frees_its_place() {
    static WAITS: Moment = Moment::new("the next one waits for it");
    check_place_is_freed(&WAITS, &[], |first| {
        drop(first);
        None
    });
}

#[test]
fn a_publisher_that_tries_once_frees_its_place() {
    static WAITS: Moment = Moment::new("the next one waits for it");
    static FULL: Moment = Moment::new("it has to wait, and does not");
    check_place_is_freed(&WAITS, &[&FULL], |mut first| {
        let wire = message(0, 255);
        let tried = first.try_publish(&mut Messages::split(&wire).0);
        if tried == Err(TryPublishError::Full) {
            FULL.comes();
        }
        Some(first)
    });
}

#[test]
fn a_publisher_that_publishes_frees_its_place() {
    static WAITS: Moment = Moment::new("the next one waits for it");
    static FIRST_WAITS: Moment = Moment::new("the first one waits");
    check_place_is_freed(&WAITS, &[&FIRST_WAITS], |mut first| {
        publish_all(&mut first, &message(0, 255), &FIRST_WAITS).unwrap();
        Some(first)
    });
}

#[test]
fn a_publish_that_is_dropped_frees_its_place() {
    static WAITS: Moment = Moment::new("the next one waits for it");
    static NONE: Moment = Moment::new("it is dropped before its first turn");
    static SOME: Moment = Moment::new("it is dropped before its second turn");
    check_place_is_freed(&WAITS, &[&NONE, &SOME], |mut first| {
        let wire = run(0..4, 255);
        let mut messages = Messages::split(&wire).0;
        let is_pending = {
            let mut publishing = pin!(first.publish(&mut messages));
            poll_once(|cx| publishing.as_mut().poll(cx)).is_pending()
        };
        match messages.count() {
            4 => NONE.comes(),
            2 => SOME.comes(),
            left => assert!(left == 0 && !is_pending, "parts are of two messages"),
        }
        let left = &wire[wire.len() - 256 * messages.count()..];
        assert_eq!(messages.as_bytes(), left, "what was not published is left");
        Some(first)
    });
}

#[test]
fn a_turn_that_is_taken_back_lets_the_next_one_go_on() {
    static WAITS: Moment = Moment::new("the next one waits for it");
    explore(EVERY_ORDER, &[&WAITS], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let (mut forgotten, mut second) = forgotten_turn(&hub, &mut clock);
        let ticking = thread::spawn(move || {
            clock.tick();
            clock
        });
        publish_all(&mut second, &message(1, 255), &WAITS).unwrap();
        drop(ticking.join().unwrap());
        assert!(
            publish(&mut forgotten, &message(0, 255)).is_ready(),
            "it can come back"
        );
    });
}

#[test]
fn whoever_comes_when_its_turn_is_taken_back_asks_again() {
    static WAITS: Moment = Moment::new("a publisher waits");
    explore(Some(4), &[&WAITS], || {
        let (hub, mut clock) = clocked(Policy::Oldest);
        let (forgotten, mut second) = forgotten_turn(&hub, &mut clock);
        let before = hub.end().message_pos();
        let ticking = thread::spawn(move || {
            clock.tick();
            clock
        });
        let coming = spawn_publishing_run(forgotten, 0..2, &WAITS);
        publish_all(&mut second, &run(2..4, 255), &WAITS).unwrap();
        coming.join().unwrap().unwrap();
        drop(ticking.join().unwrap());
        let stats = hub.stats();
        assert_eq!(stats.published, before + 4);
        assert_eq!(stats.waiting_publisher_count, 0);
    });
}

/// Checks that publishers which ask while nobody may go on all go on when a subscriber leaves, the
/// first run of each after one run of each other at most. Each has its numbers and publishes so
/// many runs, each of which is a part.
#[track_caller]
fn check_parts<const N: usize>(
    preemption_bound: Option<usize>,
    publishers: [(u64, u64); N],
    waits: &'static Moment,
) {
    explore(preemption_bound, &[waits], move || {
        let hub = hub(Policy::Oldest);
        let mut reader = hub.subscribe();
        let (slow, count) = behind(&hub);
        let publishing = publishers
            .map(|(first, run_count)| spawn_runs(hub.publisher(), first, run_count, waits));
        drop(slow);
        for publishing in publishing {
            publishing.join().unwrap();
        }
        let run_count: u64 = publishers.iter().map(|(_, run_count)| run_count).sum();
        let total = count as u64 + 2 * run_count;
        let received = receive(&mut reader, total as usize, waits).split_off(count);
        for (first, _) in publishers {
            assert_stands_after_one_part_of_each(&received, first);
        }
        assert_counts(&hub, [reader], (total, total, 0));
    });
}

fn spawn_two_parts(
    mut publisher: Publisher,
    first: u64,
    waits: &'static Moment,
) -> thread::JoinHandle<()> {
    let wire = run(first..first + 4, 255);
    thread::spawn(move || {
        let mut messages = Messages::split(&wire).0;
        let waits_for_first = Moment::new("it waits for its first turn");
        wait(&waits_for_first, |cx| {
            let poll = publisher.poll_publish(cx, &mut messages);
            if poll.is_pending() && messages.count() == 2 {
                waits.comes();
            }
            poll
        })
        .unwrap();
    })
}

/// Has a publisher ask, who has to wait, and starts it: it publishes a run when it is woken, and
/// then the others. Each is a part, and is published at once in the publisher's turn.
fn spawn_runs(
    mut publisher: Publisher,
    first: u64,
    run_count: u64,
    waits: &'static Moment,
) -> thread::JoinHandle<()> {
    let told = Arc::new(Told::default());
    let waker = Waker::from(Arc::clone(&told));
    let poll = publisher.poll_ready(&mut Context::from_waker(&waker));
    assert!(poll.is_pending());
    thread::spawn(move || {
        told.wait();
        let wire = run(first..first + 2, 255);
        assert!(
            publish(&mut publisher, &wire).is_ready(),
            "it was woken for its turn"
        );
        for number in 1..run_count {
            let start = first + 2 * number;
            publish_all(&mut publisher, &run(start..start + 2, 255), waits).unwrap();
        }
    })
}

/// Checks the order of what was published by publishers with numbers of a hundred of their own.
#[track_caller]
fn assert_stands_after_one_part_of_each(received: &[u64], first: u64) {
    let pos = received.iter().position(|&number| number == first);
    let before = &received[..pos.expect("it was published")];
    for other in [100, 200, 300] {
        let count = before
            .iter()
            .filter(|&&number| number / 100 * 100 == other)
            .count();
        assert!(
            count <= 2,
            "{first} stands after {count} of {other} in {received:?}"
        );
    }
}

/// Checks that the second publisher goes on when the first one, whose turn comes at the same time,
/// gives way. The second one may overtake it once, and then waits for it. `give_way` returns the
/// first one if it is still there.
#[track_caller]
fn check_place_is_freed(
    waits: &'static Moment,
    others: &[&'static Moment],
    give_way: fn(Publisher) -> Option<Publisher>,
) {
    let moments = [&[waits], others].concat();
    explore(Some(3), &moments, move || {
        let hub = hub(Policy::Oldest);
        let (slow, first) = held(&hub);
        let leaving = thread::spawn(move || drop(slow));
        let second = spawn_two_parts(hub.publisher(), 100, waits);
        let first = give_way(first);
        leaving.join().unwrap();
        second.join().unwrap();
        drop(first);
        assert_eq!(hub.stats().waiting_publisher_count, 0);
    });
}

/// Makes a subscriber that publishers wait for, and one of those.
fn held(hub: &Hub) -> (Subscriber, Publisher) {
    let (subscriber, _) = behind(hub);
    let mut publisher = hub.publisher();
    assert!(publish(&mut publisher, &message(0, 255)).is_pending());
    (subscriber, publisher)
}

/// Makes a publisher that has not come for its turn, and one that waits for it. They have stood
/// still for so long that the turn is taken back at the next tick.
fn forgotten_turn(hub: &Hub, clock: &mut Clock) -> (Publisher, Publisher) {
    let (slow, forgotten) = held(hub);
    drop(slow);
    let mut second = hub.publisher();
    assert!(publish(&mut second, &message(0, 255)).is_ready(), "once");
    assert!(publish(&mut second, &message(0, 255)).is_pending());
    (0..FROZEN_TICK_COUNT).for_each(|_| clock.tick());
    assert!(publish(&mut second, &message(0, 255)).is_pending());
    (forgotten, second)
}

/// After how many ticks nobody counts as being served, less one: 16 graces of eight ticks.
const FROZEN_TICK_COUNT: u32 = 16 * 8;
