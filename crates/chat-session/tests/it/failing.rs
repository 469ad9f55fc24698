use std::error::Error;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chat_hub::{Config, Hub, Policy};
use chat_proto::Messages;
use chat_session::{EndReason, Session, SessionError, Summary};

use crate::source::Source;
use crate::util::{check_counts, messages};
use crate::wire::{Stream, Wire};

#[test]
fn a_session_that_could_not_read_is_in_nobodys_way() {
    check_harmless(Policy::Oldest, |_, wire| {
        wire.lock().unwrap().is_reset = true;
        |reason| matches!(reason, EndReason::Read(_))
    });
}

#[test]
fn a_session_that_could_not_write_is_in_nobodys_way() {
    check_harmless(Policy::Oldest, |hub, wire| {
        publish(hub, 1);
        wire.lock().unwrap().is_reset = true;
        |reason| matches!(reason, EndReason::Write(_))
    });
}

#[test]
fn a_session_that_was_disconnected_is_in_nobodys_way() {
    check_harmless(Policy::Disconnect, |hub, wire| {
        wire.lock().unwrap().room = 0;
        publish(hub, 1);
        |reason| matches!(reason, EndReason::Lagged)
    });
}

#[test]
fn a_session_that_stalled_is_in_nobodys_way() {
    // Under this policy it would stop everybody.
    check_harmless(Policy::Block, |hub, wire| {
        wire.lock().unwrap().room = 0;
        publish(hub, 1);
        |reason| matches!(reason, EndReason::Stalled(_))
    });
}

#[test]
fn a_session_whose_subscription_was_ended_waits_for_no_turn() {
    let hub = hub(Policy::Oldest);
    let mut slow = hub.subscribe();
    assert!(slow.poll_batch(&mut noop()).is_pending());
    let wire = Wire::with_room(usize::MAX);
    wire.lock().unwrap().incoming.extend(messages(0..800));
    let subscriber = hub.subscribe();
    let (start, ender) = (subscriber.position(), subscriber.ender());
    let stream = Stream(Arc::clone(&wire));
    let mut session = Session::with_publisher(stream, subscriber, hub.publisher());
    assert!(poll(&mut session).is_none());
    assert_eq!(hub.stats().waiting_publisher_count, 1);
    ender.end_at(start);
    assert!(poll(&mut session).is_none(), "the client has yet to close");
    assert!(wire.lock().unwrap().is_closed);
    assert_eq!(hub.stats().waiting_publisher_count, 0);
}

#[test]
fn a_session_that_failed_waits_for_no_turn() {
    let hub = hub(Policy::Oldest);
    let mut slow = hub.subscribe();
    assert!(slow.poll_batch(&mut noop()).is_pending());
    let wire = Wire::with_room(usize::MAX);
    wire.lock().unwrap().incoming.extend(messages(0..800));
    let mut session = Session::new(Stream(Arc::clone(&wire)), &hub);
    assert!(poll(&mut session).is_none());
    assert_eq!(hub.stats().waiting_publisher_count, 1);
    let published = hub.stats().published;
    wire.lock().unwrap().is_reset = true;
    // It is told by what it has to write that the client is gone.
    drop(slow);
    let error = poll(&mut session)
        .expect("the stream was reset")
        .unwrap_err();
    assert_eq!(hub.stats().waiting_publisher_count, 0);
    assert!(error.summary().published >= published);
    publish(&hub, 800);
}

#[test]
fn a_session_prints_no_body() {
    let hub = hub(Policy::Oldest);
    let source = Source::new(&hub);
    let wire = Wire::with_room(1);
    let stream = Stream(Arc::clone(&wire));
    let mut session = Session::with_publisher(stream, hub.subscribe(), source.clone());
    // The stream takes a part of the first message, and the session owes it the rest.
    let (mut owed, _) = Messages::split(b"\x0c secret body");
    hub.publisher().try_publish(&mut owed).unwrap();
    assert!(poll(&mut session).is_none());
    check_prints_no_body(&session);
    // This one is accepted by nobody, and the one after it has only begun to arrive.
    source.set(|state| state.accept_count = 0);
    let received = b"\x0c secret body\x0c secret bo";
    wire.lock().unwrap().incoming.extend(received);
    wire.lock().unwrap().wake_reader();
    assert!(poll(&mut session).is_none());
    assert_eq!(wire.lock().unwrap().unread_len(), 0);
    check_prints_no_body(&session);
    let limited = session.with_stall_timeout(Some(Duration::MAX), sleep);
    check_prints_no_body(&limited);
}

#[track_caller]
fn check_prints_no_body(session: &dyn std::fmt::Debug) {
    for printed in [format!("{session:?}"), format!("{session:#?}")] {
        assert!(printed.contains("Session"), "{printed}");
        for body in ["secret", "115, 101, 99", "0x73", "\\x73"] {
            assert!(!printed.contains(body), "{printed}");
        }
        let lines: String = printed.split_whitespace().collect();
        assert!(!lines.contains("115,101,99"), "{printed}");
    }
}

#[test]
fn a_session_gives_its_stream() {
    let hub = hub(Policy::Oldest);
    let wire = Wire::with_room(usize::MAX);
    let session = Session::new(Stream(Arc::clone(&wire)), &hub);
    assert!(Arc::ptr_eq(&session.get_ref().0, &wire));
    let limited = session.with_stall_timeout(None, sleep);
    assert!(Arc::ptr_eq(&limited.get_ref().get_ref().0, &wire));
    let session = limited.into_inner();
    assert_eq!(hub.stats().subscriber_count, 1);
    assert!(Arc::ptr_eq(&session.into_inner().0, &wire));
    assert_eq!(hub.stats().subscriber_count, 0);
}

#[test]
fn a_session_without_its_limit_goes_on() {
    let hub = hub(Policy::Oldest);
    let wire = Wire::with_room(usize::MAX);
    let session = Session::new(Stream(Arc::clone(&wire)), &hub);
    let mut limited = session.with_stall_timeout(Some(Duration::ZERO), sleep);
    assert!(poll(&mut limited).is_none());
    wire.lock().unwrap().room = 0;
    publish(&hub, 1);
    let mut session = limited.into_inner();
    assert!(poll(&mut session).is_none());
    assert!(session.is_stalled());
    check_counts(session.summary(), [0, 0, 0]);
}

#[test]
fn a_session_tells_what_it_has_done_so_far() {
    let hub = hub(Policy::Oldest);
    publish(&hub, 3);
    let wire = Wire::with_room(150);
    let mut session = Session::new(Stream(Arc::clone(&wire)), &hub);
    check_counts(session.summary(), [0, 0, 0]);
    wire.lock().unwrap().incoming.extend(messages([3, 4]));
    assert!(poll(&mut session).is_none());
    assert!(poll(&mut session).is_none());
    check_counts(session.summary(), [2, 2, 0]);
    assert!(session.is_stalled());
    assert_eq!(session.written(), 150);
}

#[test]
fn an_error_prints_its_source_only_as_its_source() {
    let hub = hub(Policy::Oldest);
    let wire = Wire::with_room(usize::MAX);
    let mut session = Session::new(Stream(Arc::clone(&wire)), &hub);
    wire.lock().unwrap().read_errors = vec![ErrorKind::ConnectionReset];
    let error = poll(&mut session).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "cannot read from the client");
    assert_eq!(error.reason().to_string(), error.to_string());
    let source = error.source().expect("the stream said why");
    assert_eq!(source.to_string(), "connection reset");
    let source = source.downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), ErrorKind::ConnectionReset);
    assert!(source.source().is_none(), "the source is told once");
    assert!(matches!(poll(&mut session), Some(Ok(_))), "it is over");
}

/// Checks that a session which failed, and is still held, stops no publisher and is not counted.
///
/// `fail` makes its next polls fail, and returns which reason that has.
#[track_caller]
fn check_harmless<R: Fn(&EndReason) -> bool>(
    policy: Policy,
    fail: impl FnOnce(&Hub, &Mutex<Wire>) -> R,
) {
    let hub = hub(policy);
    let wire = Wire::with_room(usize::MAX);
    let session = Session::new(Stream(Arc::clone(&wire)), &hub);
    let timeout = (policy == Policy::Block).then_some(Duration::ZERO);
    let mut session = session.with_stall_timeout(timeout, sleep);
    assert!(poll(&mut session).is_none());
    let is_expected = fail(&hub, &wire);
    wire.lock().unwrap().wake_reader();
    let mut ended = poll(&mut session);
    if policy == Policy::Disconnect {
        assert!(ended.is_none());
        publish(&hub, 800);
        ended = poll(&mut session);
    }
    let error = ended.expect("the session failed").unwrap_err();
    assert!(is_expected(error.reason()), "{error}");
    publish(&hub, 800);
    let stats = hub.stats();
    assert_eq!((stats.lag_max, stats.laggard_count), (0, 0));
    assert_eq!(stats.subscriber_count, 1, "it is still held");
    drop(session);
}

fn hub(policy: Policy) -> Hub {
    let config = Config::default().with_capacity(16 * 1024);
    config.with_policy(policy).build().unwrap()
}

/// Publishes messages without waiting for anybody.
#[track_caller]
fn publish(hub: &Hub, count: u64) {
    let wire = messages(0..count);
    let (mut messages, _) = Messages::split(&wire);
    let published = hub.publisher().try_publish(&mut messages);
    assert!(published.is_ok(), "{} are left", messages.count());
}

/// Polls a session once; returns how it ended, if it has.
fn poll<S>(session: &mut S) -> Option<Result<Summary, SessionError>>
where
    S: Future<Output = Result<Summary, SessionError>> + Unpin,
{
    match Pin::new(session).poll(&mut noop()) {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => None,
    }
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Takes no time at all, or forever.
async fn sleep(duration: Duration) {
    if !duration.is_zero() {
        std::future::pending::<()>().await;
    }
}
