use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use chat_hub::{Batch, Clock, Closed, Config, Hub, Policy, Position, Publisher, Subscriber};
use chat_proto::Messages;
use loom::future::block_on;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use crate::explore::{EVERY_ORDER, Moment, explore};
use crate::util::{Read, message, publish, read, run, stall};

/// A thread that sleeps until it is woken, once.
#[derive(Default)]
pub(crate) struct Told {
    is_told: Mutex<bool>,
    changes: Condvar,
}

impl Told {
    pub(crate) fn wait(&self) {
        let mut is_told = self.is_told.lock().unwrap();
        while !*is_told {
            is_told = self.changes.wait(is_told).unwrap();
        }
    }
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        *self.is_told.lock().unwrap() = true;
        self.changes.notify_one();
    }
}

/// Makes a hub whose log is as small as it can be.
pub(crate) fn hub(policy: Policy) -> Hub {
    config(policy).build().unwrap()
}

/// Makes such a hub and its clock, which somebody runs.
pub(crate) fn clocked(policy: Policy) -> (Hub, Clock) {
    let (hub, mut clock) = config(policy).build_with_clock().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(clock.poll_due(&mut cx).is_pending());
    (hub, clock)
}

fn config(policy: Policy) -> Config {
    Config::default()
        .with_capacity(CAPACITY)
        .with_policy(policy)
}

/// Makes a subscriber that publishers wait for; returns it and how many messages it has to read.
pub(crate) fn behind(hub: &Hub) -> (Subscriber, usize) {
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let count = fill(&mut publisher);
    (subscriber, count)
}

/// Publishes messages until it has to wait, which the publisher then does; returns how many.
pub(crate) fn fill(publisher: &mut Publisher) -> usize {
    let count = (0..).find(|&number| publish(publisher, &message(number, 255)).is_pending());
    count.expect("numbers do not end") as usize
}

/// Makes a subscriber with `count` messages to read that nobody has served yet.
pub(crate) fn far_behind(hub: &Hub, count: u64) -> Subscriber {
    let subscriber = hub.subscribe();
    assert!(publish(&mut hub.publisher(), &run(0..count, 255)).is_ready());
    subscriber
}

/// Makes a hub whose clock has kept time while the stream of a subscriber with `count` messages to
/// read took nothing: at the next tick the subscriber is told to try it once more.
pub(crate) fn nearly_lagging(policy: Policy, count: u64) -> (Hub, Clock, Subscriber) {
    let (hub, mut clock) = clocked(policy);
    let mut subscriber = far_behind(&hub, count);
    stall(&mut subscriber);
    // The grace is eight ticks, and it is told a tick before that is over.
    (0..6).for_each(|_| clock.tick());
    (hub, clock, subscriber)
}

/// Starts a publisher of a message for each number, one after the other.
pub(crate) fn spawn_publishing(mut publisher: Publisher, numbers: Range<u64>) -> JoinHandle<()> {
    thread::spawn(move || {
        for number in numbers {
            publish_all(
                &mut publisher,
                &message(number, 8),
                &Moment::new("it waits"),
            )
            .unwrap();
        }
    })
}

/// Starts a publisher of a run of messages of the largest size, two of which are a part.
pub(crate) fn spawn_publishing_run(
    mut publisher: Publisher,
    numbers: Range<u64>,
    waits: &'static Moment,
) -> JoinHandle<Result<u64, Closed>> {
    let wire = run(numbers, 255);
    thread::spawn(move || publish_all(&mut publisher, &wire, waits).map(Position::message_pos))
}

/// Starts a publisher of two messages that finds `count` in the log, and returns how many there are
/// when it is done.
pub(crate) fn spawn_publishing_behind(
    hub: &Hub,
    count: usize,
    waits: &'static Moment,
) -> JoinHandle<Result<u64, Closed>> {
    let numbers = count as u64..count as u64 + 2;
    spawn_publishing_run(hub.publisher(), numbers, waits)
}

pub(crate) fn publish_all(
    publisher: &mut Publisher,
    wire: &[u8],
    waits: &Moment,
) -> Result<Position, Closed> {
    let (mut messages, _) = Messages::split(wire);
    wait(waits, |cx| publisher.poll_publish(cx, &mut messages))
}

/// Waits for `count` messages and returns their numbers.
pub(crate) fn receive(subscriber: &mut Subscriber, count: usize, waits: &Moment) -> Vec<u64> {
    let mut received = Vec::new();
    while received.len() < count {
        received.extend(next(subscriber, waits).expect("the hub is open"));
    }
    received
}

/// Takes each batch from the one before, from the one that was taken first on, until there were
/// `count` messages; returns their numbers.
pub(crate) fn receive_from(first: Batch<'_>, count: usize) -> Vec<u64> {
    block_on(async {
        let mut received = Vec::new();
        let mut next = Some(first);
        while let Some(batch) = next {
            received.extend(numbers_of(&batch));
            if received.len() >= count {
                batch.consume_all();
                break;
            }
            next = batch.next().await;
        }
        received
    })
}

/// Waits for batches until the end; returns the numbers of their messages.
pub(crate) fn receive_all(subscriber: &mut Subscriber, waits: &Moment) -> Vec<u64> {
    let mut received = Vec::new();
    while let Some(numbers) = next(subscriber, waits) {
        received.extend(numbers);
    }
    received
}

/// Waits for a batch and returns the numbers of its messages; `None` is the end.
pub(crate) fn next(subscriber: &mut Subscriber, waits: &Moment) -> Option<Vec<u64>> {
    wait(waits, |cx| poll_next(subscriber, cx))
}

fn poll_next(subscriber: &mut Subscriber, cx: &mut Context<'_>) -> Poll<Option<Vec<u64>>> {
    let batch = ready!(subscriber.poll_batch(cx));
    Poll::Ready(batch.map(|batch| {
        let numbers = numbers_of(&batch);
        batch.consume_all();
        numbers
    }))
}

fn numbers_of(batch: &Batch<'_>) -> Vec<u64> {
    batch.chunks().flat_map(numbers).collect()
}

/// Returns the numbers of messages made by [`message`].
pub(crate) fn numbers(wire: &[u8]) -> Vec<u64> {
    let (messages, rest) = Messages::split(wire);
    assert!(rest.is_empty());
    messages
        .iter()
        .map(|body| u64::from_le_bytes(body.as_bytes()[..8].try_into().unwrap()))
        .collect()
}

/// Polls until it is ready, and sleeps in between.
pub(crate) fn wait<T>(waits: &Moment, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    block_on(poll_fn(|cx| {
        let poll = poll(cx);
        if poll.is_pending() {
            waits.comes();
        }
        poll
    }))
}

/// Calls `poll` once, with the waker of a task that does not wait for it.
pub(crate) fn poll_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> T) -> T {
    block_on(poll_fn(|cx| Poll::Ready(poll(cx))))
}

/// Checks that a publisher which waits for a subscriber that is behind publishes two more messages
/// once the subscriber gives way.
///
/// `give_way` is told how many messages there will be, and returns the subscriber if it is still
/// there.
#[track_caller]
pub(crate) fn check_waiting_publisher_goes_on(
    policy: Policy,
    waits: &'static Moment,
    give_way: fn(Subscriber, usize) -> Option<Subscriber>,
) {
    explore(EVERY_ORDER, &[waits], move || {
        let hub = hub(policy);
        let (subscriber, count) = behind(&hub);
        let publishing = spawn_publishing_behind(&hub, count, waits);
        let subscriber = give_way(subscriber, count + 2);
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        assert_eq!(hub.stats().published, count as u64 + 2);
        drop(subscriber);
    });
}

/// Checks what the hub has counted, in total, once everybody has read everything.
#[track_caller]
pub(crate) fn assert_counts<T, const N: usize>(
    hub: &Hub,
    subscribers: [T; N],
    (published, delivered, dropped): (u64, u64, u64),
) {
    // The hub learns of what was delivered with the next call, such as the drop.
    drop(subscribers);
    let stats = hub.stats();
    assert_eq!(
        (stats.published, stats.delivered, stats.dropped),
        (published, delivered, dropped)
    );
    assert_eq!(
        (stats.subscriber_count, stats.laggard_count, stats.lag_max),
        (0, 0, 0)
    );
    assert_eq!(stats.waiting_publisher_count, 0);
}

/// The least there is: 32 messages with bodies of 255 bytes.
const CAPACITY: usize = 8192;
