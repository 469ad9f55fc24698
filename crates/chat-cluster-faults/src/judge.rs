//! Whether what a crowd saw keeps the promise.

use std::collections::{HashMap, HashSet};
use std::fmt;

use chat_check::{MessageId, Record, check};

use crate::body::Read;
use crate::crowd::Seen;
use crate::dump::Dump;
use crate::member::Session;

/// What a crowd saw, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// How many connections the clients had.
    pub session_count: u64,
    /// How many messages were sent.
    pub sent: u64,
    /// How many of them came back to those who sent them.
    pub acknowledged: u64,
    /// How many were received, by all clients together.
    pub delivered: u64,
    /// How many did not reach a client that was there, or were acknowledged and are not in the stream.
    pub lost: u64,
    /// How many reached a client twice, or count twice in the stream.
    pub duplicated: u64,
    /// How many reached a client before one that stands before them.
    pub reordered: u64,
    /// How the promise was broken otherwise, or first, in a sentence.
    pub story: Option<String>,
}

impl Facts {
    /// Tells whether the promise was kept.
    pub fn is_kept(&self) -> bool {
        self.lost + self.duplicated + self.reordered == 0 && self.story.is_none()
    }

    fn tell(&mut self, story: impl FnOnce() -> String) {
        self.story.get_or_insert_with(story);
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            session_count,
            sent,
            acknowledged,
            delivered,
            lost,
            duplicated,
            reordered,
            story,
        } = self;
        write!(
            f,
            "{sent} sent over {session_count} connections, {acknowledged} acknowledged, {delivered} delivered; \
             {lost} lost, {duplicated} duplicated, {reordered} reordered"
        )?;
        story.iter().try_for_each(|story| write!(f, ": {story}"))
    }
}

/// Judges what a crowd saw. With a dump of the stream, that is the order which all is compared with;
/// otherwise it is one that explains all. There are several of those where connections do not overlap, so
/// that something may seem to be lost: without a dump, clients should not come back.
pub fn judge(seen: &Seen, dump: Option<&Dump>) -> Facts {
    let mut facts = Facts {
        session_count: seen.sessions.len() as u64,
        sent: seen.sent_count.into(),
        ..Facts::default()
    };
    let records: Vec<Record> = seen.sessions.iter().map(|it| it.record.clone()).collect();
    let any_order = match check(&records) {
        Ok(consistent) => consistent.order().to_vec(),
        Err(violation) => {
            facts.tell(|| format!("no order explains what the clients saw: {violation}"));
            Vec::new()
        }
    };
    let received: HashSet<MessageId> = records
        .iter()
        .flat_map(|record| record.received_messages().collect::<Vec<_>>())
        .collect();
    let order: Vec<MessageId> = match dump {
        Some(dump) => in_stream(seen, dump, &mut facts),
        None => any_order
            .into_iter()
            .filter(|it| received.contains(it))
            .collect(),
    };
    let mut places = HashMap::with_capacity(order.len());
    for (place, id) in order.into_iter().enumerate() {
        if places.insert(id, place).is_some() {
            facts.duplicated += 1;
            facts.tell(|| format!("message {id} counts twice in the stream"));
        }
    }
    for (number, session) in seen.sessions.iter().enumerate() {
        judge_session(number, session, &places, &mut facts);
    }
    facts
}

/// Returns the messages of the crowd that count in the stream, in its order.
fn in_stream(seen: &Seen, dump: &Dump, facts: &mut Facts) -> Vec<MessageId> {
    let mut order = Vec::with_capacity(dump.bodies.len());
    for body in &dump.bodies {
        match seen.bodies.read(body, seen.sent_count) {
            Read::Message(id) => order.push(id),
            Read::Corrupt(id) => facts.tell(|| format!("message {id} is corrupt in the stream")),
            // Another crowd was there before.
            Read::Phantom => {}
        }
    }
    order
}

fn judge_session(
    number: usize,
    session: &Session,
    places: &HashMap<MessageId, usize>,
    facts: &mut Facts,
) {
    let who = || format!("connection {number}, of server {},", session.node + 1);
    let mut received = HashSet::new();
    let mut next: Option<usize> = None;
    for id in session.record.received_messages() {
        facts.delivered += 1;
        if !received.insert(id) {
            facts.duplicated += 1;
            facts.tell(|| format!("{} got message {id} twice", who()));
            continue;
        }
        let Some(&place) = places.get(&id) else {
            // Without an order at all, that has been told.
            if !places.is_empty() {
                facts.lost += 1;
                facts.tell(|| format!("{} got message {id}, which is not in the stream", who()));
            }
            continue;
        };
        match next {
            Some(next) if place < next => {
                facts.reordered += 1;
                facts.tell(|| format!("{} got message {id} too late", who()));
            }
            Some(next) if place > next => {
                facts.lost += (place - next) as u64;
                let missed = place - next;
                facts.tell(|| format!("{} missed {missed} messages before {id}", who()));
            }
            _ => {}
        }
        next = next.max(Some(place + 1));
    }
    let own = session.sent.iter().filter(|it| received.contains(*it));
    facts.acknowledged += own.count() as u64;
    if !session.is_whole {
        return;
    }
    // It left in order, so it is owed all of its own.
    for id in session.sent.iter().filter(|it| !received.contains(*it)) {
        facts.lost += 1;
        facts.tell(|| format!("{} never got message {id}", who()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Bodies;

    const BODIES: Bodies = Bodies { crowd: 5 };

    /// Judges connections that got these messages, of which the first one sent all of `sent`.
    fn facts(sent: u32, received: &[&[u32]], stream: Option<&[u32]>) -> Facts {
        let id = |number: &u32| MessageId::new(*number).unwrap();
        let mut sessions: Vec<Session> = received.iter().map(|_| Session::default()).collect();
        for number in 0..sent {
            sessions[0].record.sent(id(&number));
            sessions[0].sent.push(id(&number));
        }
        for (session, received) in sessions.iter_mut().zip(received) {
            session.is_whole = true;
            received
                .iter()
                .for_each(|it| session.record.received(id(it)));
        }
        let seen = Seen {
            sessions,
            sent_count: sent,
            bodies: BODIES,
        };
        let dump = stream.map(|stream| Dump {
            bodies: stream.iter().map(|it| BODIES.body(*it)).collect(),
            ..Dump::default()
        });
        judge(&seen, dump.as_ref())
    }

    #[track_caller]
    fn check(facts: &Facts, lost: u64, duplicated: u64, reordered: u64) {
        let found = (facts.lost, facts.duplicated, facts.reordered);
        assert_eq!(found, (lost, duplicated, reordered), "{facts}");
        assert!(!facts.is_kept(), "{facts}");
    }

    #[test]
    fn equal_streams_from_any_beginning_are_kept() {
        for stream in [None, Some(&[0, 1, 2, 3][..])] {
            let facts = facts(4, &[&[0, 1, 2, 3], &[2, 3]], stream);
            assert!(facts.is_kept(), "{facts}");
            assert_eq!((facts.acknowledged, facts.delivered), (4, 6));
        }
    }

    #[test]
    fn gaps_are_losses() {
        check(&facts(4, &[&[0, 1, 2, 3], &[0, 1, 3]], None), 1, 0, 0);
        check(&facts(4, &[&[0, 1, 2], &[0, 1, 2]], None), 1, 0, 0);
        let stream = Some(&[0, 2, 3][..]);
        check(&facts(4, &[&[0, 1, 2, 3]], stream), 1, 0, 0);
        let stream = Some(&[0, 1, 2, 3][..]);
        check(&facts(4, &[&[0, 1, 2, 3], &[0, 3]], stream), 2, 0, 0);
    }

    #[test]
    fn what_comes_twice_or_too_late_is_counted() {
        let stream = Some(&[0, 1, 2, 3][..]);
        check(
            &facts(4, &[&[0, 1, 2, 3], &[0, 1, 1, 2, 3]], stream),
            0,
            1,
            0,
        );
        let facts_of = |received: &[&[u32]]| facts(4, received, stream);
        let late = facts_of(&[&[0, 1, 2, 3], &[1, 0, 2, 3]]);
        assert!(late.reordered == 1 && !late.is_kept(), "{late}");
        check(&facts(3, &[&[0, 1, 2]], Some(&[0, 1, 1, 2])), 1, 1, 0);
    }

    #[test]
    fn what_nobody_sent_is_told() {
        let mut session = Session::default();
        session.record.received_phantom();
        let seen = Seen {
            sessions: vec![session],
            sent_count: 0,
            bodies: BODIES,
        };
        assert!(judge(&seen, None).story.is_some());
    }
}
