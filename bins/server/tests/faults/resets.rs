use std::io::{Read, Write};

use chat_toxic::{End, Plan, Toxics, link};

use crate::util::{Client, message, start};

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
    // The reset may come first.
    let _ = stream.write_all(&sent());
    let mut received = Vec::new();
    assert!(stream.read_to_end(&mut received).is_err(), "it is reset");
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
        let open = server.wait_for_descriptors(descriptor_count).unwrap();
        assert_eq!(open, descriptor_count, "after a reset at {at}");
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
        let open = server.wait_for_descriptors(descriptor_count).unwrap();
        assert_eq!(open, descriptor_count, "after a reset at {at}");
    }
    let received = witness.echo(b"still here");
    assert!(
        received
            .iter()
            .all(|body| [&b"first"[..], b"the second of two"].contains(&&body[..]))
    );
}
