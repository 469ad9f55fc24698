use crate::run::{Run, run};

/// Runs a server under a threshold and expects what `code` says: 0 when it is kept, 4 when it is
/// not.
#[track_caller]
fn check_threshold(fault: &str, options: &[&str], threshold: &str, code: i32) {
    let run = run(
        fault,
        &[options, &["-r", "1", "--fail-on", threshold]].concat(),
    );
    let metric = threshold
        .split_once('>')
        .map_or(threshold, |(metric, _)| metric);
    if code == 0 {
        run.check(0, &[])
    } else {
        run.check(code, &[metric])
    }
    // A threshold is judged when all has been measured.
    assert_eq!(
        run.stdout.matches("successfully received").count(),
        1,
        "{}",
        run.stdout
    );
}

/// Runs a server with many messages in flight, and expects it to be convicted with all of `told`.
#[track_caller]
fn check_window(fault: &str, window: &str, told: &[&str]) {
    let run = run(
        fault,
        &["-m", "1000", "-r", "2", "--seed", "7", "--window", window],
    );
    run.check(3, told);
    assert!(!run.stdout.contains("successfully"), "{}", run.stdout);
}

/// Expects a repetition in which `received` deliveries were counted, of `sent` that were asked for.
#[track_caller]
fn check_counted(run: &Run, received: u32, sent: u32) {
    let rate = f64::from(sent - received) / f64::from(sent);
    let line = format!(
        "successfully received {received} messages out of {sent} sent (= drop rate of {rate})"
    );
    run.check(0, &[]);
    assert!(
        run.stdout.contains(&line),
        "{line:?} is missing in:\n{}",
        run.stdout
    );
}

#[test]
fn one_late_client_shows_in_the_spread() {
    check_threshold("delay", &["-m", "20"], "spread.p99>20ms", 4);
    check_threshold("honest", &["-m", "20"], "spread.p99>5s", 0);
}

#[test]
fn one_late_client_shows_in_a_window() {
    check_threshold(
        "delay",
        &["-m", "1000", "--window", "100"],
        "spread.p99>20ms",
        4,
    );
}

#[test]
fn one_late_client_shows_at_a_rate() {
    check_threshold("delay", &["-m", "200", "--rate", "1000"], "p99>20ms", 4);
    check_threshold("honest", &["-m", "200", "--rate", "1000"], "p99>5s", 0);
}

#[test]
fn one_late_client_does_not_show_in_half_of_the_deliveries() {
    check_threshold("delay", &["-m", "20"], "p50>20ms", 0);
}

#[test]
fn a_leak_shows_in_the_growth() {
    // More than 400 messages, 64 KiB each.
    check_threshold("leak", &["-m", "200"], "rss-growth>10MiB", 4);
    check_threshold("honest", &["-m", "200"], "rss-growth>10MiB", 0);
}

#[test]
fn any_other_order_is_a_contradiction_with_much_in_flight() {
    check_window(
        "reorder",
        "1000",
        &[
            "iteration 0",
            "(contradiction): ",
            " received them the other way round",
        ],
    );
    check_window(
        "reorder-late",
        "1000",
        &[
            "iteration 0",
            "(contradiction): ",
            " received them the other way round",
        ],
    );
}

#[test]
fn four_publishers_and_twelve_subscribers_find_one_contradiction() {
    let run = run(
        "reorder-late",
        &[
            "-p", "4", "-s", "3", "-m", "5000", "-r", "1", "--window", "1000",
        ],
    );
    run.check(
        3,
        &["(contradiction): ", " received them the other way round"],
    );
    assert!(!run.stdout.contains("successfully"), "{}", run.stdout);
}

#[test]
fn an_answer_before_what_it_answers_is_causal_in_the_smallest_window() {
    // Three chances: each takes seconds.
    let run = run("causal", &["-m", "60", "-r", "1", "--window", "1"]);
    run.check(3, &["(causal): ", " before it sent its message "]);
}

#[test]
fn every_wrong_delivery_is_told_of_with_much_in_flight() {
    let victim = "subscriber 0 of publisher 0 received ";
    check_window("corrupt", "100", &["(corrupt): ", victim]);
    check_window("truncate", "100", &["(corrupt): ", victim]);
    check_window(
        "duplicate",
        "100",
        &["(duplicate): ", victim, " more than once"],
    );
    check_window("invent", "100", &["(phantom): ", victim]);
    check_window("wrong-start", "100", &["(phantom): ", victim]);
    check_window(
        "swap",
        "100",
        &[
            "(reordered): publisher 0 sent its message 0 before its message 1, subscriber 2 of publisher 1 ",
        ],
    );
}

#[test]
fn drops_are_counted_exactly_with_much_in_flight() {
    check_counted(
        &run("honest", &["-m", "1000", "-r", "1", "--window", "100"]),
        6000,
        6000,
    );
    check_counted(
        &run(
            "drop-half-bulk",
            &["-m", "1000", "-r", "1", "--window", "100"],
        ),
        3000,
        6000,
    );
    // Publisher 0's subscriber 0 misses every third of its 1000 messages.
    check_counted(
        &run("drop-thirds", &["-m", "1000", "-r", "1", "--window", "100"]),
        5667,
        6000,
    );
}

#[test]
fn an_odd_last_message_that_nobody_receives_is_counted_too() {
    check_counted(
        &run(
            "drop-half-bulk",
            &["-m", "101", "-r", "1", "--window", "10"],
        ),
        300,
        606,
    );
}

#[test]
fn a_late_client_loses_nothing_with_much_in_flight() {
    check_counted(
        &run(
            "delay --delay-ms 150",
            &["-m", "1000", "-r", "1", "--window", "100"],
        ),
        6000,
        6000,
    );
}

#[test]
fn clients_that_never_read_hold_up_nobody() {
    // More than the sockets of a client that does not read can hold.
    let run = run(
        "honest",
        &[
            "-m",
            "20000",
            "-r",
            "1",
            "--window",
            "100",
            "--stalled",
            "2",
        ],
    );
    check_counted(&run, 120_000, 120_000);
}

#[test]
fn a_broken_promise_outweighs_a_threshold() {
    let run = run("duplicate", &["-m", "5", "-r", "1", "--fail-on", "p99>0ms"]);
    run.check(3, &["(duplicate): "]);
}

#[test]
fn a_server_that_ends_or_hangs_with_much_in_flight_is_told_of() {
    run("die", &["--window", "100"]).check(
        1,
        &[
            "error: the server died: exit status: 7",
            "the load is too much",
        ],
    );
    run("hang", &["--window", "100", "--patience", "3"]).check(
        1,
        &["the server hangs, or drops everything: it has sent nothing to anybody for 3 s"],
    );
}
