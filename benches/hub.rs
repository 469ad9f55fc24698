//! What a delivery costs in the hub, without sockets.

use std::task::{Context, Poll, Waker};

use chat_hub::{Hub, Subscriber};
use chat_proto::{Body, MESSAGE_LEN_MAX, Messages};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Publishes a run of messages, which every subscriber then reads.
fn publish_to(criterion: &mut Criterion) {
    let mut message = [0; MESSAGE_LEN_MAX];
    let body = Body::new(&[b'x'; 64]).expect("a body is short enough");
    let len = body.encode(&mut message).expect("the buffer takes any message");
    let message = &message[..len];
    for run_count in [1, 10, 1000] {
        let mut group = criterion.benchmark_group(format!("publish_{run_count}_of_64B"));
        for subscriber_count in [1, 10, 100, 1000] {
            let wire = message.repeat(run_count);
            let deliveries = (run_count * subscriber_count) as u64;
            group.throughput(Throughput::ElementsAndBytes { elements: deliveries, bytes: deliveries * message.len() as u64 });
            group.bench_function(BenchmarkId::new("subscribers", subscriber_count), |bencher| {
                let hub = Hub::default();
                let mut publisher = hub.publisher();
                let mut subscribers: Vec<Subscriber> = (0..subscriber_count).map(|_| hub.subscribe()).collect();
                let mut cx = Context::from_waker(Waker::noop());
                bencher.iter(|| {
                    let (mut messages, _) = Messages::split(&wire);
                    assert!(publisher.poll_publish(&mut cx, &mut messages).is_ready());
                    subscribers.iter_mut().map(|subscriber| drain(subscriber, &mut cx)).sum::<usize>()
                });
            });
        }
    }
}

/// Reads until there is nothing to read.
fn drain(subscriber: &mut Subscriber, cx: &mut Context<'_>) -> usize {
    let mut byte_len = 0;
    while let Poll::Ready(Some(batch)) = subscriber.poll_batch(cx) {
        let len = batch.len();
        batch.consume(len);
        byte_len += len;
    }
    byte_len
}

criterion_group!(benches, publish_to);
criterion_main!(benches);
