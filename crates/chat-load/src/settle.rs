//! Who has got how far: when a sender may go on, and what is still open.

use std::ops::Range;
use std::time::Duration;

use chat_trace::{Nanos, Run, Topology, Trace};

/// What is awaited of every sender.
///
/// A client is *settled* on a message when it has received that message or a later one of the same
/// sender: senders keep their order, so from then on what is missing was dropped and will not come.
/// This is the only way a drop is ever concluded. How far each client is, the [`Trace`] knows.
#[derive(Debug)]
pub(crate) struct Progress {
    topology: Topology,
    audience: Audience,
    /// There is one entry a client.
    senders: Vec<Sender>,
    /// Clients that nobody waits for any more.
    gone: Vec<usize>,
    /// The longest time that a message took until the first client had it.
    slowest: Nanos,
}

impl Progress {
    /// Makes the progress of a repetition in which nothing has happened.
    pub(crate) fn new(topology: Topology) -> Self {
        Self {
            topology,
            audience: Audience::Sender,
            senders: vec![Sender::default(); topology.resident_count()],
            gone: Vec::new(),
            slowest: 0,
        }
    }

    /// Decides who has to be settled before a sender goes on. Nothing may be awaited.
    pub(crate) fn set_audience(&mut self, audience: Audience) {
        debug_assert!(self.senders.iter().all(|sender| !sender.is_awaited));
        self.audience = audience;
    }

    /// Makes room for one more client.
    pub(crate) fn add_client(&mut self) {
        self.senders.push(Sender::default());
    }

    /// Has a sender wait until the audience is settled on the first `awaited` of its messages.
    /// Tells whether it is already.
    pub(crate) fn expect(
        &mut self,
        sender: usize,
        awaited: u32,
        trace: &Trace,
        now: Nanos,
    ) -> bool {
        let missing = self.open_clients(sender, awaited, trace).count();
        let entry = &mut self.senders[sender];
        entry.sent = trace.sent().of(sender).count();
        (entry.awaited, entry.missing) = (awaited, missing);
        (entry.quiet_since, entry.nudge_wait) = (now, NUDGE_WAIT_MIN);
        entry.is_awaited = !entry.is_complete(self.audience);
        !entry.is_awaited
    }

    /// Returns how long a message may be under way that nobody has received, going by those before:
    /// twice as long as any of them, and so that there is time to ask twice within `timeout`.
    pub(crate) fn pass_wait(&self, timeout: Duration) -> Duration {
        Duration::from_nanos(2 * self.slowest).min(timeout / 2)
    }

    /// Tells whether it is time to send something after the message of `sender` that is awaited:
    /// nobody has moved for a while.
    pub(crate) fn is_nudge_due(&self, sender: usize, now: Nanos, timeout: Duration) -> bool {
        let sender = &self.senders[sender];
        // What nobody has seen may be on its way; and if questions were faster than answers, these
        // would never catch up.
        let wait = match (sender.has_passed(), self.slowest) {
            (true, _) => sender.nudge_wait,
            (false, 0) => UNSEEN_FACTOR * sender.nudge_wait,
            (false, _) => self.pass_wait(timeout).max(sender.nudge_wait),
        };
        sender.is_awaited && u128::from(now.saturating_sub(sender.quiet_since)) >= wait.as_nanos()
    }

    /// Records that `sender` sent one more message, to find out what became of the one that is
    /// awaited.
    ///
    /// After each, it waits longer before the next.
    pub(crate) fn nudged(&mut self, sender: usize, now: Nanos) {
        let sender = &mut self.senders[sender];
        debug_assert!(sender.is_awaited);
        sender.sent += 1;
        sender.quiet_since = now;
        sender.nudge_wait = (2 * sender.nudge_wait).min(NUDGE_WAIT_MAX);
    }

    /// Records that `client` has received a run of messages.
    pub(crate) fn settled(&mut self, client: usize, run: Run, now: Nanos) -> Step {
        let (before, count) = (run.before, run.end());
        let awaited = &mut self.senders[run.sender];
        if count > awaited.seen {
            awaited.seen = count;
            self.slowest = self.slowest.max(now.saturating_sub(run.times.sent));
        }
        if !awaited.is_awaited {
            return Step::None;
        }
        let mut step = Step::None;
        if before < awaited.awaited
            && awaited.awaited <= count
            && self
                .audience
                .clients(self.topology, run.sender)
                .contains(&client)
        {
            awaited.missing -= 1;
            awaited.quiet_since = now;
            awaited.nudge_wait = NUDGE_WAIT_MIN;
            step = Step::Forward;
        }
        if awaited.is_complete(self.audience) {
            awaited.is_awaited = false;
            step = Step::Complete;
        }
        step
    }

    /// Records that a client is gone, for which nobody waits any more. Returns the senders that may
    /// go on.
    pub(crate) fn leave(&mut self, client: usize, trace: &Trace) -> Vec<usize> {
        let mut completed = Vec::new();
        for sender in 0..self.senders.len() {
            if !self.senders[sender].is_awaited {
                continue;
            }
            let is_missing = self
                .audience
                .clients(self.topology, sender)
                .contains(&client)
                && self.is_open(client, sender, self.senders[sender].awaited, trace);
            let awaited = &mut self.senders[sender];
            awaited.missing -= usize::from(is_missing);
            if awaited.is_complete(self.audience) {
                awaited.is_awaited = false;
                completed.push(sender);
            }
        }
        self.gone.push(client);
        completed
    }

    /// Returns how many messages of a sender somebody is settled on.
    pub(crate) fn seen(&self, sender: usize) -> u32 {
        self.senders[sender].seen
    }

    /// Records that `sender` sent so many messages more.
    pub(crate) fn asked(&mut self, sender: usize, count: u32) {
        self.senders[sender].sent += count;
    }

    /// Visits all that is awaited and open.
    pub(crate) fn for_each_open(&self, trace: &Trace, mut visit: impl FnMut(Open)) {
        for (sender, awaited) in self
            .senders
            .iter()
            .enumerate()
            .filter(|(_, awaited)| awaited.is_awaited)
        {
            if awaited.missing == 0 {
                visit(Open::Unseen { sender });
            }
            for client in self.open_clients(sender, awaited.awaited, trace) {
                visit(Open::Unsettled {
                    sender,
                    number: awaited.awaited - 1,
                    client,
                });
            }
        }
    }

    /// Returns the clients of the audience that are not settled on the first `awaited` messages of
    /// `sender`.
    fn open_clients(
        &self,
        sender: usize,
        awaited: u32,
        trace: &Trace,
    ) -> impl Iterator<Item = usize> {
        self.audience
            .clients(self.topology, sender)
            .filter(move |&client| self.is_open(client, sender, awaited, trace))
    }

    fn is_open(&self, client: usize, sender: usize, awaited: u32, trace: &Trace) -> bool {
        trace
            .receivers()
            .settled(client, sender)
            .is_some_and(|settled| settled < awaited)
            && !self.gone.contains(&client)
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
    /// Everybody is settled, but nobody has received the last message that `sender` sent, so it is
    /// still on its way.
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
    /// All clients that read and stay. The sender is a publisher.
    Everyone,
}

impl Audience {
    fn clients(self, topology: Topology, sender: usize) -> Range<usize> {
        match self {
            Self::Sender => sender..sender + 1,
            Self::OwnSubscribers => topology.own_subscribers(sender),
            Self::Everyone => topology.readers(),
        }
    }
}

/// What is awaited of one sender.
// Invariant: seen <= sent once it is awaited, and awaited <= sent.
// Invariant: while it is awaited, missing is the number of clients in the audience that are settled
// on fewer than `awaited` messages.
#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    /// How many messages it had sent when it began to wait, and those sent since to ask after
    /// them.
    sent: u32,
    /// How many of its messages any client at all is settled on: these have passed through the
    /// server.
    seen: u32,
    /// How many of them the audience has to be settled on.
    awaited: u32,
    /// How many clients of the audience are not.
    missing: usize,
    /// Whether the sender waits at all.
    is_awaited: bool,
    /// When it last sent, or a client of the audience last got settled.
    quiet_since: Nanos,
    /// How long it may be quiet before something is sent after the message that is awaited.
    nudge_wait: Duration,
}

impl Sender {
    /// Tells whether the audience is settled.
    ///
    /// Before load and before the end of a repetition, all that the sender ever sent must have
    /// passed through the server as well, or it could turn up later, among messages that it has
    /// nothing to do with.
    fn is_complete(&self, audience: Audience) -> bool {
        self.missing == 0 && (audience == Audience::OwnSubscribers || self.has_passed())
    }

    /// Tells whether all that it sent has passed through the server.
    fn has_passed(&self) -> bool {
        self.seen >= self.sent
    }
}

/// How long it may be quiet around a sender before it sends something after the message that is
/// awaited. A judgement: long against any round trip, short for whoever waits. It decides only when
/// to ask, never what the answer is.
const NUDGE_WAIT_MIN: Duration = Duration::from_millis(100);

/// How long it may be quiet at most, after waiting twice as long each time. A judgement: a slow
/// server is not to be flooded with questions, and one that drops every other message at random
/// still answers one of the many that fit into ten seconds.
const NUDGE_WAIT_MAX: Duration = Duration::from_millis(400);

/// How many times as long to wait for a message that nobody has received, as long as it is not
/// known how long messages take. A judgement: or a server that begins slowly would get a backlog.
const UNSEEN_FACTOR: u32 = 4;

#[cfg(test)]
mod tests;
