use std::io::{Read, Write};

use chat_toxic::{End, Plan, Toxics, link};

use crate::util::{Client, assert_given_back, message, start};

/// What a client sends whose connection is reset: a message, and another that is longer than a
/// slice.
fn sent() -> Vec<u8> {
    let mut sent = message(b"first");
    sent.extend(message(b"the second of two"));
    sent
}

/// Connects through a proxy, sends, and reads until the reset.
fn talk(addr: std::net::SocketAddr, plan: &Plan) {
    let (mut stream, link) = link(addr, plan).unwrap();
    // The system tells of a reset once, and it may come before all is written.
    let written = stream.write_all(&sent());
    let read = stream.read_to_end(&mut Vec::new());
    assert!(written.is_err() || read.is_err(), "it is reset");
    link.join();
}

#[test]
fn a_reset_at_any_byte_sent_forwards_whole_messages_alone() {
    let server = start(&[]);
    let mut witness = Client::join(server.addr(), b"witness");
    let descriptor_count = server.descriptor_count().unwrap();
    for at in 0..=sent().len() as u64 {
        let to_server = Toxics {
            end: End::Reset { at },
            ..Toxics::default()
        };
        talk(
            server.addr(),
            &Plan {
                to_server,
                ..Plan::default()
            },
        );
        assert_given_back(&server, descriptor_count);
        // A reset may overtake what was sent before it, whole or not.
        let received = witness.echo(b"still here");
        let whole = [&b"first"[..], b"the second of two"];
        let (starts, count) = ([0, 6, sent().len() as u64], received.len());
        assert!(count <= 2 && starts[count] <= at, "{count} of {at} bytes");
        assert!(received.iter().zip(whole).all(|(is, should)| is == should));
    }
}

#[test]
fn a_reset_at_any_byte_received_harms_nobody() {
    let server = start(&[]);
    let mut witness = Client::join(server.addr(), b"witness");
    let descriptor_count = server.descriptor_count().unwrap();
    for at in 0..sent().len() as u64 {
        let to_client = Toxics {
            end: End::Reset { at },
            ..Toxics::default()
        };
        talk(
            server.addr(),
            &Plan {
                to_client,
                ..Plan::default()
            },
        );
        assert_given_back(&server, descriptor_count);
    }
    let received = witness.echo(b"still here");
    assert!(
        received
            .iter()
            .all(|body| [&b"first"[..], b"the second of two"].contains(&&body[..]))
    );
}
