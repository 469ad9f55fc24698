//! Who has got how far: when a sender may go on, and what is still open.

use std::time::{Duration, Instant};

use crate::load::roles::Roles;

/// How far every client has got with every publisher's messages.
///
/// A client is *settled* on a message when it has received that message or a later one of the same sender: senders keep their order,
/// so from then on what is missing was dropped and will not come. This is the only way a drop is ever concluded.
#[derive(Debug)]
pub(crate) struct Progress {
    roles: Roles,
    audience: Audience,
    /// How many messages of a sender a client is settled on: a row a client, a column a publisher, one more for the client's own.
    settled: Vec<u32>,
    /// What is awaited of each sender. There is one entry a client.
    senders: Vec<Sender>,
}

impl Progress {
    /// Makes the progress of a repetition in which nothing has happened.
    pub(crate) fn new(roles: Roles, now: Instant) -> Self {
        let client_count = roles.client_count();
        Self {
            roles,
            audience: Audience::Sender,
            settled: vec![0; client_count * (roles.publishers + 1)],
            senders: vec![Sender::idle(now); client_count],
        }
    }

    /// Decides who has to be settled before a sender goes on. Nothing may be awaited.
    pub(crate) fn set_audience(&mut self, audience: Audience) {
        debug_assert!(self.senders.iter().all(|sender| !sender.is_awaited));
        self.audience = audience;
    }

    /// Records that `sender` sent its message `number` and waits until the audience is settled on it.
    pub(crate) fn expect(&mut self, sender: usize, number: u32, now: Instant) {
        self.senders[sender] = Sender {
            sent: number + 1,
            awaited: number + 1,
            missing: self.audience.len(self.roles),
            is_awaited: true,
            quiet_since: now,
            nudge_wait: NUDGE_WAIT_MIN,
            ..self.senders[sender]
        };
    }

    /// Tells whether it is time to send something after the message of `sender` that is awaited: nobody has moved for a while.
    pub(crate) fn is_nudge_due(&self, sender: usize, now: Instant) -> bool {
        let sender = &self.senders[sender];
        // What nobody has seen is more likely to be on its way than to have been dropped for everyone.
        let wait = if sender.has_passed() { sender.nudge_wait } else { UNSEEN_FACTOR * sender.nudge_wait };
        sender.is_awaited && now.duration_since(sender.quiet_since) >= wait
    }

    /// Records that `sender` sent its message `number` to find out what became of the one that is awaited.
    ///
    /// After each, it waits longer before the next.
    pub(crate) fn nudged(&mut self, sender: usize, number: u32, now: Instant) {
        let sender = &mut self.senders[sender];
        debug_assert!(sender.is_awaited);
        sender.sent = number + 1;
        sender.quiet_since = now;
        sender.nudge_wait = (2 * sender.nudge_wait).min(NUDGE_WAIT_MAX);
    }

    /// Records that `client` received message `number` of `sender`.
    pub(crate) fn received(&mut self, client: usize, sender: usize, number: u32, now: Instant) -> Step {
        let count = number + 1;
        let awaited = &mut self.senders[sender];
        awaited.seen = awaited.seen.max(count);
        let mut step = Step::None;
        if let Some(cell) = cell(self.roles, client, sender) {
            let before = std::mem::replace(&mut self.settled[cell], count);
            if count <= before {
                return Step::OutOfOrder;
            }
            if before < awaited.awaited && awaited.awaited <= count && self.audience.contains(self.roles, sender, client) {
                awaited.missing -= 1;
                awaited.quiet_since = now;
                awaited.nudge_wait = NUDGE_WAIT_MIN;
                step = Step::Forward;
            }
        }
        if awaited.is_awaited && awaited.is_complete(self.audience) {
            awaited.is_awaited = false;
            step = Step::Complete;
        }
        step
    }

    /// Visits all that is awaited and open.
    pub(crate) fn for_each_open(&self, mut visit: impl FnMut(Open)) {
        for (sender, awaited) in self.senders.iter().enumerate().filter(|(_, awaited)| awaited.is_awaited) {
            if awaited.missing == 0 {
                visit(Open::Unseen { sender });
            }
            for client in 0..self.roles.client_count() {
                let is_behind = cell(self.roles, client, sender).is_some_and(|cell| self.settled[cell] < awaited.awaited);
                if is_behind && self.audience.contains(self.roles, sender, client) {
                    visit(Open::Unsettled { sender, number: awaited.awaited - 1, client });
                }
            }
        }
    }
}

/// What a delivery changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing that anybody waits for.
    None,
    /// One client less is awaited.
    Forward,
    /// The audience is settled: the sender may go on.
    Complete,
    /// The sender's messages do not arrive in the order it sent them, each at most once.
    OutOfOrder,
}

/// Something that is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// `client` has received neither message `number` of `sender` nor a later one.
    Unsettled {
        /// The client that sent the message.
        sender: usize,
        /// The message that is awaited.
        number: u32,
        /// The client that should receive it.
        client: usize,
    },
    /// Everybody is settled, but nobody has received the last message that `sender` sent, so it is still on its way.
    Unseen {
        /// The client that sent the message.
        sender: usize,
    },
}

/// Who has to be settled on a message before its sender goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The sender itself.
    Sender,
    /// The subscribers of the sender, which is a publisher.
    OwnSubscribers,
    /// All clients. The sender is a publisher.
    Everyone,
}

impl Audience {
    fn len(self, roles: Roles) -> usize {
        match self {
            Self::Sender => 1,
            Self::OwnSubscribers => roles.subscribers,
            Self::Everyone => roles.client_count(),
        }
    }

    fn contains(self, roles: Roles, sender: usize, client: usize) -> bool {
        match self {
            Self::Sender => client == sender,
            Self::OwnSubscribers => roles.is_own_subscriber(client, sender),
            Self::Everyone => true,
        }
    }
}

/// What is awaited of one sender.
// Invariant: seen <= sent, unless the server invents messages, and awaited <= sent.
// Invariant: missing is the number of clients in the audience that are settled on fewer than `awaited` messages.
#[derive(Clone, Copy, Debug)]
struct Sender {
    /// How many messages it has sent.
    sent: u32,
    /// How many of them any client at all is settled on: these have passed through the server.
    seen: u32,
    /// How many of them the audience has to be settled on.
    awaited: u32,
    /// How many clients of the audience are not.
    missing: usize,
    /// Whether the sender waits at all.
    is_awaited: bool,
    /// When it last sent, or a client of the audience last got settled.
    quiet_since: Instant,
    /// How long it may be quiet before something is sent after the message that is awaited.
    nudge_wait: Duration,
}

impl Sender {
    /// A sender that has sent nothing.
    fn idle(now: Instant) -> Self {
        Self { sent: 0, seen: 0, awaited: 0, missing: 0, is_awaited: false, quiet_since: now, nudge_wait: NUDGE_WAIT_MIN }
    }

    /// Tells whether the audience is settled.
    ///
    /// Before load and before the end of a repetition, all that the sender ever sent must have passed through the server as well, or
    /// it could turn up later, among messages that it has nothing to do with.
    fn is_complete(&self, audience: Audience) -> bool {
        self.missing == 0 && (audience == Audience::OwnSubscribers || self.has_passed())
    }

    /// Tells whether all that it sent has passed through the server.
    fn has_passed(&self) -> bool {
        self.seen >= self.sent
    }
}

/// Finds the cell that says how far `client` is with the messages of `sender`.
///
/// Other clients' hello messages have none: what subscribers send is awaited by nobody but themselves.
fn cell(roles: Roles, client: usize, sender: usize) -> Option<usize> {
    let column = if sender < roles.publishers {
        sender
    } else if sender == client {
        roles.publishers
    } else {
        return None;
    };
    Some(client * (roles.publishers + 1) + column)
}

/// How long it may be quiet around a sender before it sends something after the message that is awaited. A judgement: long against any
/// round trip, short for whoever waits. It decides only when to ask, never what the answer is.
const NUDGE_WAIT_MIN: Duration = Duration::from_millis(100);

/// How long it may be quiet at most, after waiting twice as long each time. A judgement: a slow server is not to be flooded with
/// questions, and one that drops every other message at random still answers one of the many that fit into ten seconds.
const NUDGE_WAIT_MAX: Duration = Duration::from_millis(400);

/// How many times as long to wait for a message that nobody has received. A judgement: or a server with a backlog would get a longer one.
const UNSEEN_FACTOR: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: Roles = Roles { publishers: 2, subscribers: 2 };

    /// Progress in which publisher 0 has said hello and sent its first load message, number 1.
    fn loading(now: Instant) -> Progress {
        let mut progress = Progress::new(ROLES, now);
        progress.expect(0, 0, now);
        assert_eq!(progress.received(0, 0, 0, now), Step::Complete);
        progress.set_audience(Audience::OwnSubscribers);
        progress.expect(0, 1, now);
        progress
    }

    fn open(progress: &Progress) -> Vec<Open> {
        let mut open = Vec::new();
        progress.for_each_open(|entry| open.push(entry));
        open
    }

    #[test]
    fn a_publisher_waits_for_its_own_subscribers_only() {
        let now = Instant::now();
        let mut progress = loading(now);
        assert_eq!(progress.received(0, 0, 1, now), Step::None);
        assert_eq!(progress.received(4, 0, 1, now), Step::None);
        assert_eq!(progress.received(2, 0, 1, now), Step::Forward);
        assert_eq!(open(&progress), [Open::Unsettled { sender: 0, number: 1, client: 3 }]);
        assert_eq!(progress.received(3, 0, 1, now), Step::Complete);
        assert_eq!(open(&progress), []);
    }

    #[test]
    fn a_later_message_settles_the_one_that_is_awaited() {
        let now = Instant::now();
        let mut progress = loading(now);
        assert_eq!(progress.received(2, 0, 1, now), Step::Forward);
        progress.nudged(0, 2, now);
        assert_eq!(progress.received(2, 0, 2, now), Step::None);
        assert_eq!(progress.received(3, 0, 2, now), Step::Complete);
    }

    #[test]
    fn a_sender_asks_when_it_is_quiet_and_less_and_less_often() {
        let start = Instant::now();
        let mut progress = loading(start);
        assert!(!progress.is_nudge_due(0, start + NUDGE_WAIT_MIN), "nobody has seen the message");
        assert!(progress.is_nudge_due(0, start + UNSEEN_FACTOR * NUDGE_WAIT_MIN));
        let moved = start + NUDGE_WAIT_MIN;
        assert_eq!(progress.received(2, 0, 1, moved), Step::Forward);
        assert!(!progress.is_nudge_due(0, moved + NUDGE_WAIT_MIN / 2));
        assert!(progress.is_nudge_due(0, moved + NUDGE_WAIT_MIN));
        let nudged = moved + NUDGE_WAIT_MIN;
        progress.nudged(0, 2, nudged);
        assert_eq!(progress.received(0, 0, 2, nudged), Step::None);
        assert!(!progress.is_nudge_due(0, nudged + NUDGE_WAIT_MIN));
        assert!(progress.is_nudge_due(0, nudged + 2 * NUDGE_WAIT_MIN));
    }

    #[test]
    fn a_repetition_ends_when_everything_has_passed_through_the_server() {
        let now = Instant::now();
        let mut progress = Progress::new(ROLES, now);
        progress.set_audience(Audience::Everyone);
        progress.expect(0, 0, now);
        progress.nudged(0, 1, now);
        for client in 0..5 {
            assert_eq!(progress.received(client, 0, 0, now), Step::Forward);
        }
        assert_eq!(progress.received(5, 0, 0, now), Step::Forward);
        assert_eq!(open(&progress), [Open::Unseen { sender: 0 }]);
        assert_eq!(progress.received(3, 0, 1, now), Step::Complete);
    }

    #[test]
    fn a_message_received_twice_or_after_its_successor_is_out_of_order() {
        let now = Instant::now();
        let mut progress = loading(now);
        assert_eq!(progress.received(2, 0, 1, now), Step::Forward);
        assert_eq!(progress.received(2, 0, 1, now), Step::OutOfOrder);
        assert_eq!(progress.received(2, 0, 0, now), Step::OutOfOrder);
    }
}
