use std::future::poll_fn;
use std::ops::Range;
use std::task::{Context, Poll, Waker, ready};

use chat_hub::{Closed, Config, Hub, Policy, Position, Publisher, Subscriber};
use chat_proto::Messages;
use loom::future::block_on;
use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle};

use crate::explore::Moment;
use crate::util::{Read, message, publish, read, run};

/// A socket whose buffer is full until its peer empties it. Then it has room for everything.
#[derive(Default)]
pub(crate) struct Socket(Mutex<SocketState>);

#[derive(Default)]
struct SocketState {
    has_room: bool,
    waker: Option<Waker>,
}

impl Socket {
    pub(crate) fn empty(&self) {
        let mut state = self.0.lock().unwrap();
        state.has_room = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.0.lock().unwrap().has_room
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.has_room {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Makes a hub whose log is as small as it can be.
pub(crate) fn hub(policy: Policy) -> Hub {
    Config::default()
        .with_capacity(CAPACITY)
        .with_policy(policy)
        .build()
        .unwrap()
}

/// Starts a subscriber that reads, as far as the socket has room, until `count` messages were read
/// or lost, or to the end. Returns the numbers of those read.
pub(crate) fn spawn_serving(
    mut subscriber: Subscriber,
    socket: &Arc<Socket>,
    count: u64,
    blocks: &'static Moment,
) -> JoinHandle<(Vec<u64>, Subscriber)> {
    let socket = Arc::clone(socket);
    thread::spawn(move || {
        let mut received = Vec::new();
        block_on(poll_fn(|cx| {
            loop {
                if socket.poll_room(cx).is_pending() {
                    subscriber.block(cx);
                    if subscriber.is_disconnected() {
                        return Poll::Ready(());
                    }
                    blocks.comes();
                    return Poll::Pending;
                }
                let poll = poll_next(&mut subscriber, cx);
                if let Poll::Ready(Some(numbers)) = &poll {
                    received.extend(numbers);
                }
                // A read that is pending may have found the rest lost.
                if poll == Poll::Ready(None)
                    || received.len() as u64 + subscriber.dropped() == count
                {
                    return Poll::Ready(());
                }
                ready!(poll);
            }
        }));
        (received, subscriber)
    })
}

/// Makes a subscriber that publishers wait for; returns it and how many messages it has to read.
pub(crate) fn behind(hub: &Hub) -> (Subscriber, usize) {
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let count = (0..).find(|&number| publish(&mut publisher, &message(number, 255)).is_pending());
    (subscriber, count.expect("numbers do not end") as usize)
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

/// Starts a publisher of two messages that finds `count` in the log, and returns how many there are
/// when it is done.
pub(crate) fn spawn_publishing_behind(
    hub: &Hub,
    count: usize,
    waits: &'static Moment,
) -> JoinHandle<Result<u64, Closed>> {
    let mut publisher = hub.publisher();
    let numbers = count as u64..count as u64 + 2;
    thread::spawn(move || {
        publish_all(&mut publisher, &run(numbers, 255), waits).map(Position::message_pos)
    })
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

/// Waits for a batch and returns the numbers of its messages; `None` is the end.
pub(crate) fn next(subscriber: &mut Subscriber, waits: &Moment) -> Option<Vec<u64>> {
    wait(waits, |cx| poll_next(subscriber, cx))
}

pub(crate) fn poll_next(
    subscriber: &mut Subscriber,
    cx: &mut Context<'_>,
) -> Poll<Option<Vec<u64>>> {
    let batch = ready!(subscriber.poll_batch(cx));
    Poll::Ready(batch.map(|batch| {
        let wire: Vec<u8> = batch.chunks().flatten().copied().collect();
        let len = batch.len();
        assert!(batch.consume(len).is_empty());
        numbers(&wire)
    }))
}

/// Returns the numbers of messages made by [`message`].
fn numbers(wire: &[u8]) -> Vec<u64> {
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

/// Checks what the hub has counted, in total, once everybody has read everything.
#[track_caller]
pub(crate) fn assert_counts<const N: usize>(
    hub: &Hub,
    subscribers: [Subscriber; N],
    (published, delivered, dropped): (u64, u64, u64),
) {
    // The hub learns of what was delivered with the next call, such as the drop.
    drop(subscribers);
    let stats = hub.stats();
    assert_eq!(
        (stats.published, stats.delivered, stats.dropped),
        (published, delivered, dropped)
    );
    assert_eq!(stats.subscriber_count, 0);
}

/// The least there is: 32 messages with bodies of 255 bytes.
const CAPACITY: usize = 8192;
