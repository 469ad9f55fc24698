use std::io::{Read, Write};
use std::num::NonZeroU64;
use std::thread;
use std::time::Duration;

use chat_toxic::{Plan, Toxics, link};
use rustix::process::Signal;

use crate::util::{Client, message, start};

/// A direction that lets a byte through in a second.
fn byte_a_second() -> Toxics {
    Toxics {
        slices: Some(1..=1),
        rate: NonZeroU64::new(1),
        ..Toxics::default()
    }
}

#[test]
fn a_sender_of_a_byte_a_second_is_heard_and_nobody_waits() {
    let server = start(&[]);
    let mut witness = Client::join(server.addr(), b"witness");
    let plan = Plan {
        to_server: byte_a_second(),
        ..Plan::default()
    };
    let (mut slow, _link) = link(server.addr(), &plan).unwrap();
    slow.write_all(&message(b"slow")).unwrap();
    let mut heard_after = 0;
    loop {
        let received = witness.echo(b"quick");
        if !received.is_empty() {
            assert_eq!(received, [b"slow"]);
            break;
        }
        heard_after += 1;
    }
    // Its five bytes take four seconds; a chat goes on meanwhile, even on a machine that is busy.
    assert!(heard_after > 5, "{heard_after} messages came before it");
}

#[test]
fn a_reader_of_a_byte_a_second_keeps_nobody_from_the_chat() {
    let server = start(&["--log-bytes=65536"]);
    let plan = Plan {
        to_client: byte_a_second(),
        ..Plan::default()
    };
    let (mut slow, slow_link) = link(server.addr(), &plan).unwrap();
    slow.write_all(&message(b"s")).unwrap();
    let mut received = [0; 2];
    slow.read_exact(&mut received).unwrap();
    assert_eq!(received, *b"\x01s");
    let mut talker = Client::join(server.addr(), b"talker");
    // Forty times the log and more than all buffers.
    let mut sending = talker.stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        let burst = message(&[b'x'; 255]).repeat(100);
        for _ in 0..100 {
            sending.write_all(&burst).unwrap();
        }
    });
    for _ in 0..10_000 {
        assert_eq!(talker.receive(), [b'x'; 255]);
    }
    writer.join().unwrap();
    // It goes on reading.
    slow.read_exact(&mut received).unwrap();
    assert_eq!(received, *b"\x06t");
    assert!(slow_link.forwarded().1 < 100);
    let descriptor_count = server.descriptor_count().unwrap();
    drop((slow, slow_link));
    let open = server.wait_for_descriptors(descriptor_count - 1).unwrap();
    assert_eq!(open, descriptor_count - 1);
    talker.echo(b"still here");
}

#[test]
fn a_server_that_did_not_run_for_seconds_loses_nothing() {
    let server = start(&["--drop-policy=block"]);
    let mut clients = [&b"a"[..], b"b"].map(|hello| Client::join(server.addr(), hello));
    server.signal(Signal::STOP);
    for number in 0..100_u8 {
        clients[usize::from(number % 2)].send(&[1, number]);
    }
    // Who connects now waits, and who leaves now has been there.
    let mut leaver = Client::of(std::net::TcpStream::connect(server.addr()).unwrap());
    leaver.send(b"leaver");
    drop(leaver);
    thread::sleep(Duration::from_secs(3));
    server.signal(Signal::CONT);
    let [one, two] = &mut clients;
    for sent in [&mut *one, &mut *two] {
        sent.send(b"last");
    }
    let received = [one, two].map(|client| {
        let mut lasts = 0;
        let all = std::iter::from_fn(|| {
            let body = client.receive();
            lasts += usize::from(body == b"last");
            (lasts < 2).then_some(body)
        });
        all.filter(|body| body.first() == Some(&1))
            .collect::<Vec<_>>()
    });
    assert_eq!(received[0].len(), 100);
    assert_eq!(received[0], received[1]);
    for sender in 0..2 {
        let numbers = received[0]
            .iter()
            .map(|body| body[1])
            .filter(|number| number % 2 == sender);
        assert!(numbers.is_sorted());
    }
}
