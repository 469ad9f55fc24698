use chat_hub::{Config, TryNextError};
use chat_proto::BODY_LEN_MAX;

use crate::tasks::Order;
use crate::util::{Client, Server, message, messages, numbers};

#[test]
fn a_session_writes_in_turns() {
    let mut server = Server::new(8 << 20);
    let (sender, behind) = (server.connect(), server.connect_with(0));
    let other = server.connect();
    let stream = messages(0..20_000);
    sender.send(&stream);
    server.run();
    // Now the one session has two megabytes to write, and another one has a message to publish.
    behind.receive_with(usize::MAX);
    other.send(&message(1 << 40, 99));
    sender.receive();
    let mut written_len = 0;
    let mut echo_at = None;
    while let Some(task) = server.step() {
        let len = behind.wire().outgoing.len();
        if task == behind.task {
            assert!(len - written_len <= WRITE_LEN, "a turn of {len} bytes");
        }
        written_len = len;
        if echo_at.is_none() && !sender.wire().outgoing.is_empty() {
            echo_at = Some(written_len);
        }
    }
    assert_eq!(written_len, stream.len() + 100);
    assert!(
        echo_at.unwrap() <= 2 * WRITE_LEN,
        "the other's message is written in between"
    );
}

#[test]
fn a_session_reads_in_turns() {
    let mut server = Server::new(8 << 20);
    let client = server.connect();
    client.send(&messages(0..20_000));
    let mut unread_len = client.wire().unread_len();
    while server.step().is_some() {
        let len = client.wire().unread_len();
        assert!(unread_len - len <= READ_LEN);
        unread_len = len;
    }
    assert_eq!(unread_len, 0);
}

#[test]
fn a_session_that_does_not_write_reads_in_turns_too() {
    let mut server = Server::new(8 << 20);
    let client = server.connect_with(0);
    client.send(&messages(0..20_000));
    server.run();
    assert_eq!(server.hub.stats().published, 20_000);
}

#[test]
fn a_session_that_yields_keeps_no_turn_to_publish() {
    let mut server = Server::new(8 << 20);
    let client = server.connect();
    // The last byte that it reads in its turn is in the middle of a message.
    client.wire().read_len_max = READ_LEN - 1;
    client.send(&messages(0..20_000));
    server.step().unwrap();
    assert_eq!(server.hub.stats().published, READ_LEN as u64 / 100);
    server.hub.close();
    let ended = server.hub.subscribe().try_next_batch().unwrap_err();
    assert_eq!(ended, TryNextError::Ended, "nothing more can be published");
}

#[test]
fn a_quiet_client_waits_for_one_part_of_each_flooder() {
    for capacity in [8, 64, 256, 1024].map(|kib| kib * 1024) {
        for flooder_count in [3, 10, 30] {
            for order in [Order::Fifo, Order::Lifo] {
                check_quiet(capacity, flooder_count, order);
            }
        }
    }
}

/// Has a quiet client send a message beside clients that flood, at several moments.
#[track_caller]
fn check_quiet(capacity: usize, flooder_count: u64, order: Order) {
    let case = format!("a log of {capacity} bytes, {flooder_count} flooders, {order:?}");
    let mut server = Server::of(Config::default().with_capacity(capacity), order);
    let quiet = server.connect();
    let flooders: Vec<Client> = (0..flooder_count).map(|_| server.connect()).collect();
    for client in flooders.iter().chain([&quiet]) {
        client.wire().is_sink = true;
    }
    // A session that was never polled stops nobody, and the last in may be first for ever.
    server.run();
    for (flooder, number) in flooders.iter().zip(0..) {
        flooder.flood(&message(number, 60));
    }
    steps(&mut server, 3 * flooder_count);
    let (idle, witness) = (server.connect(), server.connect());
    idle.wire().is_sink = true;
    let mut received_count = server.hub.stats().published;
    for round in 0..ROUND_COUNT {
        // The moment is another one each time.
        steps(&mut server, 8 * flooder_count + round);
        quiet.send(&message(QUIET, 60));
        let mut step_count = 0;
        while server.next() != Some(quiet.task) {
            server.step().unwrap();
            step_count += 1;
            assert!(step_count < 100_000, "{case}: the session is not polled");
        }
        // It cannot wait for what was published before its session was polled.
        received_count += numbers(&witness.receive()).len() as u64;
        let unread_count = server.hub.stats().published - received_count;
        let mut received = Vec::new();
        while !received.contains(&QUIET) {
            steps(&mut server, flooder_count + 4);
            received.extend(numbers(&witness.receive()));
            assert!(received.len() < 200_000, "{case}: starved");
        }
        received_count += received.len() as u64;
        received.drain(..usize::try_from(unread_count).unwrap());
        check_parts(&received, capacity, flooder_count, &case);
    }
    let is_contended = server.hub.stats().waiting_publisher_count > 0;
    assert!(is_contended, "{case}: publishers wait");
}

fn steps(server: &mut Server, count: u64) {
    for _ in 0..count {
        server.step().unwrap();
    }
}

/// Checks that each flooder published one part at most before the quiet client's message.
#[track_caller]
fn check_parts(received: &[u64], capacity: usize, flooder_count: u64, case: &str) {
    let part_len = (capacity / 32).max((capacity / 16).min(16 * 1024)) + BODY_LEN_MAX;
    let before = received.iter().take_while(|&&number| number != QUIET);
    let mut lens = vec![0; usize::try_from(flooder_count).unwrap()];
    for &flooder in before {
        lens[usize::try_from(flooder).unwrap()] += 61;
    }
    let len_max = lens.iter().max().unwrap();
    assert!(
        *len_max <= part_len,
        "{case}: a flooder published {len_max} bytes before it, and a part has {part_len}"
    );
}

/// The number of the quiet client's message.
const QUIET: u64 = u64::MAX;

/// How often the quiet client sends.
const ROUND_COUNT: u64 = 5;

/// How much a session writes in one turn at most, in bytes: a stretch that ends in a segment.
const WRITE_LEN: usize = 256 * 1024 + 64 * 1024;

/// How much a session reads in one turn, in bytes.
const READ_LEN: usize = 128 * 1024;
