use std::io::Write;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::util::{Client, Server};

/// Sends so many messages of a length at once, and receives them all; returns how long it took.
#[track_caller]
pub(crate) fn send_and_receive(client: &mut Client, count: usize, body_len: u8) -> Duration {
    let mut message = vec![b'm'; 1 + usize::from(body_len)];
    message[0] = body_len;
    let flood = message.repeat(count);
    let mut sending = client.stream.try_clone().unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || sending.write_all(&flood).unwrap());
        for number in 0..count {
            assert_eq!(client.receive(), message[1..], "message {number}");
        }
    });
    start.elapsed()
}

#[test]
fn messages_come_at_the_rate_and_none_is_lost() {
    let server = Server::start_with(&["--rate-messages", "100"]);
    let mut client = server.connect();
    // A hundred at once, and the others in two seconds.
    let elapsed = send_and_receive(&mut client, 300, 1);
    assert!(elapsed >= Duration::from_millis(1900), "{elapsed:?}");
}

#[test]
fn bytes_come_at_the_rate_and_none_is_lost() {
    let server = Server::start_with(&["--rate-bytes", "256KiB"]);
    let mut client = server.connect();
    // 768 KiB, of which a third may come at once.
    let elapsed = send_and_receive(&mut client, 3 * 1024, 255);
    assert!(elapsed >= Duration::from_millis(1900), "{elapsed:?}");
}

#[test]
fn a_throttled_client_that_half_closes_gets_everything() {
    let server = Server::start_with(&["--rate-messages", "50"]);
    let mut client = server.connect();
    let bodies: Vec<_> = (0..120_u8).map(|number| vec![number]).collect();
    for body in &bodies {
        client.send(body);
    }
    client.end_sending();
    assert_eq!(client.receive_all(), bodies);
}

#[test]
fn a_throttled_client_is_in_nobodys_way() {
    let server = Server::start_with(&["--rate-messages", "1", "--drop-policy", "block"]);
    let mut throttled = server.connect();
    let flood = b"\x01m".repeat(10_000);
    throttled.send_raw(&flood);
    // All of it would take hours.
    let mut other = server.join(b"hello");
    for _ in 0..2 {
        other.send(b"again");
        while other.receive() != b"again" {}
    }
    // Nor is the end of the server.
    assert!(server.end().is_empty());
}

#[test]
fn all_clients_together_come_at_the_budget() {
    let server = Server::start_with(&["--ingress-rate", "256KiB"]);
    let start = Instant::now();
    let clients = [0, 1, 2].map(|_| server.connect());
    let lens = thread::scope(|scope| {
        let receive_own = |mut client: Client| {
            scope.spawn(move || {
                // 256 KiB of each; all are to come to everybody who stays.
                let flood = [b"\xff".as_slice(), &[b'm'; 255]].concat().repeat(1024);
                client.stream.write_all(&flood).unwrap();
                client.end_sending();
                client.receive_all().len()
            })
        };
        let receiving = clients.map(receive_own);
        receiving.map(|receiving: ScopedJoinHandle<'_, usize>| receiving.join().unwrap())
    });
    // The last of them got every message of its own at least, after what the budget takes for all
    // but the burst and what is read before it is paid.
    assert!(lens.iter().all(|len| *len >= 1024), "{lens:?}");
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(1700), "{elapsed:?}");
}
