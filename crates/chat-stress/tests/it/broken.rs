use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use chat_stress::{Failure, Load, Measured, Order, Target, Verdict, run};

use crate::servers::{Broadcast, load, serve, to_all};

fn measure(broadcast: Broadcast) -> Measured {
    let target = Target::serve(move |listener| serve(listener, broadcast)).unwrap();
    let load = Load {
        timeout: Duration::from_secs(3),
        ..load()
    };
    run(target, load).unwrap()
}

/// Expects a conviction of this class.
#[track_caller]
fn check(broadcast: Broadcast, expected: &str) {
    let measured = measure(broadcast);
    let Order::Broken { class, story, .. } = &measured.results.order else {
        panic!("{:?}", measured.results.order);
    };
    assert_eq!(class, expected, "{story}");
    assert!(matches!(measured.results.verdict, Verdict::Broken { .. }));
    assert!(matches!(measured.failure, Some(Failure::Broken { .. })));
}

/// Writes messages of some length to the first client a second time.
fn twice_to_one(clients: &mut Vec<TcpStream>, messages: &[u8]) {
    to_all(clients, messages);
    if messages.len() > 200
        && let Some(client) = clients.first_mut()
    {
        let _ = client.write_all(messages);
    }
}

/// Changes the last byte of messages of some length, for the last client.
fn changed_for_one(clients: &mut Vec<TcpStream>, messages: &[u8]) {
    let mut changed = messages.to_vec();
    if messages.len() > 200 {
        *changed.last_mut().unwrap() ^= 1;
    }
    if let Some(mut last) = clients.pop() {
        to_all(clients, messages);
        let _ = last.write_all(&changed);
        clients.push(last);
    }
}

#[test]
fn a_message_delivered_twice_is_a_duplicate() {
    check(twice_to_one, "duplicate");
}

#[test]
fn a_changed_byte_is_corrupt() {
    check(changed_for_one, "corrupt");
}

#[test]
#[should_panic(expected = "the promise is broken (duplicate): ")]
fn to_assert_a_broken_promise_fails_with_its_story() {
    measure(twice_to_one).assert_proved();
}

#[test]
fn a_server_that_returns_has_ended() {
    let accept_one = |listener: TcpListener| listener.accept().map(drop);
    let measured = run(Target::serve(accept_one).unwrap(), load()).unwrap();
    let failure = measured.failure.unwrap();
    // Either is found first: that the thread has ended, or that nobody listens any more.
    assert!(matches!(failure, Failure::Stopped { .. }), "{failure}");
    assert!(matches!(measured.results.verdict, Verdict::Stopped { .. }));
}
