use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server for one client after the other, and a link to it whose events arrive as words.
struct Pair {
    listener: TcpListener,
    stream: TcpStream,
    link: Link,
    events: Receiver<String>,
}

impl Pair {
    fn new(reconnect: Reconnect) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        let (sender, events) = channel();
        let options = LinkOptions {
            backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(5)),
            reconnect,
            ..LinkOptions::default()
        };
        let link = Link::connect(&[address], options, move |event| {
            for words in in_words(&event) {
                // The test may be over.
                let _ = sender.send(words);
            }
        });
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let pair = Self {
            listener,
            stream,
            link: link.unwrap(),
            events,
        };
        pair.expect("connected");
        pair
    }

    fn send(&self, body: &[u8]) -> Result<(), SendError> {
        self.link.send(Body::new(body).unwrap())
    }

    /// Reads messages at the server.
    #[track_caller]
    fn read(&mut self, wire: &[u8]) {
        let mut buf = vec![0; wire.len()];
        self.stream.read_exact(&mut buf).unwrap();
        assert_eq!(buf, wire);
    }

    #[track_caller]
    fn expect(&self, words: &str) {
        assert_eq!(self.events.recv_timeout(DEADLINE).unwrap(), words);
    }
}

fn in_words(event: &Event<'_>) -> Vec<String> {
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    match event {
        Event::Connected { .. } => vec!["connected".to_owned()],
        Event::Received(received) => received
            .iter()
            .map(|(body, echo)| {
                let whose = if echo.is_some() { "own" } else { "other" };
                format!("{whose} {}", text(body.as_bytes()))
            })
            .collect(),
        Event::Lost { count } => vec![format!("lost {count}")],
        Event::Overdue { .. } => vec!["overdue".to_owned()],
        Event::Disconnected {
            error,
            unreturned,
            retry_in,
        } => {
            let bodies: Vec<_> = unreturned.iter().map(|body| text(body)).collect();
            let again = if retry_in.is_some() { "again" } else { "end" };
            vec![format!("{error}: {} {again}", bodies.join(" "))]
        }
        Event::Failed { .. } => vec![],
    }
}

#[test]
fn own_messages_are_known_among_those_of_others() {
    let mut pair = Pair::new(Reconnect::Always);
    pair.send(b"a").unwrap();
    pair.send(b"").unwrap();
    pair.read(b"\x01a\0");
    pair.stream.write_all(b"\x01b\x01a\0\0").unwrap();
    for words in ["other b", "own a", "own ", "other "] {
        pair.expect(words);
    }
    assert_eq!(pair.link.under_way(9), (0, vec![]));
    assert_eq!(pair.link.finish(DEADLINE), 0);
}

#[test]
fn a_lost_connection_is_made_again_and_names_what_did_not_come_back() {
    let mut pair = Pair::new(Reconnect::Always);
    pair.send(b"a").unwrap();
    pair.send(b"b").unwrap();
    pair.read(b"\x01a\x01b");
    assert_eq!(pair.link.under_way(1), (2, vec![b"a".to_vec()]));
    pair.stream.write_all(b"\x01a").unwrap();
    pair.expect("own a");
    (pair.stream, _) = {
        drop(pair.stream);
        pair.listener.accept().unwrap()
    };
    pair.expect("the server closed the connection: b again");
    pair.expect("connected");
    assert!(pair.link.is_connected());
    // It may still come: it was sent.
    pair.stream.write_all(b"\x01b").unwrap();
    pair.expect("own b");
    pair.send(b"c").unwrap();
    pair.read(b"\x01c");
}

#[test]
fn a_link_that_is_not_to_come_back_ends() {
    let pair = Pair::new(Reconnect::Never);
    drop(pair.stream);
    let expected = "the server closed the connection:  end";
    assert_eq!(pair.events.recv_timeout(DEADLINE).unwrap(), expected);
    assert!(pair.events.recv_timeout(DEADLINE).is_err());
    let body = Body::new(b"late").unwrap();
    assert_eq!(pair.link.send(body), Err(SendError::NotConnected));
    // Unless it is asked to.
    let mut pair = Pair::new(Reconnect::Never);
    pair.link.reconnect();
    (pair.stream, _) = pair.listener.accept().unwrap();
    pair.expect("as asked for:  again");
    pair.expect("connected");
}

#[test]
fn what_is_under_way_is_bounded() {
    let pair = Pair::new(Reconnect::Always);
    let sent = (0..)
        .take_while(|_| pair.send(&[b'x'; 255]).is_ok())
        .count();
    assert_eq!(sent, Link::UNDER_WAY_LEN_MAX / 256);
    assert_eq!(pair.send(&[b'x'; 255]), Err(SendError::Full));
    assert_eq!(pair.link.finish(Duration::ZERO), sent as u64);
}

#[test]
fn messages_that_were_passed_over_are_lost_after_a_while() {
    let mut pair = Pair::new(Reconnect::Always);
    for body in [b"a", b"b", b"c"] {
        pair.send(body).unwrap();
    }
    pair.read(b"\x01a\x01b\x01c");
    pair.stream.write_all(b"\x01c").unwrap();
    pair.expect("own c");
    pair.stream.write_all(b"\x01a").unwrap();
    pair.expect("own a");
    pair.expect("lost 1");
}

#[test]
fn a_message_that_does_not_come_back_is_overdue_once() {
    let mut pair = Pair::new(Reconnect::Always);
    pair.send(b"a").unwrap();
    pair.expect("overdue");
    pair.stream.write_all(b"\x01b\x01a").unwrap();
    pair.expect("other b");
    pair.expect("own a");
}

#[test]
fn a_dropped_link_ends_its_connection() {
    let mut pair = Pair::new(Reconnect::Always);
    drop(pair.link);
    assert_eq!(pair.stream.read(&mut [0]).unwrap(), 0);
    assert!(pair.events.recv_timeout(DEADLINE).is_err());
}

#[test]
fn a_server_that_is_full_is_left_for_the_next() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [&listeners[0], &listeners[1]]
        .map(|listener| Address::from(listener.local_addr().unwrap()));
    let [full, free] = addresses.clone();
    let (sender, events) = channel();
    // A wait would be longer than the test.
    let backoff = Backoff::new(DEADLINE * 10, DEADLINE * 10);
    let options = LinkOptions {
        backoff,
        ..LinkOptions::default()
    };
    let link = Link::connect(&addresses, options, move |event| {
        // The test may be over.
        let _ = sender.send(match event {
            Event::Connected { address } => format!("connected to {address}"),
            Event::Disconnected { retry_in, .. } => format!("lost, again in {retry_in:?}"),
            event => format!("{event:?}"),
        });
    });
    let _link = link.unwrap();
    drop(listeners[0].accept().unwrap());
    let _served = listeners[1].accept().unwrap();
    for expected in [
        format!("connected to {full}"),
        "lost, again in Some(0ns)".to_owned(),
        format!("connected to {free}"),
    ] {
        assert_eq!(events.recv_timeout(DEADLINE).unwrap(), expected);
    }
}

#[test]
fn an_address_that_does_not_answer_is_passed_over_and_told_of() {
    let taken = taken_address();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let (sender, events) = channel();
    let addresses = [taken.1.clone(), address.clone()];
    let link = Link::connect(&addresses, LinkOptions::default(), move |event| {
        // The test may be over.
        let _ = sender.send(match event {
            Event::Connected { address } => format!("connected to {address}"),
            Event::Failed { error, .. } => error.to_string(),
            event => format!("{event:?}"),
        });
    });
    let _link = link.unwrap();
    let failure = events.recv_timeout(DEADLINE).unwrap();
    let expected = format!("cannot connect to {}: ", taken.1);
    assert!(failure.starts_with(&expected), "{failure}");
    let connected = events.recv_timeout(DEADLINE).unwrap();
    assert_eq!(connected, format!("connected to {address}"));
}

#[test]
fn when_no_address_answers_each_is_named() {
    let (first, second) = (taken_address(), taken_address());
    let addresses = [first.1, second.1];
    let error = Link::connect(&addresses, LinkOptions::default(), |_| ()).unwrap_err();
    let error = error.to_string();
    for address in addresses {
        assert!(
            error.contains(&format!("cannot connect to {address}: ")),
            "{error}"
        );
    }
}

/// An address where nobody listens, and what keeps others from listening there.
fn taken_address() -> (TcpStream, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let address = Address::from(taken.local_addr().unwrap());
    (taken, address)
}
