use std::collections::HashMap;

use chat_check::{Violation, check};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::naive::{
    self, Event, History, check_story, class, has_order, keeps_promise, records,
    shortest_cycle_len, single_fault, steps,
};

/// Checks the verdict on a history against all orders there are, and its story against the history.
/// Returns the class.
#[track_caller]
fn check_history(history: &History) -> &'static str {
    match check(&records(history)) {
        Ok(consistent) => {
            let order: Vec<u32> = consistent
                .order()
                .iter()
                .map(|message| message.index())
                .collect();
            assert!(
                keeps_promise(history, &order),
                "{order:?} does not keep the promise in {history:?}"
            );
            "consistent"
        }
        Err(violation) => {
            assert!(
                !has_order(history),
                "{violation}, yet an order exists for {history:?}"
            );
            check_violation(history, &violation);
            class(&violation)
        }
    }
}

#[track_caller]
fn check_violation(history: &History, violation: &Violation) {
    match single_fault(history) {
        Some(fault) => assert_eq!(class(violation), fault, "{history:?}"),
        None => {
            assert_eq!(
                Some(violation.story().len()),
                shortest_cycle_len(history),
                "{violation} is not the shortest of {history:?}"
            );
            check_plainest(history, violation);
        }
    }
    if !violation.story().is_empty() {
        check_story(history, violation);
    }
}

/// Checks that no plainer step puts the same messages in the same order, and no earlier client says
/// the same.
#[track_caller]
fn check_plainest(history: &History, violation: &Violation) {
    let steps = steps(history);
    for told in violation.story() {
        let plainest = steps
            .iter()
            .filter(|step| (step.before, step.after) == (told.before, told.after))
            .min_by_key(|step| (step.kind, step.client));
        assert_eq!(Some(told), plainest, "{violation} of {history:?}");
    }
}

/// Histories of up to 5 messages and 4 clients.
fn histories() -> impl Strategy<Value = History> {
    prop_oneof![2 => agreeing(), 1 => arbitrary()]
}

/// Histories in which most clients agree.
///
/// They grow from an order that keeps the promise: each client receives part of it and sends no
/// answer before what it answers. Then one in a few lists is disturbed.
fn agreeing() -> impl Strategy<Value = History> {
    (0..=5_u32, 1..=4_usize).prop_flat_map(|(message_count, client_count)| {
        let order = Just((0..message_count).collect::<Vec<_>>()).prop_shuffle();
        let senders = prop::collection::vec(0..client_count, message_count as usize);
        let clients = prop::collection::vec(plan(message_count as usize), client_count);
        (order, senders, clients).prop_map(|(order, senders, plans)| {
            let client = |(client, plan): (usize, &Plan)| {
                plan.events(&order, |position| senders[position] == client)
            };
            plans.iter().enumerate().map(client).collect()
        })
    })
}

/// Histories of short lists in any order, with sends anywhere between.
fn arbitrary() -> impl Strategy<Value = History> {
    let lists = prop::collection::vec(
        prop::sample::subsequence(vec![0, 1, 2, 3], 0..=2).prop_shuffle(),
        4,
    );
    let sends = prop::collection::vec((0..4_usize, prop_oneof![3 => Just(0), 1 => 1..3_usize]), 4);
    (lists, sends).prop_map(|(lists, sends)| {
        let received = |list: &Vec<u32>| {
            list.iter()
                .map(|&message| Event::Received(message))
                .collect()
        };
        let mut history: History = lists.iter().map(received).collect();
        for (message, (sender, position)) in (0..).zip(sends) {
            let events = &mut history[sender];
            events.insert(position.min(events.len()), Event::Sent(message));
        }
        history
    })
}

/// How one client differs from the order.
#[derive(Clone, Debug)]
struct Plan {
    /// Whether each message of the order is received.
    receives: Vec<bool>,
    /// How many receipts before its latest legal time each message of the order is sent; negative
    /// when it is sent too late.
    sends: Vec<i8>,
    disturbance: Disturbance,
}

/// An error in the receipts of one client, and its places.
#[derive(Clone, Debug)]
enum Disturbance {
    None,
    Swap(usize, usize),
    Duplicate(usize, usize),
    Phantom(usize),
}

fn plan(message_count: usize) -> impl Strategy<Value = Plan> {
    let place = 0..5_usize;
    let disturbance = prop_oneof![
        24 => Just(Disturbance::None),
        6 => (place.clone(), place.clone()).prop_map(|(one, other)| Disturbance::Swap(one, other)),
        1 => (place.clone(), place.clone()).prop_map(|(one, other)| Disturbance::Duplicate(one, other)),
        1 => place.prop_map(Disturbance::Phantom),
    ];
    let receives = prop::collection::vec(prop::bool::weighted(0.7), message_count);
    let sends = prop::collection::vec(prop_oneof![20 => 0..3_i8, 1 => -3..0_i8], message_count);
    (receives, sends, disturbance).prop_map(|(receives, sends, disturbance)| Plan {
        receives,
        sends,
        disturbance,
    })
}

impl Plan {
    fn events(&self, order: &[u32], is_own: impl Fn(usize) -> bool) -> Vec<Event> {
        let mut received: Vec<u32> = order
            .iter()
            .zip(&self.receives)
            .filter(|(_, receives)| **receives)
            .map(|(id, _)| *id)
            .collect();
        let mut sends = Vec::new();
        let mut legal = 0_usize;
        let mut earliest = 0;
        for (position, &message) in order.iter().enumerate() {
            if is_own(position) {
                let time = legal.saturating_add_signed(-isize::from(self.sends[position]));
                earliest = time.clamp(earliest, received.len().max(earliest));
                sends.push((earliest, message));
            }
            legal += usize::from(self.receives[position]);
        }
        self.disturb(&mut received);
        let mut events = Vec::new();
        let mut sends = sends.into_iter().peekable();
        for time in 0..=received.len() {
            while let Some((_, message)) = sends.next_if(|(at, _)| *at <= time) {
                events.push(Event::Sent(message));
            }
            events.extend(received.get(time).map(|&message| Event::Received(message)));
        }
        events
    }

    fn disturb(&self, received: &mut Vec<u32>) {
        let len = received.len();
        match self.disturbance {
            Disturbance::Swap(one, other) if len > 0 => received.swap(one % len, other % len),
            Disturbance::Duplicate(one, other) if len > 0 => {
                received.insert(other % len, received[one % len])
            }
            Disturbance::Phantom(at) => received.insert(at.min(len), 5),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 6_000, ..Config::default() })]

    #[test]
    fn any_small_history_is_judged_as_trying_all_orders_judges_it(history in histories()) {
        check_history(&history);
    }
}

#[test]
fn every_verdict_occurs_among_the_random_histories() {
    const CASE_COUNT: u32 = 4_000;
    let mut runner = TestRunner::deterministic();
    let mut counts: HashMap<&str, u32> = HashMap::new();
    let mut step_counts: HashMap<usize, u32> = HashMap::new();
    for _ in 0..CASE_COUNT {
        let history = histories().new_tree(&mut runner).unwrap().current();
        *counts.entry(check_history(&history)).or_default() += 1;
        if let (None, Some(len)) = (single_fault(&history), shortest_cycle_len(&history)) {
            *step_counts.entry(len).or_default() += 1;
        }
    }
    let expected = [
        ("consistent", 1_000),
        ("phantom", 100),
        ("duplicate", 100),
        ("reordered", 100),
        ("contradiction", 100),
        ("causal", 100),
    ];
    for (verdict, count_min) in expected {
        let count = counts.get(verdict).copied().unwrap_or(0);
        assert!(
            count >= count_min,
            "{verdict} occurs {count} times: {counts:?}"
        );
    }
    for len in 1..=3 {
        assert!(
            step_counts.get(&len).is_some_and(|&count| count >= 10),
            "cycles by length: {step_counts:?}"
        );
    }
}

#[test]
fn the_naive_model_knows_the_classic_cases() {
    assert!(has_order(&naive::history(["s0 s1", "r0 r1", "r1"])));
    assert!(!has_order(&naive::history([
        "s0", "s1", "s2", "r0 r1", "r1 r2", "r2 r0"
    ])));
    assert!(!has_order(&naive::history(["s0", "r0 s1", "r1 r0"])));
    assert!(has_order(&naive::history(["s0", "s1 r0", "r1 r0"])));
    assert_eq!(
        shortest_cycle_len(&naive::history([
            "s0", "s1", "s2", "r0 r1", "r1 r2", "r2 r0"
        ])),
        Some(3)
    );
}
