use std::sync::Barrier;
use std::thread;

use chat_cluster::jetstream::{Gone, OUTBOX_LEN_MIN, State, join};
use futures::task::noop_waker;

use crate::nats::{Nats, is_installed};
use crate::util::{Joined, send, settings, wait};

#[test]
fn all_nodes_deliver_one_order_and_each_sender_s_own() {
    if !is_installed() {
        return;
    }
    const COUNT: usize = 2000;
    let nats = Nats::start();
    let mut nodes = ["a", "b"].map(|name| Joined::join(settings(&nats, name)));
    let sending = nodes.each_ref().map(|node| {
        let mut sender = node.member.sender();
        move |name: &str| {
            for number in 0..COUNT {
                send(&mut sender, format!("{name} {number}").as_bytes());
            }
        }
    });
    let logs = thread::scope(|scope| {
        for (mut sending, name) in sending.into_iter().zip(["a", "b"]) {
            scope.spawn(move || sending(name));
        }
        nodes
            .each_mut()
            .map(|node| scope.spawn(|| node.receive(2 * COUNT)).join().unwrap())
    });
    assert!(logs[0] == logs[1], "the nodes have two orders");
    for name in ["a", "b"] {
        let own = logs[0]
            .iter()
            .filter(|body| body.starts_with(name.as_bytes()));
        let sent = (0..COUNT).map(|number| format!("{name} {number}").into_bytes());
        assert!(own.cloned().eq(sent), "{name} has another order");
    }
    let figures = nodes[0].member.figures();
    assert!(figures.own_batches > 0 && figures.round_trips > std::time::Duration::ZERO);
    let counted: u64 = figures.round_trip_counts.iter().sum();
    assert_eq!(counted, figures.own_batches);
    assert_eq!((figures.epoch, figures.reconnects), (1, 0));
}

#[test]
fn nodes_that_start_at_once_join_one_stream_without_trouble() {
    if !is_installed() {
        return;
    }
    const COUNT: usize = 8;
    let nats = Nats::start();
    let start = Barrier::new(COUNT);
    let start_one = |index: usize| {
        let settings = settings(&nats, &format!("n{index}"));
        start.wait();
        let (member, deliveries) = join(settings).unwrap();
        let node = Joined { member, deliveries };
        let state = node.wait_for(|state| !matches!(state, State::Joining { trouble: None }));
        assert!(state.is_serving(), "{state:?}");
        node
    };
    let mut nodes = thread::scope(|scope| {
        let starting = (0..COUNT).map(|index| scope.spawn(move || start_one(index)));
        let starting: Vec<_> = starting.collect();
        let started = starting.into_iter().map(|one| one.join().unwrap());
        started.collect::<Vec<_>>()
    });
    send(&mut nodes[0].member.sender(), b"hello");
    for node in &mut nodes {
        assert_eq!(node.receive(1), [b"hello"]);
    }
}

#[test]
fn a_mark_is_where_the_message_ends() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut node = Joined::join(settings(&nats, "a"));
    let mut sender = node.member.sender();
    for number in 0..100 {
        let body = format!("message {number}").into_bytes();
        let mark = send(&mut sender, &body);
        assert_eq!(node.receive_own(mark), body);
    }
}

#[test]
fn one_that_leaves_delivers_all_it_accepted_and_ends() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut node = Joined::join(settings(&nats, "a"));
    let mut sender = node.member.sender();
    for number in 0..100 {
        send(&mut sender, &[number]);
    }
    node.member.leave();
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(sender.poll_ready(cx), std::task::Poll::Ready(Err(Gone)));
    assert_eq!(node.receive(100).len(), 100);
    assert!(wait(node.deliveries.next()).is_none());
    assert!(node.end().contains("left"));
    // The same name has the next epoch.
    let node = Joined::join(settings(&nats, "a"));
    assert_eq!(node.member.figures().epoch, 2);
}

#[test]
fn a_promise_is_kept_by_one_that_leaves() {
    if !is_installed() {
        return;
    }
    let nats = Nats::start();
    let mut node = Joined::join(settings(&nats, "a"));
    let mut sender = node.member.sender();
    let waker = noop_waker();
    let cx = &mut std::task::Context::from_waker(&waker);
    assert!(sender.poll_ready(cx).is_ready());
    node.member.leave();
    let mut messages = chat_proto::Messages::split(b"\x04last").0;
    sender.accept(&mut messages, |_| {}).unwrap();
    assert_eq!(node.receive(1), [b"last"]);
    assert!(wait(node.deliveries.next()).is_none());
}

#[test]
fn senders_wait_while_the_outbox_is_full() {
    if !is_installed() {
        return;
    }
    let mut nats = Nats::start();
    let mut settings = settings(&nats, "a");
    settings.outbox_len_max = OUTBOX_LEN_MIN;
    let mut node = Joined::join(settings);
    nats.kill();
    node.wait_for(|state| matches!(state, State::Away { .. }));
    let mut senders = [node.member.sender(), node.member.sender()];
    let waker = noop_waker();
    let cx = &mut std::task::Context::from_waker(&waker);
    let (mut count, block) = (0, [vec![255], vec![7; 255]].concat().repeat(16));
    while senders[count % 2].poll_ready(cx).is_ready() {
        let mut messages = chat_proto::Messages::split(&block).0;
        senders[count % 2].accept(&mut messages, |_| {}).unwrap();
        assert!(messages.is_empty());
        count += 1;
    }
    let held = count * block.len();
    assert!(
        held <= OUTBOX_LEN_MIN && held > OUTBOX_LEN_MIN / 2,
        "{held}"
    );
    assert_eq!(node.member.figures().outbox_len, held);
    nats.restart();
    assert_eq!(node.receive(16 * count).len(), 16 * count);
    wait(std::future::poll_fn(|cx| senders[count % 2].poll_ready(cx))).unwrap();
}
