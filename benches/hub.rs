//! What a delivery costs in process, in chat-hub and in what else is used to give every message to
//! everybody.
//!
//! Every subscriber is a task that waits for messages, polled by hand when it was woken. A round
//! publishes some messages, wakes the tasks and lets each take all it can. So a round of 1000
//! messages shows what a delivery costs in bulk, and a round of one what a wake-up does.
//!
//! The rows do not deliver the same thing. `chat_hub` publishes what a read from a socket brings as
//! one run, and delivers slices of wire bytes that are ready to be written. The others deliver one
//! message after another. For those who need just that there is `chat_hub_by_message`, which
//! publishes message by message and takes each of them out of its batch.
//!
//! The others get what suits them best: `Arc<[u8]>`, which costs them less than `Bytes`, made
//! beforehand; and as many messages per turn as there are in a round, which costs less than to wait
//! for each. async-broadcast costs the same whether it may overflow or not. There are two kinds of
//! channel, one a subscriber: tokio's is cheap in bulk, and that of futures to wake up.
//! async-channel costs more than both.

use std::cell::Cell;
use std::hint::black_box;
use std::iter;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use chat_hub::{Hub, Publisher};
use chat_proto::Messages;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use futures::{FutureExt, StreamExt, future::LocalBoxFuture};

fn publish_to_all(criterion: &mut Criterion) {
    for message_count in MESSAGE_COUNTS {
        let mut group =
            criterion.benchmark_group(format!("publish_{message_count}_of_{BODY_LEN}B"));
        // A round of a million deliveries leaves no time for more and more rounds a sample.
        group.sampling_mode(SamplingMode::Flat);
        for subscriber_count in SUBSCRIBER_COUNTS {
            let shape = Shape {
                message_count,
                subscriber_count,
            };
            group.throughput(Throughput::Elements(
                (message_count * subscriber_count) as u64,
            ));
            for (name, set_up) in ROWS {
                let id = BenchmarkId::new(name, format!("{subscriber_count}_subscribers"));
                group.bench_function(id, |bencher| {
                    let mut tasks = Tasks::default();
                    let mut publish = set_up(shape, &mut tasks);
                    tasks.run(0);
                    bencher.iter(|| {
                        publish();
                        tasks.run(message_count);
                    });
                });
            }
        }
    }
}

/// What a long run costs its publisher.
///
/// A run is published in parts, which are cut at message boundaries. The worst input for that are
/// messages of one and two bytes in turn: they are short, and no guess at the length of the next
/// one is right.
fn publish_at_once(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("publish_{RUN_LEN}B_at_once"));
    let patterns = [("0B_and_1B_in_turn", vec![0, 1, b'x']), ("64B", message())];
    for (name, pattern) in patterns {
        let wire = pattern.repeat(RUN_LEN / pattern.len());
        let (messages, _) = Messages::split(&wire);
        let mut publisher = Hub::default().publisher();
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| publish(&mut publisher, black_box(messages)));
        });
    }
}

/// To look at a hub must not take longer the more it serves: whoever looks holds the lock.
fn look_at_counts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stats");
    for subscriber_count in [1, 100_000] {
        let (hub, mut subscribers) = (Hub::default(), Vec::new());
        subscribers.resize_with(subscriber_count, || hub.subscribe());
        let id = BenchmarkId::from_parameter(format!("{subscriber_count}_subscribers"));
        group.bench_function(id, |bencher| bencher.iter(|| hub.stats()));
    }
}

/// Subscribes tasks and returns what publishes the messages of a round.
type SetUp = fn(Shape, &mut Tasks) -> Box<dyn FnMut()>;

/// What a row is measured with.
#[derive(Clone, Copy)]
struct Shape {
    /// How many messages a round has. Also the capacity of everything that counts its capacity in
    /// messages.
    message_count: usize,
    subscriber_count: usize,
}

fn chat_hub(shape: Shape, tasks: &mut Tasks) -> Box<dyn FnMut()> {
    let hub = Hub::default();
    let message = message();
    for _ in 0..shape.subscriber_count {
        let mut subscriber = hub.subscribe();
        tasks.spawn(|seen| async move {
            while let Some(batch) = subscriber.next_batch().await {
                batch.chunks().for_each(|chunk| _ = black_box(chunk));
                let count = batch.count() as usize;
                batch.consume_all();
                seen.add(count);
            }
        });
    }
    let mut publisher = hub.publisher();
    let wire = message.repeat(shape.message_count);
    Box::new(move || split_and_publish(&mut publisher, &wire))
}

fn chat_hub_by_message(shape: Shape, tasks: &mut Tasks) -> Box<dyn FnMut()> {
    let hub = Hub::default();
    for _ in 0..shape.subscriber_count {
        let mut subscriber = hub.subscribe();
        tasks.spawn(|seen| async move {
            while let Some(batch) = subscriber.next_batch().await {
                seen.add(batch.messages().flatten().map(black_box).count());
                batch.consume_all();
            }
        });
    }
    let mut publisher = hub.publisher();
    let message = message();
    Box::new(move || {
        (0..shape.message_count).for_each(|_| split_and_publish(&mut publisher, &message))
    })
}

fn split_and_publish(publisher: &mut Publisher, wire: &[u8]) {
    let (messages, _) = Messages::split(black_box(wire));
    publish(publisher, messages);
}

fn publish(publisher: &mut Publisher, mut messages: Messages<'_>) {
    let published = publisher.try_publish(&mut messages);
    published.expect("there is room for a round, and nobody waits");
}

fn tokio_broadcast(shape: Shape, tasks: &mut Tasks) -> Box<dyn FnMut()> {
    let (sender, _) = tokio::sync::broadcast::channel(shape.message_count);
    for _ in 0..shape.subscriber_count {
        let mut receiver = sender.subscribe();
        tasks.spawn(|seen| async move {
            while let Ok(first) = receiver.recv().await {
                seen.take_round(shape, first, || receiver.try_recv().ok());
            }
        });
    }
    publish_each(shape, move |message| {
        sender.send(Arc::clone(message)).is_ok()
    })
}

fn async_broadcast(shape: Shape, tasks: &mut Tasks) -> Box<dyn FnMut()> {
    let (sender, receiver) = async_broadcast::broadcast(shape.message_count);
    for _ in 0..shape.subscriber_count {
        let mut receiver = receiver.clone();
        tasks.spawn(|seen| async move {
            while let Some(first) = receiver.next().await {
                seen.take_round(shape, first, || receiver.try_recv().ok());
            }
        });
    }
    publish_each(shape, move |message| {
        sender.try_broadcast(Arc::clone(message)).is_ok()
    })
}

fn channel_each_of_tokio(shape: Shape, tasks: &mut Tasks) -> Box<dyn FnMut()> {
    let mut senders = Vec::new();
    for _ in 0..shape.subscriber_count {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(shape.message_count);
        senders.push(sender);
        tasks.spawn(|seen| async move {
            let mut received = Vec::with_capacity(shape.message_count);
            while receiver.recv_many(&mut received, shape.message_count).await > 0 {
                seen.add(received.drain(..).map(black_box).count());
            }
        });
    }
    publish_each(shape, move |message| {
        senders
            .iter()
            .all(|sender| sender.try_send(Arc::clone(message)).is_ok())
    })
}

fn channel_each_of_futures(shape: Shape, tasks: &mut Tasks) -> Box<dyn FnMut()> {
    let mut senders = Vec::new();
    for _ in 0..shape.subscriber_count {
        let (sender, mut receiver) = futures::channel::mpsc::channel(shape.message_count);
        senders.push(sender);
        tasks.spawn(|seen| async move {
            while let Some(first) = receiver.next().await {
                seen.take_round(shape, first, || receiver.try_recv().ok());
            }
        });
    }
    publish_each(shape, move |message| {
        senders
            .iter_mut()
            .all(|sender| sender.try_send(Arc::clone(message)).is_ok())
    })
}

/// Publishes a round's messages one after another by `send`, which tells whether there was room.
fn publish_each(
    shape: Shape,
    mut send: impl FnMut(&Arc<[u8]>) -> bool + 'static,
) -> Box<dyn FnMut()> {
    let message: Arc<[u8]> = message().into();
    Box::new(move || (0..shape.message_count).for_each(|_| assert!(send(&message))))
}

/// A message in its wire form.
fn message() -> Vec<u8> {
    [&[BODY_LEN][..], &[b'x'; BODY_LEN as usize]].concat()
}

/// The tasks of a hub's subscribers, or of what stands beside it.
#[derive(Default)]
struct Tasks(Vec<Task>);

struct Task {
    future: LocalBoxFuture<'static, ()>,
    waker: Waker,
    woken: Arc<Woken>,
    seen: Seen,
}

impl Tasks {
    fn spawn<F: Future<Output = ()> + 'static>(&mut self, subscribe: impl FnOnce(Seen) -> F) {
        let seen = Seen::default();
        let future = subscribe(seen.clone()).boxed_local();
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.0.push(Task {
            future,
            waker: Waker::from(Arc::clone(&woken)),
            woken,
            seen,
        });
    }

    /// Polls each task that was woken, and checks that all have got so many messages and wait for
    /// more.
    fn run(&mut self, message_count: usize) {
        for task in &mut self.0 {
            // Acquire pairs with the release in `wake_by_ref`, as it would in an executor.
            if task.woken.0.swap(false, Ordering::Acquire) {
                assert!(
                    task.future
                        .poll_unpin(&mut Context::from_waker(&task.waker))
                        .is_pending()
                );
            }
            assert_eq!(task.seen.0.take(), message_count);
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release pairs with the acquire in `Tasks::run`.
        self.0.store(true, Ordering::Release);
    }
}

/// How many messages a task got in this round.
#[derive(Clone, Default)]
struct Seen(Rc<Cell<usize>>);

impl Seen {
    fn add(&self, message_count: usize) {
        self.0.update(|count| count + message_count);
    }

    /// Takes a message and those that `next` finds, up to a round's. To look for more in vain would
    /// cost as much as a message.
    fn take_round<M>(&self, shape: Shape, first: M, next: impl FnMut() -> Option<M>) {
        let others = iter::from_fn(next).take(shape.message_count - 1);
        self.add(iter::once(first).chain(others).map(black_box).count());
    }
}

/// Short, for there are many rows, and figures are only compared within a run.
fn config() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .nresamples(2000)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
}

criterion_group! {
    name = benches;
    config = config();
    targets = publish_to_all, publish_at_once, look_at_counts
}
criterion_main!(benches);

const ROWS: [(&str, SetUp); 6] = [
    ("chat_hub", chat_hub),
    ("chat_hub_by_message", chat_hub_by_message),
    ("tokio_broadcast", tokio_broadcast),
    ("async_broadcast", async_broadcast),
    ("channel_each_of_tokio", channel_each_of_tokio),
    ("channel_each_of_futures", channel_each_of_futures),
];

const BODY_LEN: u8 = 64;

/// What a session reads in a turn, as runs of whole patterns: a few bytes less.
const RUN_LEN: usize = 128 * 1024;

const MESSAGE_COUNTS: [usize; 3] = [1, 10, 1000];

const SUBSCRIBER_COUNTS: [usize; 4] = [1, 10, 100, 1000];
