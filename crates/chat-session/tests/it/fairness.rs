use std::task::{Context, Waker};

use crate::util::{Server, message, numbers};

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
fn a_client_whose_socket_has_room_again_loses_nothing_though_nobody_noticed() {
    let mut server = Server::new(16 * 1024);
    let sender = server.connect();
    let client = server.connect_with(0);
    sender.send(&message(0, 99));
    server.run();
    client.make_room_unnoticed();
    for number in 1..800 {
        sender.send(&message(number, 99));
        server.run();
    }
    assert_eq!(numbers(&client.receive()), (0..800).collect::<Vec<_>>());
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
fn a_session_waits_for_subscribers_that_could_be_written_to() {
    let mut server = Server::new(16 * 1024);
    // It read once, and neither reads on nor says that it cannot.
    let mut slow = server.hub.subscribe();
    assert!(
        slow.poll_batch(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    let mut client = server.connect();
    let stream: Vec<u8> = (0..20_000).flat_map(|number| message(number, 99)).collect();
    client.send(&stream);
    client.end_sending();
    server.run();
    assert!(
        client.receive().len() < 10 * 1024,
        "half a log, and the gate is closed"
    );
    assert!(
        client.wire().unread_len() > stream.len() - TURN_LEN - 16 * 1024,
        "what cannot be published is not read"
    );
    drop(slow);
    server.run();
    // Now nobody but the client itself is waited for.
    assert_eq!(client.end().unwrap().unwrap().published, 20_000);
}

/// How much a session reads in one turn, in bytes, as the crate's documentation has it.
const TURN_LEN: usize = 128 * 1024;
