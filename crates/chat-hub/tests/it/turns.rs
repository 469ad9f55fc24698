use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use chat_hub::{Config, Hub, Policy, Publisher, Subscriber, TryPublishError};
use chat_proto::Messages;
use futures::FutureExt;

use crate::util::{Read, Woken, drain, hub, message, publish, read, run};

const CAPACITIES: [usize; 5] = [8 * 1024, 16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024];

/// What each of several publishers has still to publish.
struct Flood<'a> {
    publisher: Publisher,
    messages: Messages<'a>,
}

impl Flood<'_> {
    fn poll(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.publisher.poll_publish(&mut cx, &mut self.messages);
    }
}

/// Has so many publishers begin to publish `wire`, one after the other.
fn begin_floods<'a>(hub: &Hub, wire: &'a [u8], count: usize) -> Vec<Flood<'a>> {
    let flood = || Flood {
        publisher: hub.publisher(),
        messages: Messages::split(wire).0,
    };
    let mut floods: Vec<Flood<'_>> = (0..count).map(|_| flood()).collect();
    floods.iter_mut().for_each(Flood::poll);
    floods
}

/// Publishes one message while others flood; returns how many bytes of the flood were published
/// from when it was first polled on. In each round the flooders are polled first, in the order that
/// `shuffle` makes.
fn bytes_before(hub: &Hub, flooder_count: usize, shuffle: fn(&mut VecDeque<usize>)) -> u64 {
    let wire = run(0..60_000, 63);
    let mut reader = hub.subscribe();
    assert_eq!(read(&mut reader), Read::Pending);
    let mut floods = begin_floods(hub, &wire, flooder_count);
    let asked = hub.end().byte_pos();
    let quiet = message(u64::MAX, 8);
    let (mut messages, mut publisher) = (Messages::split(&quiet).0, hub.publisher());
    let mut order: VecDeque<usize> = (0..flooder_count).collect();
    loop {
        let poll = publisher.poll_publish(&mut Context::from_waker(Waker::noop()), &mut messages);
        if let Poll::Ready(end) = poll {
            return end.unwrap().byte_pos() - asked;
        }
        drain(&mut reader);
        shuffle(&mut order);
        // Each is polled as often as it likes: it is not for the executor to be fair.
        for _ in 0..3 {
            order.iter().for_each(|&index| floods[index].poll());
        }
    }
}

#[test]
fn a_waiting_publisher_stands_after_one_part_of_each_other() {
    let shuffles: [fn(&mut VecDeque<usize>); 3] = [
        |_| (),
        |order| order.rotate_left(1),
        |order| order.make_contiguous().reverse(),
    ];
    for capacity in CAPACITIES {
        for flooder_count in [1, 3, 10, 30] {
            for shuffle in shuffles {
                let bytes = bytes_before(&hub(capacity), flooder_count, shuffle);
                // A part is a 32nd or a 16th of the log at most, and the rest of a message.
                let parts = if capacity <= 256 * 1024 { 16 } else { 32 };
                let part = capacity as u64 / parts + 255;
                let bound = part * flooder_count as u64 + 9;
                assert!(
                    bytes <= bound,
                    "{bytes} bytes of {flooder_count} in {capacity}"
                );
            }
        }
    }
}

#[test]
fn flooding_publishers_get_equal_shares() {
    for capacity in CAPACITIES {
        let hub = hub(capacity);
        let wire = run(0..60_000, 63);
        let mut reader = hub.subscribe();
        assert_eq!(read(&mut reader), Read::Pending);
        let mut floods = begin_floods(&hub, &wire, 7);
        let counts = |floods: &[Flood<'_>]| -> Vec<usize> {
            floods.iter().map(|flood| flood.messages.count()).collect()
        };
        // The first one had the hub for itself.
        let before = counts(&floods);
        for _ in 0..40 {
            drain(&mut reader);
            floods.iter_mut().for_each(Flood::poll);
        }
        let after = counts(&floods);
        let shares: Vec<usize> = before.iter().zip(after).map(|(a, b)| a - b).collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(
            *least > 0 && most * 2 <= least * 3 + 64,
            "{shares:?} in {capacity}"
        );
    }
}

/// Makes a hub whose publishers wait for a subscriber, and the first of them, which waits.
pub(crate) fn held() -> (Hub, Subscriber, Publisher) {
    let hub = hub(16 * 1024);
    let (mut first, mut subscriber) = (hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut subscriber), Read::Pending);
    while publish(&mut first, &message(0, 99)).is_ready() {}
    (hub, subscriber, first)
}

/// Checks that another publisher goes on when the first one, whose turn has come, is made to give
/// way. The other one has published before the first one asked, and may overtake it once.
#[track_caller]
fn check_place_is_freed(give_way: impl FnOnce(Publisher)) {
    let hub = hub(16 * 1024);
    let (mut first, mut second) = (hub.publisher(), hub.publisher());
    assert!(publish(&mut second, &message(1, 99)).is_ready());
    let mut subscriber = hub.subscribe();
    assert_eq!(read(&mut subscriber), Read::Pending);
    while publish(&mut first, &message(0, 99)).is_ready() {}
    drain(&mut subscriber);
    let (woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    let wire = message(1, 99);
    let mut messages = Messages::split(&wire).0;
    assert!(
        second.poll_publish(&mut cx, &mut messages).is_ready(),
        "once"
    );
    let mut messages = Messages::split(&wire).0;
    assert!(
        second.poll_publish(&mut cx, &mut messages).is_pending(),
        "not twice"
    );
    give_way(first);
    assert!(woken.is_set());
    assert!(second.poll_publish(&mut cx, &mut messages).is_ready());
}

#[test]
fn a_turn_that_is_held_leaves_room_for_others() {
    let hub = hub(64 * 1024);
    let (mut holder, mut publisher) = (hub.publisher(), hub.publisher());
    let mut subscriber = hub.subscribe();
    assert_eq!(read(&mut subscriber), Read::Pending);
    assert!(
        holder
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );
    for number in 0..10_000 {
        assert!(
            publish(&mut publisher, &message(number, 99)).is_ready(),
            "{number}"
        );
        drain(&mut subscriber);
    }
}

#[test]
fn a_turn_that_is_used_given_up_or_dropped_frees_its_place() {
    check_place_is_freed(|mut first| assert!(publish(&mut first, &message(0, 99)).is_ready()));
    check_place_is_freed(|mut first| first.pass());
    check_place_is_freed(drop);
}

#[test]
fn a_dropped_publish_frees_its_place_and_tells_what_went_out() {
    let (hub, mut subscriber, _first) = held();
    let mut second = hub.publisher();
    let wire = run(0..1000, 99);
    let mut messages = Messages::split(&wire).0;
    assert!(second.publish(&mut messages).now_or_never().is_none());
    assert_eq!(messages.count(), 1000);
    assert_eq!(
        hub.stats().waiting_publisher_count,
        1,
        "only the first one waits"
    );
    drop(_first);
    drain(&mut subscriber);
    let before = hub.end().message_pos();
    assert!(second.publish(&mut messages).now_or_never().is_none());
    let went_out = hub.end().message_pos() - before;
    assert!(went_out > 0);
    assert_eq!(messages.as_bytes(), &wire[100 * went_out as usize..]);
    assert_eq!(hub.stats().waiting_publisher_count, 0);
}

#[test]
fn a_ready_publisher_can_publish_so_many_bytes() {
    let (hub, mut subscriber, first) = held();
    drop(first);
    let mut publisher = hub.publisher();
    let (woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    assert!(publisher.poll_ready(&mut cx).is_pending());
    drain(&mut subscriber);
    assert!(woken.is_set());
    let Poll::Ready(Ok(len)) = publisher.poll_ready(&mut cx) else {
        panic!("it is its turn");
    };
    let wire = run(0..(len + 255) as u64 / 10, 9);
    assert!(publish(&mut publisher, &wire).is_ready());
    assert_eq!(drain(&mut subscriber).0, wire);
}

#[test]
fn a_turn_is_a_part_of_the_log_and_less_when_many_wait() {
    for (capacity, expected) in [(8, 512), (64, 4096), (1024, 32 * 1024), (8192, 256 * 1024)] {
        let mut publisher = hub(capacity * 1024).publisher();
        let len = publisher.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert_eq!(len, Poll::Ready(Ok(expected)), "{capacity} KiB");
    }
    for (waiting_count, expected) in [(4, 8192), (20, 4096)] {
        let hub = hub(1 << 20);
        let mut reader = hub.subscribe();
        assert_eq!(read(&mut reader), Read::Pending);
        let mut waiting: Vec<_> = (0..waiting_count).map(|_| hub.publisher()).collect();
        assert!(publish(&mut waiting[0], &run(0..2000, 99)).is_pending());
        let mut cx = Context::from_waker(Waker::noop());
        for publisher in &mut waiting[1..] {
            assert!(publisher.poll_ready(&mut cx).is_pending());
        }
        drain(&mut reader);
        let len = waiting[0].poll_ready(&mut cx);
        assert_eq!(len, Poll::Ready(Ok(expected)), "{waiting_count} wait");
    }
}

#[test]
fn a_short_run_may_be_longer_than_a_turn() {
    let hub = hub(8 * 1024);
    let (mut first, mut second, mut reader) = (hub.publisher(), hub.publisher(), hub.subscribe());
    assert_eq!(read(&mut reader), Read::Pending);
    while publish(&mut first, &message(0, 99)).is_ready() {}
    let wire = run(0..20, 99);
    let mut messages = Messages::split(&wire).0;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(second.poll_publish(&mut cx, &mut messages).is_pending());
    drain(&mut reader);
    // It publishes one part, and then waits for the first one.
    assert!(second.poll_publish(&mut cx, &mut messages).is_pending());
    assert_eq!(
        drain(&mut reader).0.len(),
        700,
        "512 bytes, and at most 255"
    );
    assert!(publish(&mut first, &message(0, 99)).is_ready());
    assert!(second.poll_publish(&mut cx, &mut messages).is_ready());
}

#[test]
fn as_many_turns_are_given_as_there_is_room_for() {
    let (hub, mut subscriber, _first) = held();
    let wire = message(1, 99);
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let (mut publisher, (woken, waker)) = (hub.publisher(), Woken::new());
        let mut messages = Messages::split(&wire).0;
        let poll = publisher.poll_publish(&mut Context::from_waker(&waker), &mut messages);
        assert!(poll.is_pending());
        waiting.push((publisher, woken));
    }
    drain(&mut subscriber);
    // There is room for a quarter of the log, and a turn is a 16th. One is the first one's.
    let given_count = waiting.iter().filter(|(_, woken)| woken.is_set()).count();
    assert!((1..=3).contains(&given_count), "{given_count} turns");
}

#[test]
fn trying_publishes_what_fits_and_waits_for_nobody() {
    let (hub, mut subscriber, first) = held();
    let mut publisher = hub.publisher();
    let wire = run(0..1000, 99);
    let mut messages = Messages::split(&wire).0;
    assert_eq!(
        publisher.try_publish(&mut messages),
        Err(TryPublishError::Full)
    );
    assert_eq!(
        (messages.count(), hub.stats().waiting_publisher_count),
        (1000, 1)
    );
    drop(first);
    drain(&mut subscriber);
    assert_eq!(
        publisher.try_publish(&mut messages),
        Err(TryPublishError::Full)
    );
    assert!(messages.count() < 1000);
    assert_eq!(hub.stats().waiting_publisher_count, 0);
}

#[test]
fn a_clone_is_a_publisher_of_its_own() {
    let (hub, mut subscriber, mut first) = held();
    let mut clone = first.clone();
    drain(&mut subscriber);
    assert!(publish(&mut clone, &message(1, 99)).is_ready());
    assert!(
        publish(&mut clone, &message(1, 99)).is_pending(),
        "it waits for the first"
    );
    assert!(publish(&mut first, &message(0, 99)).is_ready());
    assert!(publish(&mut clone, &message(1, 99)).is_ready());
    assert_eq!(clone.position(), hub.end());
    assert!(first.position() < clone.position());
}

/// A waker that notes where the log ended when it was called.
struct NotesEnd {
    hub: Hub,
    end: AtomicU64,
}

impl Wake for NotesEnd {
    fn wake(self: Arc<Self>) {
        let end = self.hub.end().byte_pos();
        self.end.store(end, Ordering::Relaxed);
    }
}

#[test]
fn a_publish_appends_32_kib_under_one_lock_at_most() {
    const CAPACITY: u64 = 2 << 20;
    let config = Config::default().with_capacity(2 << 20);
    let hub = config.with_policy(Policy::Disconnect).build().unwrap();
    let notes = Arc::new(NotesEnd {
        hub: hub.clone(),
        end: AtomicU64::new(0),
    });
    let mut laggard = hub.subscribe();
    laggard.stall(&Waker::from(Arc::clone(&notes)));
    // It is told as soon as the lock is released under which the log overran it. That is the lock
    // which a part of 64 KiB begins with.
    assert!(publish(&mut hub.publisher(), &run(0..10_000, 255)).is_ready());
    let end = notes.end.load(Ordering::Relaxed);
    assert!(end > CAPACITY, "it is told when it has lost something");
    let appended = end - CAPACITY;
    assert!(appended <= 32 * 1024, "{appended} bytes were appended");
}
