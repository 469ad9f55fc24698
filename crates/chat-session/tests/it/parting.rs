use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chat_hub::{Config, Hub, Policy};
use chat_proto::Messages;
use chat_session::{EndReason, Session, SessionError, Summary};

use crate::util::{messages, numbers};
use crate::wire::{Stream, Wire};

#[test]
fn a_message_is_finished_wherever_the_stream_cut_it() {
    for room in 0..=300 {
        let hub = hub(Policy::Oldest);
        let wire = Wire::with_room(room);
        let mut session = Session::new(Stream(Arc::clone(&wire)), &hub);
        assert!(poll(&mut session).is_none());
        publish(&hub, 0..5);
        assert!(poll(&mut session).is_none());
        session.part();
        check_parted(session, &wire, room);
    }
}

#[test]
fn a_laggard_that_is_disconnected_gets_whole_messages() {
    for room in [0, 1, 50, 99, 100] {
        let hub = hub(Policy::Disconnect);
        let wire = Wire::with_room(room);
        let mut session = Session::new(Stream(Arc::clone(&wire)), &hub);
        assert!(poll(&mut session).is_none());
        publish(&hub, 0..5);
        assert!(poll(&mut session).is_none());
        publish(&hub, 5..800);
        let error = poll(&mut session).unwrap().unwrap_err();
        assert!(matches!(error.reason(), EndReason::Lagged));
        session.part();
        check_parted(session, &wire, room);
    }
}

#[test]
fn a_client_that_stalled_gets_whole_messages() {
    for room in [0, 1, 50, 99, 100] {
        let hub = hub(Policy::Oldest);
        let wire = Wire::with_room(room);
        let session = Session::new(Stream(Arc::clone(&wire)), &hub);
        let mut limited = session.with_stall_timeout(Some(Duration::ZERO), ready_at_once);
        assert!(poll(&mut limited).is_none());
        publish(&hub, 0..5);
        let error = poll(&mut limited).unwrap().unwrap_err();
        assert!(matches!(error.reason(), EndReason::Stalled(_)));
        let mut session = limited.into_inner();
        session.part();
        check_parted(session, &wire, room);
    }
}

#[test]
fn one_that_is_parted_from_is_in_nobodys_way() {
    let hub = hub(Policy::Block);
    let wire = Wire::with_room(50);
    let mut session = Session::new(Stream(Arc::clone(&wire)), &hub);
    assert!(poll(&mut session).is_none());
    publish(&hub, 0..5);
    assert!(poll(&mut session).is_none());
    session.part();
    assert!(poll(&mut session).is_none() && !session.is_stalled());
    // More than the log has room for.
    publish(&hub, 5..800);
    assert_eq!(hub.stats().laggard_count, 0);
    // What it sends is nobody's any more.
    wire.lock().unwrap().incoming.extend(messages(0..5));
    check_parted(session, &wire, 50);
    assert_eq!(hub.stats().published, 800);
}

#[test]
fn a_client_is_known_to_have_half_closed_until_it_has_everything() {
    let hub = hub(Policy::Oldest);
    let wire = Wire::with_room(50);
    let mut session = Session::new(Stream(Arc::clone(&wire)), &hub);
    wire.lock().unwrap().incoming.extend(messages(0..5));
    assert!(poll(&mut session).is_none() && !session.is_half_closed());
    let end = |wire: &Mutex<Wire>| {
        let mut wire = wire.lock().unwrap();
        wire.is_ended = true;
        wire.wake_reader();
    };
    end(&wire);
    assert!(poll(&mut session).is_none() && session.is_half_closed());
    make_room(&wire);
    assert!(poll(&mut session).unwrap().is_ok());
    assert!(!session.is_half_closed());
}

/// Checks that a session whose stream took `room` bytes, from which it parts, writes the rest of a
/// message and nothing more.
#[track_caller]
fn check_parted(mut session: Session<Stream>, wire: &Arc<Mutex<Wire>>, room: usize) {
    let is_inside = !room.is_multiple_of(100);
    assert!(poll(&mut session).is_none());
    assert_eq!(session.is_inside_message(), is_inside);
    assert_eq!(wire.lock().unwrap().is_closed, !is_inside);
    make_room(wire);
    assert!(poll(&mut session).is_none(), "it waits for the client");
    assert!(!session.is_inside_message());
    let mut wire = wire.lock().unwrap();
    let received = numbers(&wire.outgoing);
    assert_eq!(received, Vec::from_iter(0..room.div_ceil(100) as u64));
    assert!(wire.is_closed && !wire.is_unflushed);
    wire.is_ended = true;
    wire.wake_reader();
    drop(wire);
    assert!(poll(&mut session).unwrap().is_ok());
}

fn make_room(wire: &Mutex<Wire>) {
    let mut wire = wire.lock().unwrap();
    wire.room = usize::MAX;
    wire.wake_writer();
}

fn hub(policy: Policy) -> Hub {
    let config = Config::default().with_capacity(16 * 1024);
    config.with_policy(policy).build().unwrap()
}

fn publish(hub: &Hub, numbers: std::ops::Range<u64>) {
    let wire = messages(numbers);
    let (mut messages, _) = Messages::split(&wire);
    let published = hub.publisher().try_publish(&mut messages);
    assert!(published.is_ok(), "{} are left", messages.count());
}

/// Polls a session once; returns how it ended, if it has.
fn poll<S>(session: &mut S) -> Option<Result<Summary, SessionError>>
where
    S: Future<Output = Result<Summary, SessionError>> + Unpin,
{
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(session).poll(&mut cx) {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => None,
    }
}

fn ready_at_once(_: Duration) -> std::future::Ready<()> {
    ready(())
}
