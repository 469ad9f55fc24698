//! The hub's protocol, proved: loom runs each of these small programs once for every order in which its threads can take their steps.
//! A thread that sleeps for ever in one of them is reported as a deadlock, a handle that is never freed as a leak.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p chat-hub --test loom --release` runs them; with `-- --nocapture` it tells how many orders there
//! were. Where there are too many, a bound on preemptions cuts them: on switches away from a thread that could have gone on, while those
//! away from a thread that waits stay free. A lost wake-up takes one, between looking and registering; each bound is well above that.
#![cfg(loom)]

#[expect(dead_code, reason = "the other test crates use the rest")]
#[path = "it/util.rs"]
mod util;

use std::future::poll_fn;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use chat_hub::{Closed, Hub, Position, Publisher, Subscriber};
use chat_proto::Messages;
use loom::future::block_on;
use loom::model::Builder;
use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle};

use crate::util::{Read, block, message, publish, publish_past, read, run};

#[test]
fn every_publish_wakes_a_waiting_subscriber() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    explore(EVERY_ORDER, &[&WAITS], || {
        let hub = util::hub(CAPACITY);
        let (publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        let publishing = spawn_publishing(publisher, 0..2);
        assert_eq!(receive(&mut subscriber, 2, &WAITS), [0, 1]);
        publishing.join().unwrap();
        assert_counts(&hub, [subscriber], (2, 2, 0));
    });
}

#[test]
fn messages_of_two_publishers_arrive_once_and_those_of_each_in_order() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    explore(Some(3), &[&WAITS], || {
        let hub = util::hub(CAPACITY);
        let mut subscriber = hub.subscribe();
        let publishing = [10, 20].map(|first| spawn_publishing(hub.publisher(), first..first + 2));
        let mut received = receive(&mut subscriber, 4, &WAITS);
        publishing.into_iter().for_each(|publishing| publishing.join().unwrap());
        assert_counts(&hub, [subscriber], (4, 4, 0));
        received.sort_by_key(|number| number / 10);
        assert_eq!(received, [10, 11, 20, 21], "each once, those of one publisher in order");
    });
}

#[test]
fn two_subscribers_see_one_order() {
    static WAITS: Moment = Moment::new("a subscriber waits");
    explore(Some(3), &[&WAITS], || {
        let hub = util::hub(CAPACITY);
        let (mut publisher, mut subscriber, mut other) = (hub.publisher(), hub.subscribe(), hub.subscribe());
        let publishing = spawn_publishing(hub.publisher(), 0..1);
        let reading = thread::spawn(move || (receive(&mut other, 2, &WAITS), other));
        publish_all(&mut publisher, &message(1, 8), &WAITS).unwrap();
        let received = receive(&mut subscriber, 2, &WAITS);
        publishing.join().unwrap();
        let (received_by_other, other) = reading.join().unwrap();
        assert_eq!(received, received_by_other);
        assert_counts(&hub, [subscriber, other], (2, 4, 0));
    });
}

#[test]
fn reading_on_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(&WAITS, |mut subscriber, count| {
        let received = receive(&mut subscriber, count, &Moment::new("the subscriber waits"));
        assert!(received.into_iter().eq(0..count as u64), "nothing is lost");
        Some(subscriber)
    });
}

#[test]
fn blocking_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(&WAITS, |mut subscriber, _| {
        block(&mut subscriber);
        Some(subscriber)
    });
}

#[test]
fn ending_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(&WAITS, |mut subscriber, _| {
        subscriber.end_at(Position::default());
        assert_eq!(read(&mut subscriber), Read::End);
        Some(subscriber)
    });
}

#[test]
fn leaving_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(&WAITS, |subscriber, _| {
        drop(subscriber);
        None
    });
}

#[test]
fn a_publisher_that_gives_up_leaves_the_others_waiting() {
    static WAITS: Moment = Moment::new("a publisher waits");
    explore(Some(4), &[&WAITS], || {
        let hub = util::hub(CAPACITY);
        let (mut subscriber, count) = behind(&hub);
        let mut impatient = hub.publisher();
        let giving_up = thread::spawn(move || {
            // By the second time its place among those who wait may be void, and another's.
            for _ in 0..2 {
                poll_once(|cx| impatient.poll_ready(cx).is_pending());
            }
        });
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        while let Read::Batch { .. } = read(&mut subscriber) {}
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        giving_up.join().unwrap();
    });
}

#[test]
fn a_blocked_subscriber_is_asked_and_publishing_goes_on() {
    static ASKED: Moment = Moment::new("the publisher waits for the answer");
    static LOSES: Moment = Moment::new("the subscriber loses messages");
    static LOSES_NOTHING: Moment = Moment::new("the subscriber loses nothing");
    explore(Some(3), &[&ASKED, &LOSES, &LOSES_NOTHING], || {
        let hub = util::hub(CAPACITY);
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        assert_eq!(read(&mut subscriber), Read::Pending);
        // It is about to be overrun, and about to be asked once more.
        publish_past(&mut publisher, &run(0..28, 255), &mut subscriber);
        let socket = Arc::new(Socket::default());
        let serving = thread::spawn({
            let socket = Arc::clone(&socket);
            move || (serve(&mut subscriber, &socket), subscriber)
        });
        let emptying = thread::spawn(move || socket.empty());
        publish_all(&mut publisher, &run(28..34, 255), &ASKED).unwrap();
        hub.close();
        let (delivered, subscriber) = serving.join().unwrap();
        emptying.join().unwrap();
        let dropped = subscriber.dropped();
        if dropped > 0 {
            LOSES.comes()
        } else {
            LOSES_NOTHING.comes()
        }
        assert_eq!(delivered + dropped, 34);
        assert_counts(&hub, [subscriber], (34, delivered, dropped));
    });
}

#[test]
fn a_blocked_subscriber_that_answers_in_time_loses_nothing() {
    static ASKED: Moment = Moment::new("the publisher waits for the answer");
    explore(Some(4), &[&ASKED], || {
        let hub = util::hub(CAPACITY);
        let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
        assert_eq!(read(&mut subscriber), Read::Pending);
        publish_past(&mut publisher, &run(0..15, 255), &mut subscriber);
        let serving = thread::spawn(move || {
            // Its socket was full once, and has had room for some time when it is asked. Nothing else wakes it.
            let mut has_room = false;
            block_on(poll_fn(|cx| {
                if mem::replace(&mut has_room, true) {
                    return Poll::Ready(());
                }
                subscriber.block(cx);
                Poll::Pending
            }));
            (receive(&mut subscriber, 36, &Moment::new("the subscriber waits")), subscriber)
        });
        publish_all(&mut publisher, &run(15..36, 255), &ASKED).unwrap();
        let (received, subscriber) = serving.join().unwrap();
        assert!(received.into_iter().eq(0..36));
        assert_counts(&hub, [subscriber], (36, 36, 0));
    });
}

#[test]
fn closing_ends_all_waiting() {
    static PUBLISHER_WAITS: Moment = Moment::new("the publisher waits");
    static SUBSCRIBER_WAITS: Moment = Moment::new("the subscriber waits");
    explore(Some(4), &[&PUBLISHER_WAITS, &SUBSCRIBER_WAITS], || {
        let hub = util::hub(CAPACITY);
        let mut quick = hub.subscribe();
        let (slow, count) = behind(&hub);
        assert_eq!(receive(&mut quick, count, &SUBSCRIBER_WAITS).len(), count);
        let publishing = spawn_publishing_behind(&hub, count, &PUBLISHER_WAITS);
        let reading = thread::spawn(move || next(&mut quick, &SUBSCRIBER_WAITS));
        hub.close();
        assert_eq!(publishing.join().unwrap(), Err(Closed));
        assert_eq!(reading.join().unwrap(), None);
        drop(slow);
    });
}

#[test]
fn a_subscriber_that_leaves_while_it_waits_leaves_the_others_waiting() {
    static WAITS: Moment = Moment::new("the other subscriber waits");
    static LEAVES: Moment = Moment::new("the subscriber leaves while it waits");
    explore(Some(4), &[&WAITS, &LEAVES], || {
        let hub = util::hub(CAPACITY);
        let (mut leaving, mut staying) = (hub.subscribe(), hub.subscribe());
        let publishing = spawn_publishing(hub.publisher(), 0..2);
        let leaving = thread::spawn(move || {
            if poll_once(|cx| leaving.poll_batch(cx).is_pending()) {
                LEAVES.comes();
            }
        });
        assert_eq!(receive(&mut staying, 2, &WAITS), [0, 1]);
        publishing.join().unwrap();
        leaving.join().unwrap();
        assert_counts(&hub, [staying], (2, 2, 0));
    });
}

#[test]
fn who_joins_misses_nothing_from_then_on() {
    static WAITS: Moment = Moment::new("the subscriber waits");
    static JOINS_BETWEEN: Moment = Moment::new("the subscriber joins between two publishes");
    explore(EVERY_ORDER, &[&WAITS, &JOINS_BETWEEN], || {
        let hub = util::hub(CAPACITY);
        let publishing = spawn_publishing(hub.publisher(), 0..2);
        let mut subscriber = hub.subscribe();
        let joined = subscriber.position().message_pos();
        if joined == 1 {
            JOINS_BETWEEN.comes();
        }
        let mut own = hub.publisher();
        let own_end = publish_all(&mut own, &message(7, 8), &WAITS).unwrap();
        let count = 3 - joined;
        let mut received = receive(&mut subscriber, count as usize, &WAITS);
        assert_eq!(received.remove((own_end.message_pos() - joined) as usize - 1), 7, "its own is where it was told");
        assert!(received.into_iter().eq(joined..2));
        publishing.join().unwrap();
        assert_counts(&hub, [subscriber], (3, count, 0));
    });
}

#[test]
fn wakers_may_call_the_hub() {
    static READER: Moment = Moment::new("a waiting subscriber is woken");
    static BLOCKED: Moment = Moment::new("a blocked subscriber is asked");
    static WRITER: Moment = Moment::new("a waiting publisher is woken");
    static CLOSE: Moment = Moment::new("closing wakes a publisher");
    // One thread, one order: it stands here because loom reports a lock that is taken twice, where std would hang.
    explore(EVERY_ORDER, &[&READER, &BLOCKED, &WRITER, &CLOSE], || {
        let hub = util::hub(CAPACITY);
        let waker = |called| Waker::from(std::sync::Arc::new(CallingWaker { hub: hub.clone(), called }));
        let (mut quick, mut full) = (hub.subscribe(), hub.subscribe());
        assert!(quick.poll_batch(&mut Context::from_waker(&waker(&READER))).is_pending());
        full.block(&mut Context::from_waker(&waker(&BLOCKED)));
        let (slow, _) = behind(&hub);
        block(&mut quick);
        block(&mut full);
        let mut publisher = hub.publisher();
        assert!(publisher.poll_ready(&mut Context::from_waker(&waker(&WRITER))).is_pending());
        drop(slow);
        assert!(publisher.poll_ready(&mut Context::from_waker(&waker(&WRITER))).is_ready());
        let (_slow, _) = behind(&hub);
        assert!(publisher.poll_ready(&mut Context::from_waker(&waker(&CLOSE))).is_pending());
        hub.close();
    });
}

/// Checks that a publisher which waits for a subscriber half the log behind publishes two more messages once the subscriber gives way.
///
/// `give_way` is told how many messages there will be, and returns the subscriber if it is still there.
#[track_caller]
fn check_waiting_publisher_goes_on(waits: &'static Moment, give_way: fn(Subscriber, usize) -> Option<Subscriber>) {
    explore(EVERY_ORDER, &[waits], move || {
        let hub = util::hub(CAPACITY);
        let (subscriber, count) = behind(&hub);
        let publishing = spawn_publishing_behind(&hub, count, waits);
        let subscriber = give_way(subscriber, count + 2);
        assert_eq!(publishing.join().unwrap(), Ok(count as u64 + 2));
        assert_eq!(hub.stats().published, count as u64 + 2);
        drop(subscriber);
    });
}

/// Runs a model in every order of its steps, or in those of at most `preemption_bound` preemptions. Each of the moments must come.
#[track_caller]
fn explore(preemption_bound: Option<usize>, moments: &[&'static Moment], model: impl Fn() + Send + Sync + 'static) {
    let order_count = std::sync::Arc::new(AtomicU64::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound = preemption_bound;
    builder.check({
        let order_count = std::sync::Arc::clone(&order_count);
        move || {
            order_count.fetch_add(1, Ordering::Relaxed);
            model();
        }
    });
    println!("{} orders", order_count.load(Ordering::Relaxed));
    for moment in moments {
        assert!(moment.count.load(Ordering::Relaxed) > 0, "a model proves nothing in which it never happens that {}", moment.what);
    }
}

/// What must happen in some order, or the model is not about what it says. It is no step of a model, so it is not loom's.
struct Moment {
    what: &'static str,
    count: AtomicU64,
}

impl Moment {
    const fn new(what: &'static str) -> Self {
        Self { what, count: AtomicU64::new(0) }
    }

    fn comes(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker that takes the hub's lock.
struct CallingWaker {
    hub: Hub,
    called: &'static Moment,
}

impl Wake for CallingWaker {
    fn wake(self: std::sync::Arc<Self>) {
        self.hub.stats();
        self.called.comes();
    }
}

/// A socket whose buffer is full until its peer empties it. Then it has room for everything.
#[derive(Default)]
struct Socket(Mutex<SocketState>);

#[derive(Default)]
struct SocketState {
    has_room: bool,
    waker: Option<Waker>,
}

impl Socket {
    fn empty(&self) {
        let mut state = self.0.lock().unwrap();
        state.has_room = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
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

/// Reads to the end, as far as the socket has room; returns how many messages that was.
fn serve(subscriber: &mut Subscriber, socket: &Socket) -> u64 {
    let mut delivered = 0;
    block_on(poll_fn(|cx| {
        loop {
            if socket.poll_room(cx).is_pending() {
                subscriber.block(cx);
                return Poll::Pending;
            }
            match ready!(poll_next(subscriber, cx)) {
                Some(received) => delivered += received.len() as u64,
                None => return Poll::Ready(delivered),
            }
        }
    }))
}

/// Makes a subscriber that publishers wait for; returns it and how many messages it has to read.
fn behind(hub: &Hub) -> (Subscriber, usize) {
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    let count = (0..).find(|&number| publish(&mut publisher, &message(number, 255)).is_pending());
    (subscriber, count.expect("numbers do not end") as usize)
}

/// Starts a publisher of a message for each number, one after the other.
fn spawn_publishing(mut publisher: Publisher, numbers: Range<u64>) -> JoinHandle<()> {
    thread::spawn(move || {
        for number in numbers {
            publish_all(&mut publisher, &message(number, 8), &Moment::new("it waits")).unwrap();
        }
    })
}

/// Starts a publisher of two messages that finds `count` in the log, and returns how many there are when it is done.
fn spawn_publishing_behind(hub: &Hub, count: usize, waits: &'static Moment) -> JoinHandle<Result<u64, Closed>> {
    let mut publisher = hub.publisher();
    let numbers = count as u64..count as u64 + 2;
    thread::spawn(move || publish_all(&mut publisher, &run(numbers, 255), waits).map(Position::message_pos))
}

fn publish_all(publisher: &mut Publisher, wire: &[u8], waits: &Moment) -> Result<Position, Closed> {
    let (mut messages, _) = Messages::split(wire);
    wait(waits, |cx| publisher.poll_publish(cx, &mut messages))
}

/// Waits for `count` messages and returns their numbers.
fn receive(subscriber: &mut Subscriber, count: usize, waits: &Moment) -> Vec<u64> {
    let mut received = Vec::new();
    while received.len() < count {
        received.extend(next(subscriber, waits).expect("the hub is open"));
    }
    received
}

/// Waits for a batch and returns the numbers of its messages; `None` is the end.
fn next(subscriber: &mut Subscriber, waits: &Moment) -> Option<Vec<u64>> {
    wait(waits, |cx| poll_next(subscriber, cx))
}

fn poll_next(subscriber: &mut Subscriber, cx: &mut Context<'_>) -> Poll<Option<Vec<u64>>> {
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
    messages.iter().map(|body| u64::from_le_bytes(body.as_bytes()[..8].try_into().unwrap())).collect()
}

/// Polls until it is ready, and sleeps in between.
fn wait<T>(waits: &Moment, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    block_on(poll_fn(|cx| {
        let poll = poll(cx);
        if poll.is_pending() {
            waits.comes();
        }
        poll
    }))
}

/// Calls `poll` once, with the waker of a task that does not wait for it.
fn poll_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> T) -> T {
    block_on(poll_fn(|cx| Poll::Ready(poll(cx))))
}

/// Checks what the hub has counted, in total, once everybody has read everything.
#[track_caller]
fn assert_counts<const N: usize>(hub: &Hub, subscribers: [Subscriber; N], (published, delivered, dropped): (u64, u64, u64)) {
    // The hub learns of what was delivered with the next call, such as the drop.
    drop(subscribers);
    let stats = hub.stats();
    assert_eq!((stats.published, stats.delivered, stats.dropped), (published, delivered, dropped));
    assert_eq!(stats.subscriber_count, 0);
}

/// The least there is: 32 messages with bodies of 255 bytes.
const CAPACITY: usize = 8192;

/// No bound on preemptions.
const EVERY_ORDER: Option<usize> = None;
