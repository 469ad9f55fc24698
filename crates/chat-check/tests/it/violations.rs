use chat_check::{Record, Violation, check};

use crate::naive::{History, check_story, class, history, id, records};

/// Checks the class and the story of a history.
#[track_caller]
fn check_violation<const N: usize>(lines: [&str; N], expected: (&str, &str)) {
    let violation = check(&records(&history(lines))).unwrap_err();
    assert_eq!(
        (class(&violation), violation.to_string().as_str()),
        expected
    );
    if !violation.story().is_empty() {
        check_story(&history(lines), &violation);
    }
}

#[test]
fn a_message_sent_twice_is_an_error_of_the_records() {
    check_violation(
        ["s0", "", "s0"],
        (
            "sent twice",
            "client 0 sent message 0, client 2 sent it again",
        ),
    );
    check_violation(
        ["s0 s1 s0"],
        (
            "sent twice",
            "client 0 sent message 0, client 0 sent it again",
        ),
    );
}

#[test]
fn a_corrupt_delivery_is_told() {
    let mut records = records(&history(["s0 r0", "r0"]));
    records[1].received_corrupt(id(7));
    let violation = check(&records).unwrap_err();
    assert_eq!(
        violation,
        Violation::Corrupt {
            client: 1,
            message: id(7)
        }
    );
    assert_eq!(
        violation.to_string(),
        "client 1 received message 7 with another content"
    );
}

#[test]
fn a_delivery_of_nothing_is_a_phantom() {
    let mut records = records(&history(["s0 r0", "r0"]));
    records[1].received_phantom();
    let violation = check(&records).unwrap_err();
    assert_eq!(
        violation,
        Violation::Phantom {
            client: 1,
            message: None
        }
    );
    assert_eq!(
        violation.to_string(),
        "client 1 received a message that nobody sent"
    );
}

#[test]
fn a_message_that_nobody_sent_is_a_phantom() {
    // Below, between and above those that were sent.
    check_violation(
        ["s1", "r0"],
        ("phantom", "client 1 received message 0 that nobody sent"),
    );
    check_violation(
        ["s0 s2", "r0 r1 r2"],
        ("phantom", "client 1 received message 1 that nobody sent"),
    );
    check_violation(
        ["s0", "r0 r1073741823"],
        (
            "phantom",
            "client 1 received message 1073741823 that nobody sent",
        ),
    );
    check_violation(
        ["r0"],
        ("phantom", "client 0 received message 0 that nobody sent"),
    );
}

#[test]
fn phantoms_do_not_stand_in_for_messages_that_are_stuck() {
    // Messages 0 and 3 are stuck, but as many messages as were sent can be taken: 1 and 2.
    check_violation(
        ["s0 s3", "r3 r0", "r1", "r2"],
        ("phantom", "client 2 received message 1 that nobody sent"),
    );
}

#[test]
fn a_phantom_at_a_client_with_few_deliveries_is_found() {
    check_violation(
        ["s0 s2", "r0 r2", "r1"],
        ("phantom", "client 2 received message 1 that nobody sent"),
    );
    check_violation(
        ["s0 s2", "r0 r2", "r3"],
        ("phantom", "client 2 received message 3 that nobody sent"),
    );
}

#[test]
fn a_duplicate_is_told() {
    check_violation(
        ["s0 s1", "r0 r1 r0"],
        ("duplicate", "client 1 received message 0 more than once"),
    );
    check_violation(
        ["s0 s1 s2", "r0 r1 r2", "r2 r2"],
        ("duplicate", "client 2 received message 2 more than once"),
    );
    check_violation(
        ["s0 r0 r0"],
        ("duplicate", "client 0 received message 0 more than once"),
    );
}

#[test]
fn a_sender_reordered_is_told_in_two_steps() {
    let story = "client 0 sent message 12 before message 17, client 2 received message 17 before message 12";
    check_violation(
        ["s12 s15 s17", "r12 r15 r17", "r17 r12"],
        ("reordered", story),
    );
    check_violation(
        ["s0 s1 r1 r0"],
        (
            "reordered",
            "client 0 sent message 0 before message 1, client 0 received message 1 before message 0",
        ),
    );
}

#[test]
fn two_clients_that_disagree_are_told_in_two_steps() {
    let story = "client 2 received message 0 before message 1, client 3 received message 1 before message 0";
    check_violation(["s0", "s1", "r0 r1", "r1 r0"], ("contradiction", story));
}

#[test]
fn three_clients_that_agree_pairwise_contradict_each_other() {
    let story = "client 3 received message 0 before message 1, client 4 received message 1 before message 2, \
                 client 5 received message 2 before message 0";
    let lines = ["s0", "s1", "s2", "r0 r1", "r1 r2", "r2 r0"];
    check_violation(lines, ("contradiction", story));
    for absent in 3..6 {
        let mut pair = lines;
        pair[absent] = "";
        assert!(
            check(&records(&history(pair))).is_ok(),
            "without client {absent}"
        );
    }
}

#[test]
fn two_steps_are_told_where_three_heads_wait() {
    // The heads 0, 1 and 2 wait in a circle, but clients 3 and 4 disagree about 3 and 4 alone.
    let lines = [
        "s0 s3",
        "s1 s4",
        "s2",
        "r0 r1 r3 r4",
        "r1 r2 r4 r3",
        "r2 r0",
    ];
    let story = "client 3 received message 3 before message 4, client 4 received message 4 before message 3";
    check_violation(lines, ("contradiction", story));
}

#[test]
fn a_sender_that_two_receivers_contradict_takes_three_steps() {
    // No client sees the sender's messages in another order; together the receivers do.
    let story = "client 0 sent message 0 before message 1, client 2 received message 1 before message 2, \
                 client 3 received message 2 before message 0";
    check_violation(["s0 s1", "s2", "r1 r2", "r2 r0"], ("contradiction", story));
}

#[test]
fn the_plainest_step_between_two_messages_is_told() {
    // Client 1 answered message 0 with message 1; client 2 received both.
    let story = "client 2 received message 0 before message 1, client 3 received message 1 before message 0";
    check_violation(["s0", "r0 s1", "r0 r1", "r1 r0"], ("contradiction", story));
    // Client 0 received both; client 1 sent both.
    let story = "client 1 sent message 0 before message 1, client 3 received message 1 before message 2, \
                 client 4 received message 2 before message 0";
    check_violation(
        ["r0 r1", "s0 s1", "s2", "r1 r2", "r2 r0"],
        ("contradiction", story),
    );
}

#[test]
fn the_first_client_of_those_that_say_the_same_is_told() {
    let story = "client 2 received message 0 before message 1, client 4 received message 1 before message 0";
    let lines = ["s0", "s1", "r0 r1", "r0 r1", "r1 r0", "r1 r0"];
    check_violation(lines, ("contradiction", story));
}

#[test]
fn an_answer_before_what_it_answers_is_causal() {
    let story = "client 1 received message 0 before it sent message 1, client 2 received message 1 before message 0";
    check_violation(["s0", "r0 s1", "r1 r0"], ("causal", story));
}

#[test]
fn an_answer_is_after_everything_received_before_it() {
    let story = "client 1 received message 0 before it sent message 3, client 2 received message 3 before message 0";
    check_violation(["s0 s1 s2", "r0 r1 r2 s3", "r3 r0"], ("causal", story));
    let story = "client 1 received message 0 before it sent message 3, client 2 received message 3 before message 0";
    check_violation(["s0", "r0 s1 s2 s3", "r3 r0"], ("causal", story));
}

#[test]
fn clients_that_answer_each_other_in_a_circle_are_causal() {
    let story = "client 0 received message 1 before it sent message 0, client 1 received message 0 before it sent message 1";
    check_violation(["r1 s0", "r0 s1"], ("causal", story));
}

#[test]
fn an_echo_before_its_send_is_causal_in_one_step() {
    check_violation(
        ["r0 s0"],
        (
            "causal",
            "client 0 received message 0 before it sent message 0",
        ),
    );
    check_violation(
        ["s1", "r1 r0 s0", "r0 r1"],
        (
            "causal",
            "client 1 received message 0 before it sent message 0",
        ),
    );
}

#[test]
fn the_class_listed_first_is_told() {
    let mut records = records(&history(["s0 s1 s2", "r2 r1", "r0 r0", "r3", "", "s3"]));
    assert_eq!(class(&check(&records[..5]).unwrap_err()), "phantom");
    assert_eq!(class(&check(&records).unwrap_err()), "duplicate");
    records[2].clear();
    assert_eq!(class(&check(&records).unwrap_err()), "reordered");
    records[2].received_phantom();
    assert_eq!(class(&check(&records).unwrap_err()), "phantom");
    records[1].received_corrupt(id(0));
    assert_eq!(class(&check(&records).unwrap_err()), "corrupt");
    records[4].sent(id(0));
    assert_eq!(class(&check(&records).unwrap_err()), "sent twice");
}

#[test]
fn a_circle_of_hundreds_of_clients_is_told_in_full() {
    const COUNT: usize = 300;
    let next = |i: usize| (i + 1) % COUNT;
    let circles: [(&str, usize, Vec<String>); 3] = [
        (
            "contradiction",
            COUNT,
            (0..COUNT)
                .flat_map(|i| [format!("s{i}"), format!("r{i} r{}", next(i))])
                .collect(),
        ),
        (
            "causal",
            COUNT,
            (0..COUNT).map(|i| format!("r{i} s{}", next(i))).collect(),
        ),
        (
            "contradiction",
            2 * COUNT,
            (0..COUNT)
                .flat_map(|i| {
                    [
                        format!("s{i} s{}", COUNT + i),
                        format!("r{} r{}", COUNT + i, next(i)),
                    ]
                })
                .collect(),
        ),
    ];
    for (expected, step_count, lines) in circles {
        let history = lines
            .iter()
            .flat_map(|line| history([line.as_str()]))
            .collect();
        let violation = check(&records(&history)).unwrap_err();
        assert_eq!(
            (class(&violation), violation.story().len()),
            (expected, step_count)
        );
        check_story(&history, &violation);
    }
}

#[test]
fn a_shorter_story_in_a_circle_of_64_messages_is_found() {
    const COUNT: usize = 64;
    let mut lines: Vec<_> = (0..COUNT)
        .flat_map(|i| [format!("s{i}"), format!("r{i} r{}", (i + 1) % COUNT)])
        .collect();
    lines.push("r5 r1".to_owned());
    let history: History = lines
        .iter()
        .flat_map(|line| history([line.as_str()]))
        .collect();
    let violation = check(&records(&history)).unwrap_err();
    assert_eq!(violation.story().len(), 5, "{violation}");
    check_story(&history, &violation);
}

#[test]
fn one_swap_in_a_long_run_is_told_in_two_steps() {
    let mut records = vec![Record::new(); 20];
    for index in 0..10_000 {
        records[index as usize % 20].sent(id(index));
    }
    for (client, record) in records.iter_mut().enumerate() {
        let swapped = if client == 13 { 7_000..7_002 } else { 0..0 };
        for index in 0..10_000 {
            record.received(id(if swapped.contains(&index) {
                14_001 - index
            } else {
                index
            }));
        }
    }
    let violation = check(&records).unwrap_err();
    let story = "client 0 received message 7000 before message 7001, client 13 received message 7001 before message 7000";
    assert_eq!(violation.to_string(), story);
}

#[test]
fn a_violation_is_an_error() {
    let error: Box<dyn std::error::Error + Send + Sync> =
        check(&records(&history(["r0"]))).unwrap_err().into();
    assert!(error.source().is_none());
}
