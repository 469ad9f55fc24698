use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Run, Running, path, run, server, stresstest};

/// All kinds of loads, each short.
const LOADS: [&[&str]; 6] = [
    &["-m", "20", "-r", "2"],
    &["-m", "1", "-r", "2", "-p", "1", "-s", "1"],
    &["--classic", "-m", "50", "-r", "2"],
    &["--window", "100", "-m", "2000"],
    &["--rate", "500", "--duration", "500ms"],
    &[
        "--window",
        "10",
        "--duration",
        "500ms",
        "--churn",
        "20",
        "--slow",
        "2",
        "--stalled",
        "2",
    ],
];

/// Runs a server with a fault several times, and expects it to be convicted with `told` each time.
#[track_caller]
fn check(fault: &str, options: &[&str], told: &str) {
    for _ in 0..3 {
        run(fault, &[options, &["--timeout", "3s"]].concat()).check(3, &[told]);
    }
}

fn results(fault: &str, options: &[&str]) -> (Run, Value) {
    let path = path(&format!("rules-{fault}.json"));
    let run = run(
        fault,
        &[options, &["--json", path.to_str().unwrap()]].concat(),
    );
    let results = run.results(&path);
    (run, results)
}

#[test]
fn a_server_that_forwards_bytes_as_it_reads_them_is_convicted_under_any_load() {
    for load in LOADS {
        for fault in ["relay", "relay-pieces"] {
            check(fault, load, "error: iteration 0: the promise is broken (");
        }
    }
}

#[test]
fn an_unfinished_message_of_a_client_that_left_is_a_phantom_under_any_load() {
    for load in LOADS {
        check("forward-unfinished", load, "(phantom): ");
    }
}

#[test]
fn a_server_that_breaks_connections_off_breaks_rule_9_under_any_load() {
    for load in LOADS {
        check("abort", load, "error: the server breaks rule 9: ");
    }
}

#[test]
fn an_honest_server_keeps_the_rules_under_any_load() {
    for load in LOADS {
        run("honest", load).check(0, &[]);
    }
}

#[test]
fn a_server_that_closes_before_it_has_delivered_all_breaks_rule_9() {
    let told = " sent its last messages and ended its sending side, and the stream to it ended before the last ";
    check("close-early", &["-m", "5", "-r", "5"], told);
    check(
        "close-early",
        &["--window", "100", "-m", "500", "-r", "3"],
        told,
    );
    // Where publishers do not read, others say the last.
    check("close-early", &["--classic", "-m", "5", "-r", "5"], told);
}

#[test]
fn connections_that_are_never_closed_break_rule_9() {
    let (run, results) = results("stay-open", &["-m", "2", "-r", "3", "--timeout", "2s"]);
    run.check(
        3,
        &["error: the server breaks rule 9: it left 8 connections open for 2 s after "],
    );
    // All of it was proved until then.
    run.check_lines(2, 3, &[12, 12, 12]);
    assert_eq!(results["order"]["is"], "proved");
    assert_eq!(results["violations"][0]["rule"], 9);
    assert_eq!(results["verdict"]["is"], "broken");
}

#[test]
fn other_lines_on_stdout_break_rule_2() {
    run("talkative", &["-m", "2", "-r", "1"]).check(
        3,
        &["error: the server breaks rule 2: it printed 2 lines on standard output, "],
    );
}

#[test]
fn a_broken_rule_outweighs_what_ended_the_run_and_both_are_told() {
    let script = "echo good morning; exec \"$0\" \"$@\"";
    let run = Running::start_command(
        stresstest()
            .args(["-a", "127.0.0.1:0", "-m", "5", "-r", "1", "--timeout", "3s"])
            .args(["/bin/sh", "--", "-c", script])
            .arg(server())
            .arg("swallow-closing"),
    )
    .wait();
    run.check(
        3,
        &[
            "error: the server breaks rule 2: it printed 2 lines on standard output, ",
            "; besides, iteration 0: nothing went on for 3 s, and this is unresolved:",
        ],
    );
}

#[test]
fn a_server_has_to_end_in_order_after_sigterm() {
    let options = ["-m", "2", "-r", "1", "--timeout", "2s"];
    for (fault, told) in [
        (
            "die-of-term",
            "it died of SIGTERM instead of exiting with code 0: ",
        ),
        (
            "exit-non-zero",
            "it ended after SIGTERM, but not with code 0: exit status: 4",
        ),
        // Its children are killed with it.
        ("stubborn", "it did not end within 2 s after SIGTERM"),
    ] {
        let run = run(fault, &options);
        run.check(3, &[&format!("error: the server breaks rule 10: {told}")]);
        run.check_lines(2, 1, &[12]);
    }
}

#[test]
fn without_cuts_a_relay_passes_and_the_run_says_so() {
    let (run, results) = results(
        "relay",
        &[
            "-m",
            "20",
            "--window",
            "1",
            "--no-cuts",
            "--fail-on",
            "drop>0",
        ],
    );
    run.check(0, &[]);
    let not_tested = results["not_tested"].to_string();
    assert!(not_tested.contains("rule 8 (--no-cuts)"), "{not_tested}");
    assert!(run.stdout.contains("not tested here: "), "{}", run.stdout);
}

#[test]
fn a_job_per_message_is_seen_in_the_second_load_of_the_classic_one() {
    for _ in 0..5 {
        let run = run("job-per-message", &["-m", "50", "-r", "2"]);
        run.check(
            3,
            &["error: with many messages in flight: iteration 0: the promise is broken ("],
        );
        run.check_lines(50, 2, &[300, 300]);
    }
    // Without it, nobody can tell, and the run says so.
    let classic = run("job-per-message", &["-m", "50", "-r", "2", "--classic"]);
    classic.check(0, &[]);
    let told = "not tested here: ";
    assert!(classic.stdout.contains(told), "{}", classic.stdout);
    let not_tested = |options: &[&str]| {
        let (_, results) = results("honest", &[options, &["-m", "5", "-r", "1"]].concat());
        results["not_tested"].to_string()
    };
    let (usual, classic) = (not_tested(&[]), not_tested(&["--classic"]));
    assert!(!usual.contains("5 for"), "{usual}");
    for told in [
        "rules 4 and 5 for publishers, since they do not read",
        "rule 5 for messages of one sender that are under way together",
    ] {
        assert!(classic.contains(told), "{classic}");
    }
}

#[test]
fn the_second_load_is_short_whatever_the_server_takes_for_a_message() {
    let start = Instant::now();
    let slow = ["-m", "1", "-r", "1", "-p", "1", "-s", "1"];
    run("delay-all --delay-ms 1000", &slow).check(0, &[]);
    // Of 2000 messages in windows of 100, it would be 40 seconds.
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_header_that_is_lost_is_seen_by_the_classic_load() {
    for _ in 0..5 {
        let run = run("lose-header", &["-m", "100", "-r", "5", "--timeout", "3s"]);
        // What the rest of a message is taken for decides whether something comes of it.
        assert!(matches!(run.code, Some(1 | 3)), "{}", run.stderr);
    }
}
