//! What every client sends and receives, as it happens.
//!
//! Every delivery is checked for content here and recorded, in order and among the client's own
//! sends: hello, load, probe and closing messages alike, its own and everybody else's. What is
//! recorded is the [`Evidence`], which has the verdict.
//!
//! # Messages of an earlier repetition
//!
//! A repetition closes its connections, and the next one opens new ones. A server may begin a new
//! client's stream anywhere (rule 7 of the specification settles only what follows the client's own
//! first message), so messages of an earlier repetition may reach it at first, and are passed over.
//! Each client gets them once, and in one order (`history.rs`). They may not come any more when the client's own hello message has come back: a repetition ends
//! only when the last message of each of its senders has come out of the server, so all of them
//! stand before that hello message, and the server has taken such a message out of its place. It
//! counts as a phantom.
//!
//! # Messages of strangers
//!
//! A server that was not started for the run may have other clients. What none of ours sent may be
//! theirs, so it is passed over, counted and told. What is ours is judged as always.

use chat_check::Record;
use chat_results::Check;

use crate::arrival::{Arrival, Arrived, Run, Strange};
use crate::budget::{EVENT_LEN, LOAD_MAX, MEMORY_MAX, memory_len};
use crate::evidence::Evidence;
use crate::excerpt::{Difference, Excerpt};
use crate::history::History;
use crate::left_out::LeftOut;
use crate::payload::{BODY_LEN_MAX, Kind, Payloads, Reading, Tag};
use crate::receivers::Receivers;
use crate::recent::{RECENT_LEN_MAX, Recent};
use crate::sends::{Burst, Sends, Times};
use crate::sent_log::SentLog;
use crate::topology::Topology;

/// What happens in a repetition. Its memory serves the next one too.
#[derive(Debug)]
pub struct Trace {
    payloads: Payloads,
    topology: Topology,
    check: Check,
    strangers: Strangers,
    /// How many messages of strangers were passed over, in all repetitions.
    passed_over: u64,
    evidence: Evidence,
    receivers: Receivers,
    history: History,
    /// What each publisher sent last.
    recent: Vec<Recent>,
    /// How many bytes all that takes, once everybody has received what was sent.
    memory_len: u64,
}

/// Whether anybody else sends messages to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// Nobody: what nobody sent, the server made up.
    None,
    /// Others may, before and during the run. What none of the clients sent is passed over and
    /// counted. Tags begin at `first_run`, which should differ from what others have.
    Possible {
        /// The repetition number in the tags of the first repetition.
        first_run: u16,
    },
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The place of the burst among all that the client has sent.
    pub place: usize,
    /// The number behind that of the last message.
    pub end: u32,
}

impl Trace {
    /// Makes room for the clients of a repetition.
    pub fn new(payloads: Payloads, topology: Topology, check: Check, strangers: Strangers) -> Self {
        let mut recent = Vec::new();
        recent.resize_with(topology.publishers, Recent::default);
        let mut trace = Self {
            payloads,
            topology,
            check,
            strangers,
            passed_over: 0,
            evidence: Evidence::new(topology, check),
            receivers: Receivers::new(topology),
            history: History::default(),
            recent,
            memory_len: 0,
        };
        trace.make_room(topology.resident_count());
        trace
    }

    /// Forgets the repetition before and begins repetition `iteration`.
    pub fn begin(&mut self, iteration: u16) {
        let run = match self.strangers {
            Strangers::None => iteration,
            Strangers::Possible { first_run } => first_run.wrapping_add(iteration),
        };
        self.evidence.begin(iteration, run);
        self.history.begin();
        self.receivers.begin();
        self.recent.iter_mut().for_each(Recent::clear);
        self.memory_len = self.visitors_len();
    }

    /// Makes room for `client_count` clients, if there is less.
    pub fn make_room(&mut self, client_count: usize) {
        let visitors_len = self.visitors_len();
        self.evidence.make_room(client_count);
        self.receivers.make_room(client_count);
        self.memory_len += self.visitors_len() - visitors_len;
    }

    /// Returns how many bytes there are for visitors, whatever they send and receive. Those of
    /// residents, the load bounds.
    fn visitors_len(&self) -> u64 {
        let (visitor_count, row_len) = self.receivers.visitor_rows();
        (visitor_count * (row_len + size_of::<Sends>() + size_of::<Record>())) as u64
    }

    /// Forgets what was sent recently, which only makes it slower.
    pub fn forget_recent(&mut self) {
        self.recent.clear();
    }

    /// Makes and records the next `count` messages that `client` sends, and gives `put` the body of
    /// each.
    pub fn send(
        &mut self,
        client: usize,
        kind: Kind,
        count: u32,
        times: Times,
        mut put: impl FnMut(&[u8]),
    ) -> Sent {
        let first_id = self.evidence.sent().message_count();
        let (place, mut tag) = self.evidence.sent_mut().push(client, kind, count, times);
        self.evidence
            .record_sent(client, first_id..first_id + count);
        self.memory_len += memory_len(self.topology, self.check, count.into(), 1);
        let end = tag.number + count;
        let mut body = [0; BODY_LEN_MAX];
        for number in tag.number..end {
            tag.number = number;
            put(self.payloads.body(tag, &mut body));
        }
        Sent { place, end }
    }

    /// Remembers for a while how the burst of `client` at `place` arrives, to compare it at once
    /// with what does. `ends` tells where in it each message ends.
    ///
    /// Only what publishers send is remembered. What is not only costs more time.
    pub fn remember(&mut self, client: usize, place: usize, burst: &[u8], ends: &[u32]) {
        if let Some(recent) = self.recent.get_mut(client) {
            let len_max = RECENT_LEN_MAX / self.topology.publishers;
            recent.push(place, burst, ends, len_max);
        }
    }

    /// Records that the stream to `client` ended after `len` bytes of a message, when nothing was
    /// under way to it any more.
    pub fn receive_unfinished(&mut self, client: usize, len: usize) -> Arrival {
        self.strange(client, Strange::Unfinished { len })
    }

    /// Checks and records the messages at the start of what arrived at `client`, the first of which
    /// begins with `body`, if they are of a burst that is remembered, and as many after it as belong
    /// to the same burst, without a gap. Takes them from `bytes`.
    ///
    /// All of this [`receive`](Self::receive) does too, but slower.
    pub fn receive_recent(
        &mut self,
        client: usize,
        body: &[u8],
        bytes: &mut &[u8],
    ) -> Option<Arrival> {
        let run = self.take_recent(client, body, bytes)?;
        Some(self.receive_run(client, run))
    }

    /// Checks and records the next of what arrived at `client`, and as many after it as belong to
    /// the same burst, without a gap.
    pub fn receive<'a>(
        &mut self,
        client: usize,
        arrived: &mut (impl Iterator<Item = Arrived<'a>> + Clone),
    ) -> Option<Arrival> {
        let Arrived { body, message_len } = arrived.next()?;
        let tag = match self.read(body) {
            Reading::Intact(tag) => tag,
            Reading::Damaged(tag) => return Some(self.receive_damaged(client, tag, body)),
            Reading::Untagged => {
                let strange = Strange::Untagged(Excerpt::of(body));
                return Some(self.unknown(client, strange, body));
            }
        };
        let Some(place) = self.find(client, tag) else {
            return Some(self.receive_unsent(client, tag, body));
        };
        let burst = &self.sent().of(tag.client.into()).bursts()[place];
        let mut run = Run::new(tag, place, burst, (1, message_len));
        while !run.ends_burst() {
            let mut ahead = arrived.clone();
            let number = run.end();
            let Some(next) = ahead.next() else { break };
            if !self.is_body_of(Tag { number, ..tag }, next.body) {
                break;
            }
            *arrived = ahead;
            run.count += 1;
            run.byte_len += next.message_len as u64;
        }
        Some(self.receive_run(client, run))
    }

    /// Notes that a client got none of some messages up to the end of its stream.
    pub fn note_left_out(&mut self, left_out: LeftOut) {
        self.evidence.note_left_out(left_out);
    }

    /// Notes that the repetition came to its end.
    pub fn complete(&mut self) {
        self.evidence.complete();
        if let Some(missing) = self.receivers.left_out(self.evidence.sent()) {
            self.evidence.note_left_out(missing);
        }
    }

    /// Returns a burst that a client has sent, to note what becomes of it.
    pub fn burst_mut(&mut self, client: usize, place: usize) -> &mut Burst {
        self.evidence.sent_mut().of_mut(client).burst_mut(place)
    }

    /// Returns what there is to judge.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Returns what was sent.
    pub fn sent(&self) -> &SentLog {
        self.evidence.sent()
    }

    /// Returns how far receivers are, and what they have lost.
    pub fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// Returns how many deliveries of load messages neither came nor are known to be lost.
    pub fn unresolved(&self) -> u64 {
        self.receivers.unresolved(self.sent())
    }

    /// Returns how many messages were passed over in all repetitions, since strangers may have sent
    /// them.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Returns how many more load messages there is room for, when they are sent in one burst.
    pub fn room(&self) -> u32 {
        let len = |messages, bursts| memory_len(self.topology, self.check, messages, bursts);
        let memory = MEMORY_MAX.saturating_sub(self.memory_len + len(0, 1));
        let by_memory = memory.checked_div(len(1, 0)).unwrap_or(u64::from(u32::MAX));
        let by_id = LOAD_MAX.saturating_sub(self.sent().message_count());
        u32::try_from(by_memory).unwrap_or(u32::MAX).min(by_id) * u32::from(memory > 0)
    }

    /// Takes messages from the start of `bytes`: as many as are exactly those that their sender
    /// sent recently, to the end of a burst or of what arrived.
    fn take_recent(&self, client: usize, body: &[u8], bytes: &mut &[u8]) -> Option<Run> {
        let Reading::Intact(tag) = Payloads::tag(body) else {
            return None;
        };
        let sender = usize::from(tag.client);
        let recent = self.recent.get(sender)?;
        let place = self.find(client, tag)?;
        let burst = &self.sent().of(sender).bursts()[place];
        let (count, len) = recent.same(place, tag.number - burst.first, bytes)?;
        *bytes = &bytes[len..];
        Some(Run::new(tag, place, burst, (count, len)))
    }

    /// Takes a run of messages that are what their sender sent.
    fn receive_run(&mut self, client: usize, mut run: Run) -> Arrival {
        if self.check == Check::Full {
            let first = self.sent().id(run.sender, run.place, run.first);
            self.evidence.record_received(client, first, run.count);
            if client >= self.topology.resident_count() {
                self.memory_len += EVENT_LEN * u64::from(run.count);
            }
        }
        if client == self.topology.readers().start {
            self.history.witness(run.sender, run.first, run.count);
        }
        let settled = self
            .receivers
            .settle(client, &mut run, self.evidence.sent());
        match settled {
            Ok(()) => Arrival::Run(run),
            Err(strange) => self.strange(client, strange),
        }
    }

    /// Takes a message whose tag was never used in this repetition.
    fn receive_unsent(&mut self, client: usize, tag: Tag, body: &[u8]) -> Arrival {
        let run = self.sent().run();
        if tag.run >= run || self.receivers.has_joined(client) {
            return self.unknown(client, Strange::Unsent(tag, Excerpt::of(body)), body);
        }
        match self
            .history
            .receive(client, tag, tag.run.wrapping_add(1) == run)
        {
            Ok(()) => Arrival::Earlier,
            Err(misplaced) => self.strange(client, Strange::Replayed(tag, misplaced)),
        }
    }

    fn receive_damaged(&mut self, client: usize, tag: Tag, body: &[u8]) -> Arrival {
        let Some(place) = self.find(client, tag) else {
            return self.unknown(client, Strange::Damaged(Excerpt::of(body)), body);
        };
        let id = self.sent().id(tag.client.into(), place, tag.number);
        let mut buf = [0; BODY_LEN_MAX];
        let difference = Difference::between(self.payloads.body(tag, &mut buf), body);
        self.evidence
            .record_corrupt(client, id, Strange::Corrupt(tag, difference));
        Arrival::Broken
    }

    /// Notes a message that nobody sent, unless strangers may have: but not if it has messages of
    /// ours inside, which tell that the server has lost the boundaries between messages.
    fn unknown(&mut self, client: usize, strange: Strange, body: &[u8]) -> Arrival {
        let inside = if self.strangers == Strangers::None {
            None
        } else {
            self.own_inside(body)
        };
        self.strange(client, inside.map_or(strange, Strange::Inside))
    }

    /// Finds a message of this repetition, or the beginning of one, inside a body.
    fn own_inside(&self, body: &[u8]) -> Option<Tag> {
        (0..body.len()).find_map(|start| {
            let (&header, rest) = body[start..].split_first()?;
            let message = rest.get(..usize::from(header)).unwrap_or(rest);
            let Reading::Intact(tag) = Payloads::tag(message) else {
                return None;
            };
            let is_own = tag.run == self.sent().run()
                && self.find(usize::from(tag.client), tag).is_some()
                && self.payloads.begins(tag, message, header);
            is_own.then_some(tag)
        })
    }

    /// Notes what no server may send.
    fn strange(&mut self, client: usize, strange: Strange) -> Arrival {
        if self.strangers != Strangers::None && strange.may_be_of_strangers() {
            self.passed_over += 1;
            return Arrival::Earlier;
        }
        self.evidence.record_strange(client, strange);
        Arrival::Broken
    }

    fn read(&self, body: &[u8]) -> Reading {
        if self.check == Check::Off {
            Payloads::tag(body)
        } else {
            self.payloads.read(body)
        }
    }

    fn is_body_of(&self, tag: Tag, body: &[u8]) -> bool {
        if self.check == Check::Off {
            Payloads::tag(body) == Reading::Intact(tag)
        } else {
            self.payloads.is_body_of(tag, body)
        }
    }

    /// Finds the burst of this repetition that a tag belongs to.
    fn find(&self, client: usize, tag: Tag) -> Option<usize> {
        let sender = usize::from(tag.client);
        if sender >= self.sent().all().len() {
            return None;
        }
        let hint = self.receivers.place_hint(client, sender);
        self.sent().find(tag, hint)
    }
}

#[cfg(test)]
mod tests;
