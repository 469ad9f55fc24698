use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use chat_hub::{Config, Hub, Position, Publisher, Subscriber};
use chat_proto::{Body, MESSAGE_LEN_MAX, Messages};

/// Makes a hub with a log of `capacity` bytes.
pub(crate) fn hub(capacity: usize) -> Hub {
    Config::default().with_capacity(capacity).build().unwrap()
}

/// Returns a message whose body is `len` bytes and begins with as much of `number` as fits.
pub(crate) fn message(number: u64, len: usize) -> Vec<u8> {
    let mut body = [0; MESSAGE_LEN_MAX];
    body[..8].copy_from_slice(&number.to_le_bytes());
    let mut wire = [0; MESSAGE_LEN_MAX];
    let len = Body::new(&body[..len]).unwrap().encode(&mut wire).unwrap();
    wire[..len].to_vec()
}

/// Returns a run of messages with bodies of `len` bytes, numbered by `numbers`.
pub(crate) fn run(numbers: std::ops::Range<u64>, len: usize) -> Vec<u8> {
    numbers.flat_map(|number| message(number, len)).collect()
}

/// Publishes what can be published now; returns the position behind it, if it was all.
pub(crate) fn publish(publisher: &mut Publisher, wire: &[u8]) -> Poll<Position> {
    let (mut messages, rest) = Messages::split(wire);
    assert!(rest.is_empty());
    let mut cx = Context::from_waker(Waker::noop());
    publisher
        .poll_publish(&mut cx, &mut messages)
        .map(|result| result.expect("the hub is open"))
}

/// What one read came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// `dropped` messages were lost, then these bytes came.
    Batch { dropped: u64, wire: Vec<u8> },
    /// There is nothing to read now.
    Pending,
    /// There is nothing to read any more.
    End,
}

/// Reads one batch and consumes all of it.
pub(crate) fn read(subscriber: &mut Subscriber) -> Read {
    match subscriber.poll_batch(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Read::Pending,
        Poll::Ready(None) => Read::End,
        Poll::Ready(Some(batch)) => {
            let wire: Vec<u8> = batch.chunks().flatten().copied().collect();
            let read = Read::Batch {
                dropped: batch.dropped(),
                wire,
            };
            batch.consume_all();
            read
        }
    }
}

/// Publishes all of it, past a subscriber that says that its stream is full whenever publishers wait
/// for it.
pub(crate) fn publish_past(publisher: &mut Publisher, wire: &[u8], stalled: &mut Subscriber) {
    let (mut messages, _) = Messages::split(wire);
    let mut cx = Context::from_waker(Waker::noop());
    while publisher.poll_publish(&mut cx, &mut messages).is_pending() {
        stall(stalled);
    }
}

/// Says that a subscriber's stream is full.
pub(crate) fn stall(subscriber: &mut Subscriber) {
    subscriber.stall(Waker::noop());
}

/// Reads until there is nothing to read; returns the bytes and how many messages were lost on the
/// way.
pub(crate) fn drain(subscriber: &mut Subscriber) -> (Vec<u8>, u64) {
    let (mut all, mut lost) = (Vec::new(), 0);
    while let Read::Batch { dropped, wire } = read(subscriber) {
        all.extend(wire);
        lost += dropped;
    }
    (all, lost)
}

/// A waker that counts its calls.
#[derive(Default)]
pub(crate) struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let woken = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&woken));
        (woken, waker)
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.count() > 0
    }
}
