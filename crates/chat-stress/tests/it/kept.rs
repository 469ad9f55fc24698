use std::io;
use std::net::TcpListener;

use chat_stress::{BodyLens, Check, Distribution, Load, Order, Pacing, Slow, Target, Verdict, run};

use crate::servers::{async_server, load, serve, to_all};

#[test]
fn a_server_with_threads_is_proved() {
    let target = Target::serve(|listener| serve(listener, to_all)).unwrap();
    let measured = run(target, load()).unwrap();
    measured.assert_proved();
    let results = measured.results;
    assert_eq!(
        (results.counts.sent, results.counts.delivered),
        (2 * 200, 2 * 200 * 8)
    );
    assert!(results.server.is_none(), "it is no process of its own");
}

#[test]
fn a_server_that_takes_an_address_is_proved() {
    let target = Target::serve_at(|addr| serve(TcpListener::bind(addr).unwrap(), to_all));
    run(target.unwrap(), load()).unwrap().assert_proved();
    let refused = Target::serve_at(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn an_async_server_is_proved_in_every_repetition() {
    let load = Load {
        repetitions: 3,
        ..load()
    };
    let measured = run(Target::serve(async_server::serve).unwrap(), load).unwrap();
    measured.assert_proved();
    assert_eq!(measured.results.counts.repetitions, 3);
    assert!(measured.results.latency[Distribution::Delivery].is_some());
}

#[test]
fn every_kind_of_load_is_proved() {
    let rate = Load {
        pacing: Pacing::Rate(2000.0),
        size: BodyLens::new(64, 64).unwrap(),
        ..load()
    };
    let antagonists = Load {
        stalled: 2,
        slow: Slow {
            count: 1,
            ..Slow::default()
        },
        churn: 5.0,
        ..rate
    };
    let flood = Load {
        pacing: Pacing::Flood,
        ..load()
    };
    for load in [rate, antagonists, flood] {
        let measured = run(Target::serve(async_server::serve).unwrap(), load).unwrap();
        measured.assert_proved();
    }
}

#[test]
fn what_is_not_checked_is_not_said_to_be_proved() {
    let load = Load {
        check: Check::Basic,
        ..load()
    };
    let measured = run(Target::serve(async_server::serve).unwrap(), load).unwrap();
    assert_eq!(measured.results.order, Order::PartlyChecked);
    assert!(matches!(
        measured.results.verdict,
        Verdict::Passed | Verdict::Inconclusive { .. }
    ));
}

#[test]
#[should_panic(expected = "the order is not proved, but partly-checked (seed 0)")]
fn to_assert_what_was_not_checked_fails() {
    let load = Load {
        check: Check::Basic,
        ..load()
    };
    run(Target::serve(async_server::serve).unwrap(), load)
        .unwrap()
        .assert_proved();
}
