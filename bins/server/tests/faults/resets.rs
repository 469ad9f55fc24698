use std::io::{Read, Write};

use chat_faults::Target;
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
    // The reset may come first, and the system tells of it once, whoever asks.
    let is_told = stream.write_all(&sent()).is_err();
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    assert!(is_told || read.is_err(), "it is reset");
    link.join();
}

/// Waits until the server has forgotten all who have left. Until it accepts a connection it has no
/// descriptor of it, so one that came later has to be accepted first.
#[track_caller]
fn settle(server: &Target, descriptor_count: usize) {
    let _later = Client::join(server.addr(), LATER);
    let open = server.wait_for_descriptors(descriptor_count + 1).unwrap();
    assert_eq!(open, descriptor_count + 1);
}

/// What the client sends that came later.
const LATER: &[u8] = b"later";

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
        settle(&server, descriptor_count);
        // A reset may overtake what was sent before it, whole or not.
        let mut received = witness.echo(b"still here");
        received.retain(|body| body != LATER);
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
        settle(&server, descriptor_count);
    }
    let received = witness.echo(b"still here");
    let sent = [LATER, b"first", b"the second of two"];
    assert!(received.iter().all(|body| sent.contains(&&body[..])));
}
