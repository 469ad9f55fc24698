use chat_check::{Record, StepKind, check};

use crate::naive::{history, id, records};

#[test]
fn names_take_the_place_of_numbers() {
    let violation = check(&records(&history(["s0", "r0 s1", "r1 r0"]))).unwrap_err();
    let named = violation.map(|message| ["the question", "the answer"][message.index() as usize]);
    let steps: Vec<_> = named
        .story()
        .iter()
        .map(|step| (step.client, step.kind, step.before, step.after))
        .collect();
    let expected = [
        (
            1,
            StepKind::ReceivedBeforeSent,
            "the question",
            "the answer",
        ),
        (2, StepKind::Received, "the answer", "the question"),
    ];
    assert_eq!(steps, expected);
    assert_eq!(
        named.to_string(),
        "client 1 received the question before it sent the answer, client 2 received the answer before the question"
    );
}

#[test]
fn every_class_takes_names() {
    let name = |index: u32| format!("letter {index}");
    let mut phantom = Record::new();
    phantom.received_phantom();
    let mut corrupt = Record::new();
    corrupt.received_corrupt(id(1));
    let cases = [
        (
            records(&history(["s0 s0"])),
            "client 0 sent letter 0, client 0 sent it again",
        ),
        (
            vec![corrupt],
            "client 0 received letter 1 with another content",
        ),
        (
            vec![phantom],
            "client 0 received a message that nobody sent",
        ),
        (
            records(&history(["r2"])),
            "client 0 received letter 2 that nobody sent",
        ),
        (
            records(&history(["s0 r0 r0"])),
            "client 0 received letter 0 more than once",
        ),
        (
            records(&history(["s0 s1 r1 r0"])),
            "client 0 sent letter 0 before letter 1, client 0 received letter 1 before letter 0",
        ),
        (
            records(&history(["s0", "s1", "r0 r1", "r1 r0"])),
            "client 2 received letter 0 before letter 1, client 3 received letter 1 before letter 0",
        ),
    ];
    for (records, expected) in cases {
        assert_eq!(
            check(&records)
                .unwrap_err()
                .map(|message| name(message.index()))
                .to_string(),
            expected
        );
    }
}
