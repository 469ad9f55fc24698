use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use chat_compare::report::{exit_code, table};
use chat_compare::{Candidate, Job, Plan};
use chat_results::comparison::{Comparison, Figure, Placement, Standing};
use chat_results::{Load, Pacing};
use chat_stress::Interrupt;

/// Serves for as long as the test lasts, and sends each run of messages so many times.
fn serve(times: usize) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let clients = Arc::new(Mutex::new(Vec::new()));
        for stream in listener.incoming().map(Result::unwrap) {
            clients.lock().unwrap().push(stream.try_clone().unwrap());
            let clients = Arc::clone(&clients);
            thread::spawn(move || {
                let mut reader = chat_proto::blocking::Reader::new(&stream);
                while let Ok(messages) = reader.next_messages()
                    && !messages.is_empty()
                {
                    for mut client in clients.lock().unwrap().iter() {
                        for _ in 0..times {
                            let _ = client.write_all(messages.as_bytes());
                        }
                    }
                }
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    addr
}

fn plan(candidates: Vec<Candidate>, rounds: u32) -> Plan {
    let load = Load {
        messages: Some(30),
        pacing: Pacing::window(4),
        ..Load::default()
    };
    Plan {
        candidates,
        jobs: vec![Job::of(load)],
        placements: vec![Placement::AllProcessors],
        rounds: Some(rounds),
        confidence: 0.95,
        seed: 7,
        has_ceiling: false,
        guard: None,
    }
}

fn run(plan: &Plan) -> (Comparison, Vec<String>) {
    let mut turns = Vec::new();
    let comparison = plan.run(&Interrupt::never(), &mut |turn| {
        turns.push(format!("{}{}", turn.round.unwrap(), turn.server));
    });
    (comparison, turns)
}

#[test]
fn rounds_go_there_and_back_and_all_are_compared() {
    let candidates = ["a", "b"].map(|name| Candidate::running(name, [serve(1)]));
    let (comparison, turns) = run(&plan(candidates.into(), 4));
    let is_first = |server: &str| turns[0].ends_with(server);
    let (first, second) = if is_first("a") {
        ("a", "b")
    } else {
        ("b", "a")
    };
    let expected = [0, 1].map(|round| {
        let [one, other] = if round == 0 {
            [first, second]
        } else {
            [second, first]
        };
        [format!("{round}{one}"), format!("{round}{other}")]
    });
    assert_eq!(turns[..4], expected.concat(), "{turns:?}");
    let [one, other] = &comparison.workloads[0].outcomes[..] else {
        panic!("two servers have two outcomes");
    };
    for outcome in [one, other] {
        assert_eq!(
            (outcome.rounds.len(), &outcome.standing),
            (4, &Standing::Proved)
        );
        assert!(outcome.medians.contains_key(&Figure::P50));
    }
    assert!(one.ratios.is_empty() && other.ratios.contains_key(&Figure::Deliveries));
    let ratio = other.ratios[&Figure::Deliveries];
    assert!(
        ratio.interval.is_none(),
        "four rounds tell nothing: {ratio:?}"
    );
    assert!(
        comparison.workloads[0]
            .concerns
            .iter()
            .any(|it| it.contains("4 rounds are too few"))
    );
    assert_eq!(exit_code(&comparison), 0);
}

#[test]
fn a_wrong_and_a_missing_server_are_told_of_beside_a_right_one() {
    let candidates = vec![
        Candidate::running("right", [serve(1)]),
        Candidate::running("twice", [serve(2)]),
        Candidate::executable("missing", "/nonexistent/server", Vec::new()),
    ];
    let (comparison, turns) = run(&plan(candidates, 2));
    let [right, twice, missing] = &comparison.workloads[0].outcomes[..] else {
        panic!("three servers have three outcomes");
    };
    assert_eq!(right.standing, Standing::Proved);
    assert!(
        matches!(twice.standing, Standing::Wrong { .. }),
        "{twice:?}"
    );
    let Standing::Stopped { why } = &missing.standing else {
        panic!("{missing:?}");
    };
    assert!(why.contains("/nonexistent/server"), "{why}");
    assert_eq!(
        turns.iter().filter(|it| it.ends_with("missing")).count(),
        1,
        "it is not tried again"
    );
    let mut out = Vec::new();
    table::write(&comparison, table::Styling::Plain, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("WRONG") && text.contains("STOPPED"), "{text}");
    assert_eq!(exit_code(&comparison), 3);
}
