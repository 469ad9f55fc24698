use std::io::ErrorKind;

use crate::util::{Client, Server, check_counts, messages};

#[test]
fn after_shutdown_it_reads_until_the_client_closes() {
    let (mut server, mut client) = lingering();
    for _ in 0..3 {
        client.send(&messages(0..5_000));
        server.run();
        assert_eq!(client.wire().unread_len(), 0);
        assert!(client.end().is_none());
    }
    client.end_sending();
    server.run();
    check_counts(client.end().unwrap().unwrap(), [0, 0, 0]);
    assert!(client.receive().is_empty() && server.hub.stats().published == 0);
}

#[test]
fn after_shutdown_it_reads_in_turns() {
    let (mut server, mut client) = lingering();
    client.wire().read_len_max = 1;
    client.wire().read_count = 0;
    client.send(&[7; 50]);
    let mut turn_count = 0;
    while server.step().is_some() {
        turn_count += 1;
        let read_count = client.wire().read_count;
        assert!(read_count <= 4 * turn_count, "a turn has four reads");
    }
    assert_eq!(client.wire().unread_len(), 0, "each turn leads to the next");
    client.end_sending();
    server.run();
    assert!(client.end().unwrap().is_ok());
}

#[test]
fn interrupted_while_discarding_is_no_error() {
    let (mut server, mut client) = lingering();
    client.wire().read_errors = vec![ErrorKind::Interrupted; 9];
    client.send(&messages(0..5));
    server.run();
    assert!(client.wire().read_errors.is_empty());
    assert_eq!(client.wire().unread_len(), 0);
    client.end_sending();
    server.run();
    assert!(client.end().unwrap().is_ok());
}

#[test]
fn a_reset_while_discarding_is_an_error() {
    let (mut server, mut client) = lingering();
    client.reset();
    server.run();
    let error = client.end().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "cannot read from the client");
}

#[test]
fn who_half_closed_is_not_waited_for() {
    let mut server = Server::new(1 << 20);
    let mut client = server.connect();
    client.send(&messages([1]));
    client.end_sending();
    server.run();
    let read_count = client.wire().read_count;
    assert!(client.end().unwrap().is_ok());
    assert_eq!(read_count, 2, "a message, and the end");
}

/// A session that has got to the end of a closed hub, and its client.
fn lingering() -> (Server, Client) {
    let mut server = Server::new(1 << 20);
    let client = server.connect();
    server.run();
    server.hub.close();
    server.run();
    assert!(client.wire().is_closed);
    (server, client)
}
