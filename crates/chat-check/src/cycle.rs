//! Tells the shortest story of a merge that is stuck.
//!
//! The heads of the lists wait for one another, so the reasons why they wait lead in a circle. That
//! circle may be longer than necessary. So a limited number of messages is chosen, those of the
//! circle among them, and all ways in which the records order these are gathered. The shortest
//! cycle among these is the story.

use std::collections::HashMap;

use crate::merge::Merge;
use crate::record::Event;
use crate::{MessageId, Step, StepKind, Violation};

/// Tells why no order exists, from the first client of the story on. The merge must be stuck, by no
/// fault of a single record.
pub(crate) fn tell(merge: &Merge<'_>) -> Violation {
    let mut story = shortest_story(merge);
    debug_assert!(!story.is_empty() && closes(&story));
    let first = (0..story.len())
        .min_by_key(|&i| story[i].client)
        .unwrap_or(0);
    story.rotate_left(first);
    if story
        .iter()
        .any(|step| step.kind == StepKind::ReceivedBeforeSent)
    {
        Violation::Causal { story }
    } else {
        Violation::Contradiction { story }
    }
}

fn shortest_story(merge: &Merge<'_>) -> Vec<Step> {
    let circle = find_circle(&reasons(merge));
    if circle.len() > CANDIDATE_COUNT_MAX {
        return circle;
    }
    Relation::new(merge, &Candidates::new(merge, &circle))
        .shortest_cycle()
        .unwrap_or(circle)
}

/// Returns for each head a reason why it is stuck: a step from another head, or from itself.
///
/// Each has one: a head that is stuck is in some list whose front is another message.
fn reasons(merge: &Merge<'_>) -> HashMap<MessageId, Step> {
    let mut reasons = HashMap::new();
    for (client, cursor) in merge.cursors().iter().enumerate() {
        let (sent, received) = (cursor.sent_head(), cursor.received_head());
        for (position, event) in cursor.events.iter().enumerate().skip(cursor.sent + 1) {
            let after = event.message();
            // Receipts before the received head are taken, so that they are no heads.
            if position == cursor.received || !merge.is_head(after) {
                continue;
            }
            let (before, kind) = match event.unpack() {
                Event::Sent(_) if position < cursor.received => (sent, StepKind::Sent),
                Event::Sent(_) => (received, StepKind::ReceivedBeforeSent),
                _ => (received, StepKind::Received),
            };
            if let Some(before) = before {
                reasons.entry(after).or_insert(Step {
                    client,
                    kind,
                    before,
                    after,
                });
            }
        }
    }
    reasons
}

/// Follows reasons until a message returns. Takes at most one step a head.
fn find_circle(reasons: &HashMap<MessageId, Step>) -> Vec<Step> {
    let mut path: Vec<Step> = Vec::new();
    let mut seen = HashMap::new();
    let mut next = reasons.keys().min();
    while let Some(reason) = next.and_then(|message| reasons.get(message)) {
        if let Some(start) = seen.insert(reason.after, path.len()) {
            path.drain(..start);
            break;
        }
        path.push(*reason);
        next = Some(&reason.before);
    }
    path.reverse();
    path
}

/// The messages among which the shortest cycle is looked for.
///
/// When no more than [`CANDIDATE_COUNT_MAX`] are stuck, they are all here, and the story is the
/// shortest of all: in the shortest one each message is received by a client, whose list is stuck
/// at it or before it.
struct Candidates {
    // Invariant: messages.len() <= CANDIDATE_COUNT_MAX, and nodes[m] is the place of m in it.
    messages: Vec<MessageId>,
    nodes: Vec<Option<u8>>,
}

impl Candidates {
    /// Takes the messages of the circle first, then those closest to the received heads: all
    /// messages from there on are stuck.
    fn new(merge: &Merge<'_>, circle: &[Step]) -> Self {
        let mut candidates = Self {
            messages: Vec::new(),
            nodes: vec![None; merge.message_end()],
        };
        for step in circle {
            candidates.add(step.before);
        }
        let depth_end = merge
            .cursors()
            .iter()
            .map(|cursor| cursor.events.len() - cursor.received)
            .max()
            .unwrap_or(0);
        for depth in 0..depth_end {
            for event in merge
                .cursors()
                .iter()
                .filter_map(|cursor| cursor.events.get(cursor.received + depth))
            {
                if candidates.messages.len() == CANDIDATE_COUNT_MAX {
                    return candidates;
                }
                candidates.add(event.message());
            }
        }
        candidates
    }

    fn add(&mut self, message: MessageId) {
        let node = &mut self.nodes[message.place()];
        if node.is_none() {
            *node = u8::try_from(self.messages.len()).ok();
            self.messages.push(message);
        }
        debug_assert!(self.messages.len() <= CANDIDATE_COUNT_MAX && self.node(message).is_some());
    }

    fn node(&self, message: MessageId) -> Option<usize> {
        self.nodes[message.place()].map(usize::from)
    }
}

/// All ways in which the records order the candidates, one step for each pair.
struct Relation {
    node_count: usize,
    // Invariant: steps.len() == node_count * node_count, and those from node `i` begin at `i *
    // node_count`.
    steps: Vec<Option<Step>>,
}

impl Relation {
    fn new(merge: &Merge<'_>, candidates: &Candidates) -> Self {
        let node_count = candidates.messages.len();
        let mut relation = Self {
            node_count,
            steps: vec![None; node_count * node_count],
        };
        let mut present = Vec::new();
        for (client, cursor) in merge.cursors().iter().enumerate() {
            present.clear();
            for event in &cursor.events[cursor.sent..] {
                present.extend(
                    candidates
                        .node(event.message())
                        .map(|node| (event.unpack(), node)),
                );
            }
            relation.add(client, &present);
        }
        relation
    }

    /// Adds the steps between any two events of one client.
    fn add(&mut self, client: usize, present: &[(Event, usize)]) {
        for (position, &(earlier, from)) in present.iter().enumerate() {
            for &(later, to) in &present[position + 1..] {
                let (kind, before, after) = match (earlier, later) {
                    (Event::Sent(before), Event::Sent(after)) => (StepKind::Sent, before, after),
                    (Event::Received(before), Event::Received(after)) => {
                        (StepKind::Received, before, after)
                    }
                    (Event::Received(before), Event::Sent(after)) => {
                        (StepKind::ReceivedBeforeSent, before, after)
                    }
                    // A message that is received later may have been sent earlier.
                    _ => continue,
                };
                let known = &mut self.steps[from * self.node_count + to];
                if known.is_none_or(|known| kind < known.kind) {
                    *known = Some(Step {
                        client,
                        kind,
                        before,
                        after,
                    });
                }
            }
        }
    }

    fn shortest_cycle(&self) -> Option<Vec<Step>> {
        (0..self.node_count)
            .filter_map(|start| self.shortest_cycle_from(start))
            .min_by_key(Vec::len)
    }

    /// Searches breadth first for the shortest way from `start` back to it.
    fn shortest_cycle_from(&self, start: usize) -> Option<Vec<Step>> {
        let mut reached: Vec<Option<(usize, Step)>> = vec![None; self.node_count];
        let mut queue = vec![start];
        let mut visited_count = 0;
        while let Some(&node) = queue.get(visited_count) {
            visited_count += 1;
            if let Some(last) = self.steps_from(node)[start] {
                return Some(trace(&reached, node, last));
            }
            for (to, (step, reached)) in self.steps_from(node).iter().zip(&mut reached).enumerate()
            {
                if let (Some(step), None) = (step, &reached) {
                    *reached = Some((node, *step));
                    queue.push(to);
                }
            }
        }
        None
    }

    fn steps_from(&self, node: usize) -> &[Option<Step>] {
        &self.steps[node * self.node_count..][..self.node_count]
    }
}

/// Returns the way to `node`, then `last`. A search that has not yet returned to its start has
/// reached that from nowhere.
fn trace(reached: &[Option<(usize, Step)>], mut node: usize, last: Step) -> Vec<Step> {
    let mut story = vec![last];
    while let Some((from, step)) = reached[node] {
        story.push(step);
        node = from;
    }
    story.reverse();
    story
}

/// Tells whether each step begins where the one before it ended, and the first where the last
/// ended.
fn closes(story: &[Step]) -> bool {
    story
        .iter()
        .zip(story.iter().cycle().skip(1))
        .all(|(step, next)| step.after == next.before)
}

/// How many messages the search for the shortest cycle includes. A judgement: the search takes some
/// 100 thousand steps, and a run first goes wrong at one place, with few messages.
const CANDIDATE_COUNT_MAX: usize = 64;
