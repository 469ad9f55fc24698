use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat_stress::{Failure, Load, Measured, Observer, Order, Pacing, Run, Slow, Target, run};

use crate::servers::{Across, Ports, load, serve, serve_port, to_all};

/// Makes a target of two ports of one server.
fn two_ports(across: Across) -> Target {
    let ports = Arc::new(Mutex::new(Ports::default()));
    let port = |number| {
        let ports = Arc::clone(&ports);
        Target::serve(move |listener| serve_port(listener, number, &ports, across)).unwrap()
    };
    Target::Group(vec![port(0), port(1)])
}

/// Keeps what is noted.
#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn noted(&mut self, note: &str) {
        self.0.push(note.to_owned());
    }
}

/// Expects a conviction of one of these classes, and returns what was noted.
#[track_caller]
fn check_convicted(target: Target, classes: &[&str]) -> String {
    let load = Load {
        timeout: Duration::from_secs(3),
        ..load()
    };
    let mut notes = Notes::default();
    let Measured {
        results, failure, ..
    } = Run::new(target, load).measure(&mut notes).unwrap();
    let Order::Broken { class, story, .. } = &results.order else {
        panic!("{:?}, {failure:?}", results.order);
    };
    assert!(classes.contains(&class.as_str()), "{class}: {story}");
    notes.0.join("\n")
}

#[test]
fn ports_of_one_server_are_proved_together() {
    let load = Load {
        stalled: 3,
        slow: Slow {
            count: 2,
            ..Slow::default()
        },
        churn: 5.0,
        ..load()
    };
    let measured = run(two_ports(Ports::in_one_order), load).unwrap();
    measured.assert_proved();
    let results = measured.results;
    assert_eq!(results.asked.server_count, 2);
    let both = results.asked.server.split(", 127.0.0.1:").count();
    assert_eq!(both, 2, "{}", results.asked.server);
    assert_eq!(results.counts.delivered, 2 * 200 * 8);
}

#[test]
fn messages_on_two_ports_in_two_orders_are_convicted() {
    let note = check_convicted(two_ports(Ports::own_first), &["contradiction"]);
    assert!(note.contains("more than one lock"), "{note}");
    assert!(
        note.contains("publisher 1 is connected to 127.0.0.1:"),
        "{note}"
    );
}

#[test]
fn servers_that_share_nothing_are_convicted_and_named() {
    let server = || Target::serve(|listener: TcpListener| serve(listener, to_all)).unwrap();
    let (one, other) = (server(), server());
    let names = [one.to_string(), other.to_string()];
    let note = check_convicted(Target::Group(vec![one, other]), &["forgotten"]);
    assert!(note.contains("do these serve one room?"), "{note}");
    for name in names {
        let (addr, _) = name.split_once(',').unwrap();
        assert!(note.contains(addr), "{addr} in {note}");
    }
}

#[test]
fn a_message_at_a_time_between_servers_that_share_nothing_is_convicted_too() {
    let server = || Target::serve(|listener: TcpListener| serve(listener, to_all)).unwrap();
    let load = Load {
        timeout: Duration::from_secs(3),
        pacing: Pacing::LOCK_STEP,
        ..load()
    };
    let measured = run(Target::Group(vec![server(), server()]), load).unwrap();
    assert!(
        matches!(measured.failure, Some(Failure::Broken { .. })),
        "{:?}",
        measured.failure
    );
}

#[test]
fn a_group_of_nobody_is_refused() {
    let failure = run(Target::running([]), load()).unwrap_err();
    assert_eq!(failure.to_string(), "a group of servers needs at least one");
}
