use std::panic::{self, AssertUnwindSafe};

use chat_check::{MESSAGE_COUNT_MAX, MessageId, MessageIdTooLarge, Record, check};

use crate::naive::id;

#[test]
fn messages_are_numbered_with_30_bits() {
    assert_eq!(MessageId::new(0).unwrap().index(), 0);
    assert_eq!(
        MessageId::new((1 << 30) - 1).unwrap().index(),
        (1 << 30) - 1
    );
    for index in [1 << 30, u32::MAX] {
        assert_eq!(MessageId::new(index), Err(MessageIdTooLarge { index }));
    }
    let error = MessageId::new(MESSAGE_COUNT_MAX).unwrap_err();
    assert_eq!(
        error.to_string(),
        "messages are numbered below 1073741824, not 1073741824"
    );
}

#[test]
fn a_run_ends_at_the_highest_number() {
    let mut record = Record::new();
    record.received_run(id(MESSAGE_COUNT_MAX - 2), 0);
    record.received_run(id(MESSAGE_COUNT_MAX - 2), 2);
    let last = [MESSAGE_COUNT_MAX - 2, MESSAGE_COUNT_MAX - 1].map(id);
    assert!(record.received_messages().eq(last));
}

#[test]
fn a_run_past_the_highest_number_is_refused() {
    for (first, count) in [
        (MESSAGE_COUNT_MAX - 2, 3),
        (0, MESSAGE_COUNT_MAX + 1),
        (1, u32::MAX),
    ] {
        let mut record = Record::new();
        let refused =
            panic::catch_unwind(AssertUnwindSafe(|| record.received_run(id(first), count)));
        let message = *refused.unwrap_err().downcast::<String>().unwrap();
        let expected =
            format!("a run of {count} from message {first} on goes past the highest number");
        assert_eq!(message, expected);
        assert_eq!(record, Record::new(), "nothing is recorded");
    }
}

#[test]
fn a_cleared_record_is_as_good_as_new() {
    let mut record = Record::new();
    record.sent(id(1000));
    record.received_corrupt(id(1000));
    record.received_phantom();
    record.clear();
    assert_eq!(record, Record::new());

    record.sent(id(0));
    record.received(id(0));
    let consistent = check(&[record]).unwrap();
    assert_eq!(
        (consistent.message_count(), consistent.delivery_count()),
        (1, 1)
    );
}

#[test]
fn the_words_of_a_record_make_it_again() {
    let mut record = Record::new();
    record.received(id(0));
    record.sent(id(MESSAGE_COUNT_MAX - 1));
    record.received_corrupt(id(4));
    record.sent(id(3));
    record.received_phantom();
    let words = [0, (1 << 31) - 1, (1 << 31) | 4, (1 << 30) | 3, 3 << 30];
    assert!(record.words().eq(words));
    assert_eq!(Record::from_words(words), record);
    // The sends are counted, too.
    assert_eq!(Record::from_words(words).delivery_count(), 3);
}

#[test]
fn a_record_shows_its_events() {
    let mut record = Record::new();
    record.sent(id(3));
    record.received(id(3));
    record.received_corrupt(id(4));
    record.received_phantom();
    let shown = format!("{record:?}");
    for event in [
        "Sent(MessageId { index: 3 })",
        "Received(MessageId { index: 3 })",
        "Corrupt(MessageId { index: 4 })",
        "Phantom",
    ] {
        assert!(shown.contains(event), "{event} is not in {shown}");
    }
}
