use std::sync::Arc;

use chat_session::Session;
use proptest::prelude::*;

use crate::source::Source;
use crate::util::{Client, Server, check_counts, message, messages, numbers};
use crate::wire::{Stream, Wire};

#[test]
fn half_close_waits_until_the_last_message_arrives() {
    let mut pair = Pair::new();
    pair.client.send(&messages([1, 2]));
    pair.client.end_sending();
    pair.other_sends(3);
    assert!(pair.client.end().is_none(), "its messages are on their way");
    pair.source.arrive();
    pair.server.run();
    pair.other_sends(4);
    assert_eq!(numbers(&pair.client.receive()), [3, 1, 2]);
    check_counts(pair.client.end().unwrap().unwrap(), [2, 3, 0]);
    assert!(pair.client.wire().is_closed);
}

#[test]
fn half_close_ends_after_the_own_last_message_told_late() {
    let mut pair = Pair::new();
    pair.server.run();
    pair.client.wire().room = 0;
    pair.source.set(|state| state.tells_end = false);
    pair.client.send(&messages([1, 2]));
    pair.client.end_sending();
    pair.other_sends(3);
    pair.source.arrive();
    // These follow it in the log, and the client has been written none of all that.
    pair.other_sends(4);
    pair.other_sends(5);
    pair.source.set(|state| state.tells_end = true);
    pair.server.run();
    assert!(pair.client.end().is_none());
    pair.client.receive_with(usize::MAX);
    pair.server.run();
    assert_eq!(numbers(&pair.client.receive()), [3, 1, 2]);
    check_counts(pair.client.end().unwrap().unwrap(), [2, 3, 0]);
}

#[test]
fn half_close_ends_at_once_when_more_was_written_already() {
    let mut pair = Pair::new();
    pair.source.set(|state| state.tells_end = false);
    pair.client.send(&messages([1, 2]));
    pair.client.end_sending();
    pair.server.run();
    pair.source.arrive();
    pair.other_sends(3);
    assert!(pair.client.end().is_none(), "it is not told where to end");
    pair.source.set(|state| state.tells_end = true);
    pair.server.run();
    check_counts(pair.client.end().unwrap().unwrap(), [2, 3, 0]);
    pair.other_sends(4);
    assert_eq!(numbers(&pair.client.receive()), [1, 2, 3]);
}

#[test]
fn half_close_goes_on_to_the_end_when_it_is_not_told_where() {
    let mut pair = Pair::new();
    pair.source.set(|state| state.tells_end = false);
    pair.client.send(&messages([1]));
    pair.client.end_sending();
    pair.server.run();
    pair.source.arrive();
    pair.source.set(|state| state.is_closed = true);
    pair.other_sends(2);
    assert!(pair.client.end().is_none());
    pair.other_sends(3);
    pair.server.hub.close();
    pair.server.run();
    assert_eq!(numbers(&pair.client.receive()), [1, 2, 3]);
    check_counts(pair.client.end().unwrap().unwrap(), [1, 3, 0]);
}

#[test]
fn closing_the_hub_ends_a_session_that_is_not_told_where() {
    let mut pair = Pair::new();
    pair.source.set(|state| state.tells_end = false);
    pair.client.send(&messages([1]));
    pair.client.end_sending();
    pair.server.run();
    pair.other_sends(2);
    pair.server.hub.close();
    pair.server.run();
    check_counts(pair.client.end().unwrap().unwrap(), [1, 1, 0]);
}

#[test]
fn only_what_is_promised_room_is_read() {
    let mut pair = Pair::new();
    pair.source.set(|state| state.promise_len = 0);
    pair.client.send(&messages(0..10));
    pair.server.run();
    assert_eq!(pair.client.wire().read_count, 0);
    pair.source.set(|state| {
        state.promise_len = 250;
        state.accept_count = 1;
    });
    pair.server.run();
    assert_eq!(pair.client.wire().taken_len, 250);
    assert_eq!(pair.source.state().accepted.count(), 1);
}

#[test]
fn a_refusal_stops_reading_and_not_writing() {
    let mut pair = Pair::new();
    pair.source.set(|state| state.promise_len = 350);
    pair.source.set(|state| state.accept_count = 2);
    pair.client.send(&messages(0..10));
    pair.server.run();
    pair.source.set(|state| {
        state.is_closed = true;
        state.accept_count = usize::MAX;
    });
    pair.server.run();
    pair.source.arrive();
    pair.other_sends(50);
    // It was promised room for 350 bytes: three messages and a half.
    assert_eq!(numbers(&pair.client.receive()), [0, 1, 2, 50]);
    assert_eq!(pair.client.wire().taken_len, 350);
    assert!(!pair.client.wire().is_closed);
    pair.server.hub.close();
    pair.client.end_sending();
    pair.server.run();
    check_counts(pair.client.end().unwrap().unwrap(), [3, 4, 0]);
}

#[test]
fn what_a_turn_read_is_accepted_though_it_closes_in_between() {
    for len in [READ_LEN / 2, READ_LEN, 2 * READ_LEN] {
        let mut pair = Pair::new();
        pair.source.set(|state| state.accept_count = 3);
        pair.client.send(&messages(0..len as u64 / 100 + 1));
        pair.server.run();
        pair.source.set(|state| {
            state.is_closed = true;
            state.accept_count = usize::MAX;
        });
        pair.server.run();
        let accepted = pair.source.state().accepted.count();
        let taken_len = pair.client.wire().taken_len;
        assert!(taken_len >= len.min(READ_LEN));
        assert_eq!(accepted, taken_len / 100, "{len} bytes were sent");
    }
}

/// What happens to a source and to the client that publishes to it.
#[derive(Clone, Copy, Debug)]
enum Event {
    Send(usize),
    Promise(usize),
    Accept(usize),
    Arrive,
    Run,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1..1000_usize).prop_map(Event::Send),
        (0..600_usize).prop_map(Event::Promise),
        (0..8_usize).prop_map(Event::Accept),
        Just(Event::Arrive),
        Just(Event::Run),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_delay_publishes_the_stream_as_it_was_sent(
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut pair = Pair::new();
        pair.source.set(|state| (state.promise_len, state.accept_count) = (0, 0));
        let stream: Vec<u8> = (0..60_u8)
            .flat_map(|i| message(i.into(), 8 + usize::from(i) * 37 % 248))
            .collect();
        let mut unsent = &stream[..];
        for event in events {
            match event {
                Event::Send(len) => {
                    let (sent, rest) = unsent.split_at(len.min(unsent.len()));
                    pair.client.send(sent);
                    unsent = rest;
                }
                Event::Promise(len) => pair.source.set(|state| state.promise_len = len),
                Event::Accept(count) => pair.source.set(|state| state.accept_count = count),
                Event::Arrive => pair.source.arrive(),
                Event::Run => pair.server.run(),
            }
        }
        pair.client.send(unsent);
        pair.client.end_sending();
        pair.source.set(|state| (state.promise_len, state.accept_count) = (usize::MAX, usize::MAX));
        pair.server.run();
        pair.source.arrive();
        pair.server.run();
        let accepted = std::mem::take(&mut pair.source.state().accepted);
        prop_assert!(accepted.as_messages().as_bytes() == stream, "not the stream that was sent");
        prop_assert!(pair.client.receive() == stream, "not the stream that was sent");
        let summary = pair.client.end().unwrap().unwrap();
        prop_assert_eq!((summary.published, summary.delivered, summary.dropped), (60, 60, 0));
    }
}

/// A client that publishes to a source, and one that publishes to the hub.
struct Pair {
    server: Server,
    source: Source,
    client: Client,
    other: Client,
}

impl Pair {
    fn new() -> Self {
        let mut server = Server::new(1 << 20);
        let source = Source::new(&server.hub);
        let wire = Wire::with_room(usize::MAX);
        let stream = Stream(Arc::clone(&wire));
        let session = Session::with_publisher(stream, server.hub.subscribe(), source.clone());
        let client = server.serve(wire, session);
        let other = server.connect();
        Self {
            server,
            source,
            client,
            other,
        }
    }

    fn other_sends(&mut self, number: u64) {
        self.other.send(&messages([number]));
        self.server.run();
    }
}

/// How much a session reads in one turn, in bytes, as the crate's documentation has it.
const READ_LEN: usize = 128 * 1024;
