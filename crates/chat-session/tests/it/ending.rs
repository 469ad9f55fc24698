use std::io::ErrorKind;
use std::task::{Context, Waker};

use chat_session::EndReason;

use crate::util::{Server, check_counts, message, messages, numbers};

#[test]
fn half_close_delivers_up_to_the_clients_own_last_message() {
    let mut server = Server::new(1 << 20);
    let other = server.connect();
    let mut client = server.connect_with(0);
    other.send(&message(1, 9));
    server.run();
    client.send(&[message(2, 9), message(3, 9)].concat());
    server.run();
    other.send(&message(4, 9));
    client.end_sending();
    server.run();
    assert!(client.end().is_none(), "there is something to be written");
    let begun = client.receive_with(usize::MAX);
    server.run();
    assert_eq!(numbers(&[begun, client.receive()].concat()), [1, 2, 3]);
    assert!(client.wire().is_closed);
    check_counts(client.end().unwrap().unwrap(), [2, 3, 0]);
    assert_eq!(numbers(&other.receive()), [1, 2, 3, 4]);
}

#[test]
fn half_close_of_a_client_that_sent_nothing_ends_at_once() {
    let mut server = Server::new(1 << 20);
    let mut client = server.connect();
    client.end_sending();
    server.run();
    check_counts(client.end().unwrap().unwrap(), [0, 0, 0]);
    assert!(client.wire().is_closed);
    assert_eq!(server.hub.stats().subscriber_count, 0);
}

#[test]
fn half_close_ends_a_blocked_session_that_owes_nothing() {
    let mut server = Server::new(16 * 1024);
    let other = server.connect();
    let mut client = server.connect_with(100);
    client.send(&message(1, 99));
    server.run();
    // It waits, and does not come when it is woken: publishers wait for it.
    let mut slow = server.hub.subscribe();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(slow.poll_batch(&mut cx).is_pending());
    other.send(&messages(2..800));
    client.end_sending();
    server.run();
    assert_eq!(server.hub.stats().waiting_publisher_count, 2);
    assert!(client.end().is_none(), "its turn to read has not come");
    drop(slow);
    server.run();
    check_counts(client.end().unwrap().unwrap(), [1, 1, 0]);
    assert_eq!(numbers(&client.receive()), [1]);
}

#[test]
fn an_unfinished_message_is_never_forwarded() {
    let whole = message(1, 20);
    for cut in 1..whole.len() {
        let mut server = Server::new(1 << 20);
        let (mut client, other) = (server.connect(), server.connect());
        client.send(&[&whole[..], &whole[..cut]].concat());
        server.run();
        client.end_sending();
        server.run();
        assert_eq!(client.end().unwrap().unwrap().published, 1, "cut at {cut}");
        other.send(&message(2, 9));
        server.run();
        assert_eq!(numbers(&other.receive()), [1, 2], "cut at {cut}");
    }
}

#[test]
fn a_reset_ends_one_session_and_no_other() {
    let mut server = Server::new(1 << 20);
    let (mut client, other) = (server.connect(), server.connect());
    client.send(&message(1, 9)[..5]);
    server.run();
    client.reset();
    other.send(&message(2, 9));
    server.run();
    let error = client.end().unwrap().unwrap_err();
    assert!(matches!(
        error.reason(),
        EndReason::Read(_) | EndReason::Write(_)
    ));
    check_counts(error.summary(), [0, 0, 0]);
    other.send(&message(3, 9));
    server.run();
    assert_eq!(numbers(&other.receive()), [2, 3]);
    assert_eq!(server.hub.stats().subscriber_count, 1);
}

#[test]
fn a_stream_that_takes_nothing_and_says_so_is_an_error() {
    let mut server = Server::new(1 << 20);
    let mut client = server.connect();
    client.wire().takes_nothing = true;
    client.send(&message(1, 9));
    server.run();
    let error = client.end().unwrap().unwrap_err();
    let EndReason::Write(source) = error.reason() else {
        panic!("{error}")
    };
    assert_eq!(source.kind(), ErrorKind::WriteZero);
    check_counts(error.summary(), [1, 0, 0]);
}

#[test]
fn closing_the_hub_delivers_what_it_holds_and_stops_reading() {
    let mut server = Server::new(1 << 20);
    let mut client = server.connect_with(15);
    client.send(&[message(1, 9), message(2, 9), message(3, 9)].concat());
    server.run();
    server.hub.close();
    client.send(&message(4, 9));
    server.run();
    assert!(!client.wire().is_closed, "the socket is full");
    let begun = client.receive_with(usize::MAX);
    assert_eq!(begun.len(), 15);
    server.run();
    assert_eq!(
        numbers(&[begun, client.receive()].concat()),
        [1, 2, 3],
        "it ends on a boundary"
    );
    assert!(client.wire().is_closed);
    assert!(
        client.end().is_none(),
        "it waits for the client to close too"
    );
    assert_eq!(client.wire().unread_len(), 0, "and leaves nothing unread");
    client.end_sending();
    server.run();
    check_counts(client.end().unwrap().unwrap(), [3, 3, 0]);
}

#[test]
fn closing_the_hub_ends_sessions_that_wait() {
    let mut server = Server::new(1 << 20);
    let mut client = server.connect();
    server.run();
    server.hub.close();
    server.run();
    assert!(client.wire().is_closed);
    client.end_sending();
    server.run();
    check_counts(client.end().unwrap().unwrap(), [0, 0, 0]);
}
