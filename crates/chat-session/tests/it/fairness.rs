use std::task::{Context, Waker};

use chat_session::Session;

use crate::util::{Server, check_counts, message, messages, numbers};
use crate::wire::{Stream, Wire};

#[test]
fn a_stalled_client_loses_whole_messages_and_delays_nobody() {
    let mut server = Server::new(16 * 1024);
    let (sender, quick) = (server.connect(), server.connect());
    let mut stalled = server.connect_with(1000);
    let mut number = 0;
    let mut received = Vec::new();
    for _ in 0..40 {
        for _ in 0..20 {
            sender.send(&message(number, 99));
            number += 1;
        }
        server.run();
        received.extend(numbers(&quick.receive()));
    }
    assert_eq!(
        received,
        (0..800).collect::<Vec<_>>(),
        "the others get everything"
    );
    let begun = stalled.receive_with(usize::MAX);
    assert_eq!(begun.len(), 1000);
    server.run();
    let received = numbers(&[begun, stalled.receive()].concat());
    assert_eq!(
        received[..10],
        (0..10).collect::<Vec<_>>(),
        "the message that was begun is finished"
    );
    assert!(received.is_sorted() && received.last() == Some(&799));
    stalled.end_sending();
    server.run();
    let summary = stalled.end().unwrap().unwrap();
    assert_eq!(summary.dropped, 800 - received.len() as u64);
    assert!(summary.dropped > 0);
}

#[test]
fn without_a_clock_a_stalled_client_is_a_laggard_at_once() {
    let mut server = Server::new(16 * 1024);
    let sender = server.connect();
    let mut client = server.connect_with(0);
    sender.send(&message(0, 99));
    server.run();
    assert_eq!(server.hub.stats().laggard_count, 1);
    sender.send(&messages(1..800));
    server.run();
    assert_eq!(numbers(&sender.receive()).len(), 800, "nobody waits for it");
    client.receive_with(usize::MAX);
    server.run();
    let caught_up = numbers(&client.receive());
    assert!(caught_up.len() < 400, "it lost the rest");
    // It has caught up, so it is waited for again.
    assert_eq!(server.hub.stats().laggard_count, 0);
    sender.send(&messages(800..1600));
    server.run();
    assert_eq!(numbers(&client.receive()), (800..1600).collect::<Vec<_>>());
    client.end_sending();
    server.run();
    let summary = client.end().unwrap().unwrap();
    assert_eq!(summary.delivered, caught_up.len() as u64 + 800);
    assert_eq!(summary.dropped, 800 - caught_up.len() as u64);
}

#[test]
fn under_a_clock_a_client_with_room_unnoticed_loses_nothing() {
    let mut server = Server::with_clock(16 * 1024);
    let sender = server.connect();
    let client = server.connect_with(0);
    sender.send(&messages(0..800));
    server.run();
    client.make_room_unnoticed();
    assert!(
        sender.receive().len() < GATE_LEN,
        "publishers wait for a stream that is full for a moment"
    );
    assert_eq!(server.hub.stats().laggard_count, 0);
    // Before the grace is over, the session is told to try once more.
    for _ in 0..STEPS_PER_GRACE - 1 {
        assert!(client.wire().outgoing.is_empty(), "nobody told the session");
        assert!(server.tick());
        server.run();
    }
    assert_eq!(numbers(&client.receive()), (0..800).collect::<Vec<_>>());
    assert!(!server.tick(), "the hub is idle");
}

#[test]
fn under_a_clock_a_client_that_takes_nothing_gets_the_grace() {
    let mut server = Server::with_clock(16 * 1024);
    let sender = server.connect();
    let mut client = server.connect_with(0);
    sender.send(&messages(0..800));
    server.run();
    for _ in 0..STEPS_PER_GRACE - 1 {
        assert_eq!(server.hub.stats().laggard_count, 0);
        assert!(server.tick());
        server.run();
        assert!(server.hub.stats().published_bytes < GATE_LEN as u64);
    }
    server.tick();
    server.run();
    assert_eq!(server.hub.stats().laggard_count, 1);
    assert_eq!(server.hub.stats().published, 800, "nobody waits any more");
    client.receive_with(usize::MAX);
    server.run();
    let delivered = numbers(&client.receive()).len() as u64;
    assert_eq!(server.hub.stats().laggard_count, 0, "it has caught up");
    client.end_sending();
    server.run();
    let summary = client.end().unwrap().unwrap();
    check_counts(summary, [0, delivered, 800 - delivered]);
    assert!(delivered > 0);
}

#[test]
fn a_blocked_session_is_not_woken_by_publishing() {
    let mut server = Server::new(1 << 20);
    let sender = server.connect();
    let stalled = server.connect_with(5);
    sender.send(&message(0, 99));
    server.run();
    let write_count = stalled.wire().write_count;
    for number in 1..100 {
        sender.send(&message(number, 99));
        server.run();
    }
    assert_eq!(stalled.wire().write_count, write_count);
}

#[test]
fn a_session_tries_to_read_only_when_there_is_something() {
    let mut server = Server::new(1 << 20);
    let (sender, listener) = (server.connect(), server.connect());
    server.run();
    assert_eq!(listener.wire().read_count, 1);
    for number in 0..100 {
        sender.send(&message(number, 99));
        server.run();
    }
    assert_eq!(
        listener.wire().read_count,
        1,
        "being written to is no reason to read"
    );
    assert_eq!(numbers(&listener.receive()).len(), 100);
}

#[test]
fn a_flood_is_read_in_turns() {
    let mut server = Server::new(8 << 20);
    let flood: Vec<u8> = (0..20_000).flat_map(|number| message(number, 99)).collect();
    let (flooder, other) = (server.connect(), server.connect());
    flooder.send(&flood);
    other.send(&message(1 << 40, 99));
    server.run();
    let received = numbers(&other.receive());
    let place = received
        .iter()
        .position(|&number| number == 1 << 40)
        .unwrap();
    assert!(
        place <= 2 * TURN_LEN / 100,
        "{place} messages of the flood came first"
    );
    assert_eq!(received.len(), 20_001);
}

#[test]
fn what_cannot_be_published_is_not_read() {
    let mut server = Server::new(16 * 1024);
    // It waits, and does not come when it is woken: publishers wait for it.
    let mut slow = server.hub.subscribe();
    assert!(
        slow.poll_batch(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    let mut client = server.connect();
    let stream = messages(0..20_000);
    client.send(&stream);
    client.end_sending();
    server.run();
    assert!(client.receive().len() < GATE_LEN, "the gate is closed");
    assert!(client.wire().unread_len() > stream.len() - GATE_LEN);
    drop(slow);
    server.run();
    // Now nobody but the client itself is waited for.
    assert_eq!(client.end().unwrap().unwrap().published, 20_000);
}

#[test]
fn a_session_that_was_not_polled_yet_stops_nobody() {
    let mut server = Server::new(16 * 1024);
    let mut sender = server.connect();
    server.run();
    let stream = Wire::with_room(usize::MAX);
    let unpolled = Session::new(Stream(stream), &server.hub);
    sender.send(&messages(0..800));
    sender.end_sending();
    server.run();
    check_counts(sender.end().unwrap().unwrap(), [800, 800, 0]);
    drop(unpolled);
}

/// How much a session reads in one turn, in bytes, as the crate's documentation has it.
const TURN_LEN: usize = 128 * 1024;

/// How far behind somebody who is waited for may be, in a log of 16 KiB, until publishers wait: a
/// quarter of it, and a turn each.
const GATE_LEN: usize = 6 * 1024;

/// How many steps of the clock the grace has, which a client may take nothing for.
const STEPS_PER_GRACE: usize = 8;
