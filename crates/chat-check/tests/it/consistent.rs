use chat_check::{Consistent, Record, check};

use crate::naive::{History, history, id, keeps_promise, records};

/// Checks that a history is consistent and that the order found is one that keeps the promise.
#[track_caller]
fn check_consistent(history: &History) -> Consistent {
    let consistent = check(&records(history)).unwrap();
    let order: Vec<u32> = consistent
        .order()
        .iter()
        .map(|message| message.index())
        .collect();
    assert!(
        keeps_promise(history, &order),
        "{order:?} does not keep the promise"
    );
    consistent
}

#[test]
fn nothing_is_consistent() {
    for client_count in 0..3 {
        let consistent = check(&vec![Record::new(); client_count]).unwrap();
        assert_eq!(
            (consistent.message_count(), consistent.delivery_count()),
            (0, 0)
        );
        assert!(consistent.order().is_empty());
    }
}

#[test]
fn counts_are_of_messages_and_of_deliveries() {
    let consistent = check_consistent(&history(["s0 s1 r0 r1", "s2 r0 r1 r2", ""]));
    assert_eq!(
        (consistent.message_count(), consistent.delivery_count()),
        (3, 5)
    );
}

#[test]
fn any_drops_are_consistent() {
    check_consistent(&history(["s0 s1 s2", "r0 r1 r2", "r1", "r0 r2", ""]));
}

#[test]
fn messages_that_reach_nobody_are_consistent() {
    assert_eq!(
        check_consistent(&history(["s0 s1", "s2", ""])).message_count(),
        3
    );
}

#[test]
fn drops_at_every_client_are_merged() {
    let consistent = check_consistent(&history([
        "s0 s1", "s2 s3", "r0 r2", "r2 r1", "r1 r3", "r0 r3",
    ]));
    assert_eq!(consistent.order(), [0, 2, 1, 3].map(id));
}

#[test]
fn numbers_may_have_gaps_and_any_order() {
    assert_eq!(
        check_consistent(&history(["s9 s2", "s5", "r9 r5 r2"])).order(),
        [9, 5, 2].map(id)
    );
}

#[test]
fn a_receipt_after_a_send_orders_nothing() {
    // Client 0 received message 1 after it sent message 0, yet message 1 stands first: message 0
    // was still under way.
    check_consistent(&history(["s0 r1 r0", "s1 r1 r0"]));
    check_consistent(&history(["s0 r1", "s1", "r1 r0"]));
}

#[test]
fn an_answer_after_what_it_answers_is_consistent() {
    assert_eq!(
        check_consistent(&history(["s1", "r1 s0", "r1 r0"])).order(),
        [1, 0].map(id)
    );
}

#[test]
fn a_send_between_receipts_waits_for_those_before_it_only() {
    check_consistent(&history(["s0 s1 s2", "r0 s3 r1 s4 r2", "r0 r3 r1 r4 r2"]));
    check_consistent(&history(["s0 s1 s2", "r0 s3 r1 s4 r2", "r0 r1 r2 r3 r4"]));
}

#[test]
fn a_million_deliveries_are_consistent() {
    const SENDER_COUNT: u32 = 50;
    const MESSAGE_COUNT: u32 = 20_000;
    let mut records = vec![Record::new(); 60];
    for index in 0..MESSAGE_COUNT {
        let sender = (index * 7 % SENDER_COUNT) as usize;
        records[sender].sent(id(index));
        for (client, record) in records.iter_mut().enumerate() {
            // All but the first client miss stretches of a hundred messages, each its own ones.
            if client == 0 || !(index as usize / 100 + client).is_multiple_of(10) {
                record.received(id(index));
            }
        }
    }
    let consistent = check(&records).unwrap();
    assert!(consistent.delivery_count() > 1_000_000);
    assert!(
        consistent
            .order()
            .iter()
            .map(|message| message.index())
            .eq(0..MESSAGE_COUNT)
    );

    // Without a client that received everything, the order is the same.
    records[0] = Record::new();
    for index in (0..MESSAGE_COUNT).filter(|index| index * 7 % SENDER_COUNT == 0) {
        records[0].sent(id(index));
    }
    let consistent = check(&records).unwrap();
    assert!(consistent.delivery_count() > 1_000_000);
    assert!(
        consistent
            .order()
            .iter()
            .map(|message| message.index())
            .eq(0..MESSAGE_COUNT)
    );
}
