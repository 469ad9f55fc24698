use std::io::{BufRead, BufReader};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::run::{Running, is_running, path};

/// Sends a signal in the middle of a run.
#[track_caller]
fn check(signal: Signal, options: &[&str], told: &str) {
    let mut running = Running::start(
        "honest",
        &[&["-m", "1000", "-r", "10000"], options].concat(),
    );
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    let mut lines = String::new();
    for _ in 0..3 {
        stdout.read_line(&mut lines).unwrap();
    }
    assert!(
        lines.contains("successfully received 6000 messages out of 6000 sent"),
        "{lines}"
    );
    running.signal(signal);
    // Whoever stops reading is not to be waited for.
    let drained = thread::spawn(move || stdout.lines().map_while(Result::ok).count());
    let run = running.wait();
    drained.join().unwrap();
    run.check(130, &["error: interrupted in iteration ", told]);
}

#[test]
fn sigint_ends_the_run_and_the_server() {
    check(
        Signal::INT,
        &[],
        " sent had been received; no order was broken\n",
    );
}

#[test]
fn sigterm_ends_the_run_and_the_server() {
    check(
        Signal::TERM,
        &[],
        " sent had been received; no order was broken\n",
    );
}

#[test]
fn what_was_not_checked_is_not_said_to_be_kept() {
    check(
        Signal::INT,
        &["--check", "off"],
        " sent had been received\n",
    );
}

#[test]
fn a_signal_ends_the_calibration() {
    let running = Running::start("honest", &["--calibrate", "--duration", "60s"]);
    running.wait_for_child();
    running.signal(Signal::INT);
    let run = running.wait();
    run.check(
        130,
        &["error: cannot calibrate, which is to run on the null broadcaster first: interrupted"],
    );
    assert!(
        !run.was_server_started && run.stdout.is_empty(),
        "{}",
        run.stdout
    );
}

#[test]
fn an_interrupted_run_tells_and_writes_what_there_is() {
    let path = path("interrupted.json");
    let options = [
        "--window",
        "10",
        "-m",
        "1000",
        "-r",
        "10000",
        "--json",
        path.to_str().unwrap(),
    ];
    let mut running = Running::start("honest", &options);
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    let mut first = String::new();
    for _ in 0..3 {
        stdout.read_line(&mut first).unwrap();
    }
    running.signal(Signal::INT);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    let run = running.wait();
    run.check(130, &["error: interrupted in iteration "]);
    assert!(rest.contains("\nverdict        INTERRUPTED\n"), "{rest}");
    let results = run.results(&path);
    let [sent, delivered, dropped, unresolved] = [
        "/counts/sent",
        "/counts/delivered",
        "/drops/dropped",
        "/drops/unresolved",
    ]
    .map(|pointer| {
        results
            .pointer(pointer)
            .and_then(serde_json::Value::as_u64)
            .unwrap()
    });
    assert!(
        delivered >= 16_000 && delivered + dropped + unresolved == sent * 8,
        "{results:#}"
    );
}

#[test]
fn a_signal_ends_the_wait_for_the_server() {
    let running = Running::start("never-ready", &["--patience", "3600"]);
    running.wait_for_server();
    running.signal(Signal::INT);
    running.wait().check(130, &["error: interrupted"]);
}

#[test]
fn a_closed_stdout_ends_no_run_with_other_results() {
    let path = path("closed-stdout.json");
    let options = ["-m", "400", "-r", "3", "--json", path.to_str().unwrap()];
    let mut running = Running::start("reorder-late", &options);
    drop(running.child.stdout.take());
    let run = running.wait();
    run.check(3, &["(contradiction): "]);
    assert_eq!(run.results(&path)["verdict"]["is"], "broken");
}

#[test]
fn a_closed_stdout_is_a_normal_end() {
    let mut running = Running::start("honest", &["-m", "10", "-r", "10000"]);
    let mut line = String::new();
    BufReader::new(running.child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("iteration 0 out of 10000"), "{line}");
    let run = running.wait();
    run.check(0, &[]);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_load_tester_that_is_killed_takes_the_server_with_it() {
    let mut running = Running::start("honest", &["--rate", "10", "--duration", "100s"]);
    let server = running.wait_for_child();
    running.signal(Signal::KILL);
    running.child.wait().unwrap();
    let start = Instant::now();
    while is_running(&server) {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{server} still runs"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
