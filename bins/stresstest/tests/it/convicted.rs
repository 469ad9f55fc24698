use std::thread;

use crate::run::run;

/// Runs a server with a fault and expects it to be convicted with all of `told`.
#[track_caller]
fn check(fault: &str, told: &[&str]) {
    let run = run(fault, &["-m", "5", "-r", "2", "--seed", "7"]);
    run.check(3, told);
    // Others than these do not depend on what is sent.
    let depends = ["(corrupt)", "(phantom)"]
        .iter()
        .any(|class| run.stderr.contains(class));
    let is_told = run.stderr.contains("note: repeat it with --seed 7");
    assert_eq!(is_told, depends, "{}", run.stderr);
    let successes = run.stdout.matches("successfully").count();
    let begun = run.stdout.matches("iteration").count();
    assert_eq!(
        successes + 1,
        begun,
        "the last iteration is no success:\n{}",
        run.stdout
    );
}

#[test]
fn two_orders_at_two_clients_are_a_contradiction() {
    let run = run("reorder", &["-m", "5", "-r", "1"]);
    // Which of the two is told of first does not matter.
    run.check(
        3,
        &[
            "error: iteration 0: the promise is broken (contradiction): ",
            "subscriber 0 of publisher 0 received ",
        ],
    );
    run.check(
        3,
        &[
            " received publisher ",
            "'s message 0 before publisher ",
            "'s message 0, ",
            " received them the other way round",
        ],
    );
    assert!(!run.stdout.contains("successfully"), "{}", run.stdout);
}

#[test]
fn two_messages_in_another_order_are_found_among_many() {
    run("reorder-late", &["-m", "1000", "-r", "1"]).check(
        3,
        &["(contradiction): ", " received them the other way round"],
    );
}

#[test]
fn an_answer_before_what_it_answers_is_causal() {
    let run = run("causal", &["-m", "60", "-r", "1"]);
    run.check(
        3,
        &[
            "(causal): publisher 0 received publisher 1's message ",
            ", publisher 1 received publisher 0's message ",
        ],
    );
    run.check(3, &[" before it sent its message "]);
    assert!(!run.stdout.contains("successfully"), "{}", run.stdout);
}

#[test]
fn a_changed_byte_is_corrupt() {
    check(
        "corrupt",
        &[
            "error: iteration 0: the promise is broken (corrupt): subscriber 0 of publisher 0 received publisher ",
        ],
    );
}

#[test]
fn a_missing_byte_is_corrupt() {
    check(
        "truncate",
        &["(corrupt): subscriber 0 of publisher 0 received publisher "],
    );
}

#[test]
fn a_message_delivered_twice_is_a_duplicate() {
    check(
        "duplicate",
        &[
            "(duplicate): subscriber 0 of publisher 0 received publisher ",
            " more than once",
        ],
    );
}

#[test]
fn a_message_that_nobody_sent_is_a_phantom() {
    check(
        "invent",
        &["(phantom): subscriber 0 of publisher 0 received a message that nobody sent"],
    );
}

#[test]
fn a_message_that_nobody_sent_is_a_phantom_behind_all_others_too() {
    check(
        "invent-last",
        &[
            "error: iteration 0: the promise is broken (phantom): ",
            " received a message that nobody sent",
        ],
    );
}

#[test]
fn a_stream_that_ends_inside_a_message_is_a_phantom() {
    check(
        "cut-last",
        &[
            "(phantom): ",
            " received 3 bytes of a message whose end never came",
        ],
    );
}

#[test]
fn a_stream_that_ends_inside_a_message_is_a_phantom_beside_visitors_too() {
    let load = ["--window", "10", "--duration", "1s", "--churn", "10"];
    run("honest", &load).check(0, &[]);
    run("cut-last", &load).check(3, &["(phantom): ", " of a message whose end never came"]);
}

#[test]
fn a_stream_that_begins_inside_a_message_is_a_phantom() {
    check(
        "wrong-start",
        &["(phantom): subscriber 0 of publisher 0 received a message "],
    );
}

#[test]
fn a_server_that_leaves_out_the_sender_is_convicted() {
    let run = run("forget-sender", &["-m", "5", "-r", "1", "--patience", "6"]);
    run.check(
        3,
        &[
            "(forgotten): publisher ",
            " messages back that it had sent and others received: the sender is to get its own",
        ],
    );
}

#[test]
fn a_server_that_leaves_out_the_sender_of_load_only_is_convicted() {
    let run = run("forget-load", &["-m", "50", "-r", "1"]);
    run.check(
        3,
        &["(forgotten): publisher 0 got none of 50 messages back that it had sent"],
    );
}

#[test]
fn a_conviction_outweighs_a_file_that_cannot_be_written() {
    for option in ["--record", "--json", "--csv"] {
        let run = run("duplicate", &["-m", "5", "-r", "1", option, "/dev/full"]);
        run.check(
            3,
            &[
                "(duplicate): subscriber 0 of publisher 0 received publisher ",
                "cannot write /dev/full: No space left",
            ],
        );
    }
}

#[test]
fn without_records_a_message_delivered_twice_is_convicted_all_the_same() {
    let run = run("duplicate", &["-m", "5", "-r", "1", "--check", "basic"]);
    run.check(
        3,
        &["(duplicate or reordered): subscriber 0 of publisher 0 received publisher "],
    );
}

#[test]
fn two_messages_of_one_sender_in_the_wrong_order_are_reordered() {
    let told = "(reordered): publisher 0 sent its message 0 before its message 1, \
                subscriber 2 of publisher 1 received them the other way round";
    check("swap", &[told]);
}

#[test]
fn a_message_of_the_repetition_before_may_not_follow_any_of_this() {
    check(
        "replay-late",
        &[
            "iteration 1: the promise is broken (phantom): ",
            " received a message of iteration 0 after one of this iteration",
        ],
    );
}

#[test]
fn a_client_that_is_left_out_is_found_whenever_that_begins_and_under_any_load() {
    let loads: [&[&str]; 4] = [
        &["-m", "300", "-r", "1"],
        &["--window", "100", "-m", "2000"],
        &["--rate", "1000", "--duration", "1s"],
        &["--window", "10", "--duration", "500ms", "--churn", "10"],
    ];
    let faults = [
        "forget-victim",
        "forget-victim --victim 0",
        "forget-victim-late",
        "forget-victim-late --victim 0",
        "drop-all",
        "drop-closing",
        "echo-only",
        "forget-sender",
    ];
    // They wait most of the time.
    thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || {
                for load in loads {
                    let options = [load, &["--timeout", "2s"][..]].concat();
                    run(fault, &options).check(3, &["(forgotten): "]);
                }
            });
        }
    });
}

#[test]
fn publishers_that_do_not_read_are_not_said_to_be_left_out() {
    let run = run(
        "drop-closing",
        &["--classic", "-m", "5", "-r", "1", "--timeout", "2s"],
    );
    run.check(
        3,
        &[
            "(forgotten): subscriber 0 of publisher 0 got none of ",
            " messages in a row that publisher ",
        ],
    );
}

#[test]
fn messages_of_the_repetition_before_come_once_and_in_their_order() {
    check(
        "replay-twice",
        &[
            "iteration 1: the promise is broken (phantom): ",
            " received a message of iteration 0 again, ",
        ],
    );
    check(
        "replay-reversed",
        &[
            "iteration 1: the promise is broken (phantom): ",
            " received a message of iteration 0 a",
        ],
    );
}
