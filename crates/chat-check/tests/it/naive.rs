//! Histories as data, a verdict found by trying all orders, and a reader that checks stories
//! against a history.

use std::collections::HashSet;

use chat_check::{MessageId, Record, Step, StepKind, Violation};

/// One event of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Sent(u32),
    Received(u32),
}

/// The events of each client.
pub(crate) type History = Vec<Vec<Event>>;

/// Reads a history: one line a client, where `s0` is "sent message 0" and `r0` "received message
/// 0".
pub(crate) fn history<const N: usize>(lines: [&str; N]) -> History {
    let event = |word: &str| {
        let index = word[1..].parse().unwrap();
        if word.starts_with('s') {
            Event::Sent(index)
        } else {
            Event::Received(index)
        }
    };
    lines
        .map(|line| line.split_whitespace().map(event).collect())
        .into()
}

pub(crate) fn id(index: u32) -> MessageId {
    MessageId::new(index).unwrap()
}

pub(crate) fn records(history: &History) -> Vec<Record> {
    let record = |events: &Vec<Event>| {
        let mut record = Record::new();
        for event in events {
            match *event {
                Event::Sent(index) => record.sent(id(index)),
                Event::Received(index) => record.received(id(index)),
            }
        }
        record
    };
    history.iter().map(record).collect()
}

/// Tells whether `order` is one of all messages sent and keeps the promise: the specification, word
/// for word.
pub(crate) fn keeps_promise(history: &History, order: &[u32]) -> bool {
    let position = |index: u32| order.iter().position(|&message| message == index);
    let rises = |messages: &[u32]| {
        let positions: Vec<_> = messages.iter().map(|&message| position(message)).collect();
        positions.iter().all(Option::is_some) && positions.windows(2).all(|pair| pair[0] < pair[1])
    };
    let is_kept_by = |events: &Vec<Event>| {
        let is_causal = pairs(events).all(|pair| match pair {
            (Event::Received(before), Event::Sent(after)) => position(before) < position(after),
            _ => true,
        });
        rises(&sent_by(events)) && rises(&received_by(events)) && is_causal
    };
    order.len() == sent(history).len() && history.iter().all(is_kept_by)
}

/// Tells whether any order of the messages sent keeps the promise, by trying all.
pub(crate) fn has_order(history: &History) -> bool {
    permutations(&sent(history))
        .iter()
        .any(|order| keeps_promise(history, order))
}

/// Returns the class of violation that one record shows by itself, if there is one.
pub(crate) fn single_fault(history: &History) -> Option<&'static str> {
    let sent = sent(history);
    let received =
        |test: &dyn Fn(&[u32]) -> bool| history.iter().any(|events| test(&received_by(events)));
    if sent.iter().collect::<HashSet<_>>().len() < sent.len() {
        return Some("sent twice");
    }
    if received(&|messages| messages.iter().any(|message| !sent.contains(message))) {
        return Some("phantom");
    }
    if received(&|messages| messages.iter().collect::<HashSet<_>>().len() < messages.len()) {
        return Some("duplicate");
    }
    let sent_pairs: Vec<_> = history.iter().flat_map(|events| pairs(events)).collect();
    let is_reordered =
        |earlier: u32, later: u32| sent_pairs.contains(&(Event::Sent(later), Event::Sent(earlier)));
    let reordered = received(&|messages| {
        (0..messages.len())
            .any(|later| (0..later).any(|earlier| is_reordered(messages[earlier], messages[later])))
    });
    reordered.then_some("reordered")
}

pub(crate) fn class(violation: &Violation) -> &'static str {
    match violation {
        Violation::SentTwice { .. } => "sent twice",
        Violation::Corrupt { .. } => "corrupt",
        Violation::Phantom { .. } => "phantom",
        Violation::Duplicate { .. } => "duplicate",
        Violation::Reordered { .. } => "reordered",
        Violation::Contradiction { .. } => "contradiction",
        Violation::Causal { .. } => "causal",
        _ => "unknown",
    }
}

/// Returns every step that the history can tell.
pub(crate) fn steps(history: &History) -> Vec<Step> {
    let of_client = |(client, events): (usize, &Vec<Event>)| {
        let step = move |(before, after)| {
            let kind = match (before, after) {
                (Event::Sent(_), Event::Sent(_)) => StepKind::Sent,
                (Event::Received(_), Event::Received(_)) => StepKind::Received,
                (Event::Received(_), Event::Sent(_)) => StepKind::ReceivedBeforeSent,
                (Event::Sent(_), Event::Received(_)) => return None,
            };
            Some(Step {
                client,
                kind,
                before: id(message(before)),
                after: id(message(after)),
            })
        };
        pairs(events).filter_map(step).collect::<Vec<_>>()
    };
    history.iter().enumerate().flat_map(of_client).collect()
}

/// Checks that a story proves what it says: each step is in the history, and each begins where the
/// one before it ended.
#[track_caller]
pub(crate) fn check_story(history: &History, violation: &Violation) {
    let story = violation.story();
    assert!(!story.is_empty(), "no story: {violation}");
    for (i, step) in story.iter().enumerate() {
        let events = &history[step.client];
        let (before, after) = (step.before.index(), step.after.index());
        let (before, after) = match step.kind {
            StepKind::Sent => (Event::Sent(before), Event::Sent(after)),
            StepKind::Received => (Event::Received(before), Event::Received(after)),
            StepKind::ReceivedBeforeSent => (Event::Received(before), Event::Sent(after)),
        };
        let first = events
            .iter()
            .position(|event| *event == before)
            .expect("the first event of a step is in the record");
        let last = events
            .iter()
            .rposition(|event| *event == after)
            .expect("the last event of a step is in the record");
        assert!(first < last, "untrue: {step}");
        assert_eq!(
            step.after,
            story[(i + 1) % story.len()].before,
            "not a cycle: {violation}"
        );
    }
    let is_causal = story
        .iter()
        .any(|step| step.kind == StepKind::ReceivedBeforeSent);
    assert_eq!(
        matches!(violation, Violation::Causal { .. }),
        is_causal,
        "wrong class: {violation}"
    );
}

/// Returns how many steps the shortest cycle has, by taking every way of up to that many steps.
pub(crate) fn shortest_cycle_len(history: &History) -> Option<usize> {
    let steps: HashSet<_> = steps(history)
        .iter()
        .map(|step| (step.before, step.after))
        .collect();
    let mut ways = steps.clone();
    for len in 1..=sent(history).len() {
        if ways.iter().any(|(start, end)| start == end) {
            return Some(len);
        }
        ways = ways
            .iter()
            .flat_map(|way| {
                steps
                    .iter()
                    .filter(|step| step.0 == way.1)
                    .map(|step| (way.0, step.1))
            })
            .collect();
    }
    None
}

fn sent(history: &History) -> Vec<u32> {
    history.iter().flat_map(|events| sent_by(events)).collect()
}

fn sent_by(events: &[Event]) -> Vec<u32> {
    events
        .iter()
        .filter(|event| matches!(event, Event::Sent(_)))
        .map(|event| message(*event))
        .collect()
}

fn received_by(events: &[Event]) -> Vec<u32> {
    events
        .iter()
        .filter(|event| matches!(event, Event::Received(_)))
        .map(|event| message(*event))
        .collect()
}

fn message(event: Event) -> u32 {
    match event {
        Event::Sent(index) | Event::Received(index) => index,
    }
}

/// Returns every two events of which the first came before the second.
fn pairs(events: &[Event]) -> impl Iterator<Item = (Event, Event)> {
    events
        .iter()
        .enumerate()
        .flat_map(|(i, &before)| events[i + 1..].iter().map(move |&after| (before, after)))
}

fn permutations(messages: &[u32]) -> Vec<Vec<u32>> {
    if messages.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (i, &first) in messages.iter().enumerate() {
        let rest = [&messages[..i], &messages[i + 1..]].concat();
        all.extend(
            permutations(&rest)
                .into_iter()
                .map(|rest| [vec![first], rest].concat()),
        );
    }
    all
}
