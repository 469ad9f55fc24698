use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::run::{Run, Running, server, stresstest};

/// Starts a server with a fault and calls `test` with its address.
pub(crate) fn with_running_server<T>(fault: &str, test: impl FnOnce(&str) -> T) -> T {
    with_server_at(fault, "127.0.0.1:0", test)
}

/// Starts a server with a fault that listens on `addr`, and calls `test` with what it says.
pub(crate) fn with_server_at<T>(fault: &str, addr: &str, test: impl FnOnce(&str) -> T) -> T {
    let mut running = Command::new(server())
        .args([fault, addr])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(running.stdout.as_mut().unwrap())
        .read_line(&mut ready)
        .unwrap();
    let result = test(ready.trim_end().strip_prefix("listening on ").unwrap());
    running.kill().unwrap();
    running.wait().unwrap();
    result
}

fn run(fault: &str, options: &[&str]) -> Run {
    with_running_server(fault, |addr| {
        Running::start_command(stresstest().args(["--connect", addr]).args(options)).wait()
    })
}

#[test]
fn a_server_that_runs_already_is_measured() {
    let run = run("honest", &["-m", "10", "-r", "2"]);
    run.check(0, &["note: not tested here: rules 1, 2 and 10, "]);
    run.check_lines(10, 2, &[60, 60]);
}

#[test]
fn others_may_use_a_server_that_runs_already() {
    let both = with_running_server("honest", |addr| {
        let start = || {
            Running::start_command(stresstest().args([
                "--connect",
                addr,
                "--window",
                "5",
                "--duration",
                "2s",
            ]))
        };
        [start(), start()].map(Running::wait)
    });
    for run in &both {
        run.check(0, &[]);
        assert!(
            run.stderr
                .contains(" messages were passed over that none of these clients had sent"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_stream_without_boundaries_is_none_of_strangers() {
    for fault in [
        "relay",
        "relay-pieces",
        "forward-unfinished",
        "wrong-start",
        "lose-header",
    ] {
        for options in [
            &["-m", "100", "-r", "3"][..],
            &["--window", "50", "-m", "5000"],
        ] {
            let options = [options, &["--timeout", "3s"]].concat();
            run(fault, &options).check(3, &["error: iteration 0: the promise is broken ("]);
        }
    }
}

#[test]
fn a_server_that_runs_already_is_to_keep_the_other_rules_too() {
    run("cut-last", &["-m", "10", "-r", "2"]).check(3, &[" of a message whose end never came"]);
    let rule_9 = "error: the server breaks rule 9: ";
    for fault in ["abort", "close-early", "stay-open"] {
        run(fault, &["-m", "10", "-r", "3", "--timeout", "2s"]).check(3, &[rule_9]);
    }
}

#[test]
fn history_of_a_server_that_runs_already_is_a_part_of_the_order() {
    // No second load follows this one.
    let options = ["--window", "5", "-m", "20", "-r", "2"];
    for fault in ["replay-early", "replay-two"] {
        let run = run(fault, &options);
        run.check(0, &[]);
        assert!(!run.stderr.contains("passed over"), "{}", run.stderr);
    }
    for fault in ["replay-late", "replay-reversed", "replay-twice"] {
        run(fault, &options).check(
            3,
            &[
                "iteration 1: the promise is broken (phantom): ",
                " received a message of iteration ",
            ],
        );
    }
}
