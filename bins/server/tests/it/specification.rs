//! The names of the tests begin with the number of the line that they are about.

use std::collections::HashSet;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::ending::{join_with_small_buffer, say};
use crate::util::{Client, DEADLINE, Server};

#[test]
fn line_1_the_server_takes_an_address_and_runs_on() {
    let mut server = Server::start();
    drop(server.join(b"hello"));
    server.assert_serves();
}

#[test]
fn line_2_the_ready_line_is_all_that_goes_to_stdout() {
    let server = Server::start_with(&["--log", "trace"]);
    assert_ne!(server.address.port(), 0, "the real port");
    drop(server.join(b"hello"));
    server.signal(Signal::TERM);
    let (status, printed) = server.wait();
    assert!(status.success());
    assert_eq!(printed, "");
}

#[test]
fn line_3_bodies_of_every_length_pass_unchanged() {
    let server = Server::start();
    let mut client = server.join(b"hello");
    for len in 0..=255_u8 {
        let body: Vec<u8> = (0..len).map(|i| i.wrapping_mul(len)).collect();
        client.send(&body);
        assert_eq!(client.receive(), body);
    }
}

#[test]
fn line_4_every_message_goes_to_all_clients_its_sender_included() {
    let server = Server::start();
    let mut clients: Vec<Client> = (0..10_u8).map(|i| server.join(&[i])).collect();
    clients[3].send(b"to all");
    for client in &mut clients {
        while client.receive() != b"to all" {}
    }
}

#[test]
fn line_5_there_is_one_order_and_it_keeps_each_senders() {
    let server = Server::start();
    let clients: Vec<Client> = (0..4_u8).map(|i| server.join(&[b'j', i])).collect();
    let receiving = clients.into_iter().enumerate().map(|(index, mut client)| {
        thread::spawn(move || {
            for number in 0..500_u16 {
                client.send(&[&[b'm', index as u8][..], &number.to_be_bytes()].concat());
            }
            client.end_sending();
            client
                .receive_all()
                .into_iter()
                .filter(|body| body[0] == b'm')
                .collect::<Vec<_>>()
        })
    });
    let received: Vec<Vec<Vec<u8>>> = receiving
        .collect::<Vec<_>>()
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    // Each stops after its own last message, so all are beginnings of the longest: they agree on
    // the order.
    let longest = received.iter().max_by_key(|bodies| bodies.len()).unwrap();
    assert_eq!(longest.len(), 2000);
    for bodies in &received {
        assert!(longest.starts_with(bodies), "one order for all");
    }
    for index in 0..4 {
        assert!(longest.iter().filter(|body| body[1] == index).is_sorted());
    }
}

#[test]
fn line_5_an_answer_stands_after_what_it_answers() {
    let server = Server::start();
    let (mut first, mut second, mut witness) =
        (server.join(b"1"), server.join(b"2"), server.join(b"3"));
    for round in 0..500_u16 {
        let [high, low] = round.to_be_bytes();
        first.send(&[b'q', high, low]);
        while second.receive() != [b'q', high, low] {}
        second.send(&[b'a', high, low]);
        while first.receive() != [b'a', high, low] {}
    }
    for round in 0..500_u16 {
        let [high, low] = round.to_be_bytes();
        assert_eq!(
            [witness.receive(), witness.receive()],
            [[b'q', high, low], [b'a', high, low]]
        );
    }
}

#[test]
fn line_6_a_client_that_never_reads_keeps_its_connection_and_delays_nobody() {
    let server = Server::start();
    let mut stalled = server.join(b"stalled");
    let mut client = server.join(b"client");
    // Four times the log, so the stalled client must lose messages.
    let start = Instant::now();
    for first in (0..130_000_u32).step_by(100) {
        for number in first..first + 100 {
            client.send(&[&number.to_be_bytes()[..], &[b'x'; 250]].concat());
        }
        for number in first..first + 100 {
            assert_eq!(
                client.receive()[..4],
                number.to_be_bytes(),
                "a client that reads loses nothing"
            );
        }
        assert!(
            start.elapsed() < 4 * DEADLINE,
            "a stalled client delays others"
        );
    }
    stalled.end_sending();
    let received = numbers(&stalled.receive_all(), 254);
    assert!(
        received.len() < 130_000,
        "a log and two sockets do not hold everything"
    );
    assert!(
        received.is_sorted(),
        "what it gets is in order, and whole messages"
    );
    let distinct: HashSet<_> = received.iter().collect();
    assert_eq!(distinct.len(), received.len(), "nothing comes twice");
}

/// Returns the numbers that bodies of `len` bytes begin with.
fn numbers(bodies: &[Vec<u8>], len: usize) -> Vec<u32> {
    let numbered = bodies.iter().filter(|body| body.len() == len);
    numbered
        .map(|body| u32::from_be_bytes(body[..4].try_into().unwrap()))
        .collect()
}

#[test]
fn line_7_a_client_misses_nothing_after_its_own_first_message() {
    let server = Server::start();
    let mut talker = server.join(b"talker");
    let talking = thread::spawn(move || {
        for number in 0..10_000_u32 {
            talker.send(&number.to_be_bytes());
            while talker.receive() != number.to_be_bytes() {}
        }
    });
    while !talking.is_finished() {
        let mut client = server.connect();
        client.send(b"first");
        while client.receive() != b"first" {}
        let mut bodies = Vec::new();
        for _ in 0..20 {
            client.send(b"another tick");
            bodies.extend(
                std::iter::repeat_with(|| client.receive())
                    .take_while(|body| body != b"another tick"),
            );
        }
        let numbers = numbers(&bodies, 4);
        assert!(
            numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "a gap in {numbers:?}"
        );
    }
    talking.join().unwrap();
}

#[test]
fn line_8_an_unfinished_message_is_discarded() {
    let server = Server::start();
    let mut witness = server.join(b"witness");
    let mut client = server.connect();
    client.send_raw(b"\x05whole\x09unfin");
    client.end_sending();
    assert_eq!(client.receive_all(), [b"whole"]);
    server.join(b"after");
    assert_eq!([witness.receive(), witness.receive()], [b"whole", b"after"]);
}

#[test]
fn line_9_half_close_delivers_the_clients_own_last_message_and_closes() {
    let server = Server::start();
    let descriptor_count = server.descriptor_count();
    let mut client = server.connect();
    for number in 0..1000_u16 {
        client.send(&number.to_be_bytes());
    }
    client.end_sending();
    let received = client.receive_all();
    assert_eq!(
        received,
        (0..1000_u16)
            .map(|number| number.to_be_bytes().to_vec())
            .collect::<Vec<_>>()
    );
    server.wait_for_descriptors(descriptor_count);
}

#[test]
fn line_9_a_client_that_vanishes_leaves_no_socket_behind() {
    let server = Server::start();
    let descriptor_count = server.descriptor_count();
    for _ in 0..50 {
        drop(server.connect());
        drop(server.join(b"here and gone"));
    }
    server.wait_for_descriptors(descriptor_count);
}

#[test]
fn line_10_a_signal_ends_the_server_in_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Server::start();
        let mut clients: Vec<Client> = (0..5_u8).map(|i| server.join(&[i])).collect();
        clients[0].send(&[b'x'; 200]);
        while clients[0].receive() != [b'x'; 200] {}
        server.signal(signal);
        for client in &mut clients {
            assert_eq!(
                client
                    .receive_all()
                    .last()
                    .map_or(&[b'x'; 200][..], Vec::as_slice),
                [b'x'; 200]
            );
        }
        drop(clients);
        let (status, _) = server.wait();
        assert_eq!(status.code(), Some(0), "{signal:?}");
    }
}

#[test]
fn line_10_what_is_in_the_log_is_delivered_within_the_deadline() {
    let server = Server::start();
    let mut sender = server.join(b"sender");
    let mut slow = server.join(b"slow");
    // More than two sockets hold, less than the log.
    for number in 0..30_000_u32 {
        sender.send(&[&number.to_be_bytes()[..], &[b'x'; 196]].concat());
        if number % 100 == 99 {
            while sender.receive()[..4] != number.to_be_bytes() {}
        }
    }
    server.signal(Signal::TERM);
    let numbers = numbers(&slow.receive_all(), 200);
    assert_eq!(numbers, (0..30_000).collect::<Vec<_>>());
    drop((slow, sender));
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn line_10_a_second_signal_ends_the_server_at_once() {
    let server = Server::start_with(&["--drain-timeout", "1000"]);
    // There is more for it than the system takes, so the server would not end by itself.
    let _stalled = join_with_small_buffer(&server);
    say(&mut server.join(b"sender"), 2000);
    let status = server.signal_until_end(Signal::TERM);
    assert_eq!(status.code(), Some(128 + 15));
}
