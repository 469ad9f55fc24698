use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;

use chat_stress::{Failure, Launch, Load, ServerError, Target, run};

use crate::servers::load;

/// Returns the example, which cargo builds beside the tests.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let dir = tests.parent().and_then(|deps| deps.parent()).unwrap();
    dir.join("examples/async_server")
}

#[test]
fn an_executable_is_started_measured_and_ended() {
    let measured = run(Target::executable(example()), load()).unwrap();
    measured.assert_proved();
    // It has no handler for the signal.
    let rules: Vec<_> = measured
        .results
        .violations
        .iter()
        .map(|it| it.rule)
        .collect();
    assert_eq!(rules, [10]);
    assert!(matches!(measured.failure, Some(Failure::Misbehaved(_))));
    let kept = std::panic::catch_unwind(AssertUnwindSafe(|| measured.assert_kept()));
    assert!(kept.is_err());
    let server = measured.results.server.expect("it is a process");
    assert!(server.rss_peak_kib > 0 && server.threads > 0, "{server:?}");
    assert_eq!(
        measured.results.asked.server,
        example().display().to_string()
    );
}

#[test]
fn a_server_that_runs_already_is_left_running() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    std::thread::spawn(|| crate::servers::async_server::serve(listener));
    for seed in [1, 2] {
        let load = Load { seed, ..load() };
        run(Target::Running(addr), load).unwrap().assert_proved();
    }
}

#[test]
fn an_executable_that_is_none_is_an_error() {
    let failure = run(Target::executable("/nonexistent/server"), load()).unwrap_err();
    assert!(
        matches!(failure, Failure::Server(ServerError::Start { .. })),
        "{failure}"
    );
}

#[test]
fn a_server_that_says_nothing_is_an_error_with_its_last_words() {
    let launch = Launch {
        args: vec!["-c".into(), "echo no licence >&2; exit 9".into()],
        ..Launch::new("sh", "127.0.0.1:0".parse().unwrap())
    };
    let failure = run(Target::Launch(launch), load()).unwrap_err().to_string();
    assert!(
        failure.starts_with("the server ended before it was ready: exit status: 9")
            && failure.contains("no licence"),
        "{failure}"
    );
}

#[test]
fn the_example_loads_itself() {
    let output = Command::new(example()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains(" deliveries a second, "),
        "{output:?}"
    );
}
