use std::time::{Duration, Instant};

use crate::run::run;

#[test]
fn an_honest_server_passes() {
    let run = run("honest", &["-m", "50", "-r", "3"]);
    run.check(0, &[]);
    run.check_lines(50, 3, &[300, 300, 300]);
    assert_eq!(run.stderr, "");
}

#[test]
fn long_options_mean_the_same() {
    let run = run(
        "honest",
        &[
            "--publishers",
            "1",
            "--subscribers",
            "1",
            "--messages",
            "1",
            "--repetitions",
            "1",
        ],
    );
    run.check(0, &[]);
    let expected = "iteration 0 out of 1: launching 1 publishers, each sending 1 messages to 1 subscribers...\n\
                    successfully received 1 messages out of 1 sent (= drop rate of 0)\n";
    assert!(run.stdout.starts_with(expected), "{}", run.stdout);
}

#[test]
fn drops_for_one_client_are_counted_exactly() {
    // Of ten messages of publisher 0, its subscriber 0 misses the third, the sixth and the ninth.
    let run = run("drop-thirds", &["-m", "10", "-r", "1"]);
    run.check(0, &[]);
    run.check_lines(10, 1, &[57]);
}

#[test]
fn drops_for_everybody_are_counted_exactly() {
    let run = run("drop-half", &["-m", "10", "-r", "1"]);
    run.check(0, &[]);
    run.check_lines(10, 1, &[30]);
}

#[test]
fn messages_that_nobody_receives_are_counted_exactly() {
    let run = run("drop-half-bulk", &["-m", "4", "-r", "1"]);
    run.check(0, &[]);
    run.check_lines(4, 1, &[12]);
}

#[test]
fn a_client_that_receives_everything_late_loses_nothing() {
    // Longer than a publisher waits before it asks.
    let run = run("delay --delay-ms 150", &["-m", "3", "-r", "1"]);
    run.check(0, &[]);
    run.check_lines(3, 1, &[18]);
}

#[test]
fn drops_of_half_of_everything_are_told_exactly() {
    let run = run("drop-half", &["--window", "100", "-m", "5000", "-r", "2"]);
    run.check(0, &[]);
    assert_eq!(
        run.stdout
            .matches("successfully received 15000 messages out of 30000 sent (= drop rate of 0.5)")
            .count(),
        2
    );
    assert!(
        run.stdout.contains("\ndrops          50 % (80000)"),
        "{}",
        run.stdout
    );
}

#[test]
fn dropped_hello_probe_and_closing_messages_are_repeated() {
    let run = run("drop-anything", &["-m", "3", "-r", "1", "--seed", "1"]);
    run.check(0, &[]);
    assert!(
        !run.stdout.contains("(= drop rate of 0)"),
        "nothing was dropped:\n{}",
        run.stdout
    );
}

#[test]
fn a_server_that_drops_half_of_everything_at_random_passes() {
    run(
        "drop-random",
        &["-m", "20", "-r", "1", "-p", "1", "-s", "1"],
    )
    .check(0, &[]);
    run(
        "drop-random",
        &[
            "--rate",
            "50",
            "--duration",
            "2s",
            "--churn",
            "5",
            "-p",
            "1",
            "-s",
            "2",
        ],
    )
    .check(0, &[]);
}

#[test]
fn senders_that_miss_some_of_their_messages_by_accident_are_not_said_to_be_left_out() {
    // Of so many clients, some miss all of the few messages that there is time for.
    let run = run(
        "drop-random",
        &[
            "-p",
            "40",
            "-s",
            "2",
            "-m",
            "2",
            "-r",
            "1",
            "--window",
            "0",
            "--patience",
            "1",
        ],
    );
    assert!(matches!(run.code, Some(0 | 1 | 5)), "{}", run.stderr);
    assert!(!run.stderr.contains("forgotten"), "{}", run.stderr);
}

#[test]
fn a_server_that_takes_seconds_for_everything_passes() {
    let run = run(
        "delay-all --delay-ms 2000",
        &["-m", "1", "-r", "1", "-p", "1", "-s", "1"],
    );
    run.check(0, &[]);
}

#[test]
fn a_message_of_the_repetition_before_may_precede_the_own_hello() {
    for fault in ["replay-early", "replay-two"] {
        let run = run(fault, &["-m", "2", "-r", "2"]);
        run.check(0, &[]);
        run.check_lines(2, 2, &[12, 12]);
    }
}

#[test]
fn the_table_tells_how_much_was_checked() {
    for (check, told) in [
        ("off", "not checked"),
        ("basic", "checked for each sender alone; "),
        ("full", "proved: one order explains "),
    ] {
        let run = run(
            "honest",
            &["-m", "2", "-r", "1", "--window", "2", "--check", check],
        );
        run.check(0, &[]);
        assert!(
            run.stdout.contains(&format!("\norder          {told}")),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn stalled_clients_keep_to_the_rate_of_connecting() {
    let began = Instant::now();
    run(
        "honest",
        &[
            "-p",
            "1",
            "-s",
            "1",
            "-m",
            "2",
            "-r",
            "1",
            "--stalled",
            "4",
            "--connect-rate",
            "10",
        ],
    )
    .check(0, &[]);
    // The first of six connects at once.
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_full_standard_error_does_not_hold_up_the_server() {
    let run = run("flood-stderr", &["-m", "50", "-r", "3"]);
    run.check(0, &[]);
    run.check_lines(50, 3, &[300, 300, 300]);
    assert_eq!(run.stderr, "");
}

#[test]
fn many_clients_on_one_thread_pass() {
    let run = run("honest", &["-p", "4", "-s", "40", "-m", "3", "-r", "1"]);
    run.check(0, &[]);
    assert!(
        run.stdout
            .contains("successfully received 480 messages out of 480 sent (= drop rate of 0)"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_load_slower_than_the_patience_is_no_hang() {
    run(
        "honest",
        &["-m", "3", "-p", "1", "--rate", "0.3", "--patience", "3"],
    )
    .check(0, &[]);
    run(
        "honest",
        &[
            "-m",
            "3",
            "-p",
            "1",
            "-s",
            "2",
            "-r",
            "1",
            "--connect-rate",
            "0.3",
            "--patience",
            "3",
        ],
    )
    .check(0, &[]);
}
