//! The proof: what every client sent and received, and the verdict on it.
//!
//! Every delivery is checked for content here and recorded, in order and among the client's own
//! sends: hello, load, probe and closing messages alike, its own and everybody else's. `chat_check`
//! has the last word on the records.
//!
//! # Messages of an earlier repetition
//!
//! A repetition closes its connections, and the next one opens new ones. A server may begin a new
//! client's stream anywhere (rule 7 of the specification settles only what follows the client's own
//! first message), so messages of an earlier repetition may reach it at first, and are passed over.
//! They may not do so any more when the client's own hello message has come back: a repetition ends
//! only when the last message of each of its senders has come out of the server, so all of them
//! stand before that hello message, and the server has taken such a message out of its place. It
//! counts as a phantom.
//!
//! # Messages of strangers
//!
//! A server that was not started for the run may have other clients. What none of ours sent may be
//! theirs, so it is passed over, counted and told. What is ours is judged as always.

use chat_check::{MessageId, Record, check};
use chat_proto::{BODY_LEN_MAX, HEADER_LEN, MESSAGE_LEN_MAX, Messages};
use chat_results::Check;

use crate::arrival::{Arrival, Run, Strange};
use crate::budget::{EVENT_LEN, LOAD_MAX, MEMORY_MAX, memory_len};
use crate::missing_echo::Forgotten;
use crate::payload::{Kind, NUMBER_END, Payloads, Reading, Tag};
use crate::recent::{FRESH_LEN_MAX, Fresh};
use crate::sends::{Sends, Times};
use crate::story::{Conviction, Kept};
use crate::topology::{Role, Topology};

/// What happened in a repetition. Its memory serves the next one too.
#[derive(Debug)]
pub struct Proof {
    pub(crate) payloads: Payloads,
    pub(crate) topology: Topology,
    pub(crate) check: Check,
    pub(crate) strangers: Strangers,
    /// The repetition's number in tags.
    pub(crate) run: u16,
    /// The repetition's number for people.
    pub(crate) iteration: u16,
    /// How many messages of strangers were passed over, in all repetitions.
    pub(crate) passed_over: u64,
    /// What each client sent.
    pub(crate) sent: Vec<Sends>,
    /// What each publisher sent last.
    pub(crate) fresh: Vec<Fresh>,
    /// Where each message ends of the burst that is being made.
    pub(crate) ends: Vec<u32>,
    /// The id of the next message that anybody sends.
    pub(crate) next_id: u32,
    /// How many bytes all that takes, once everybody has received what was sent.
    pub(crate) memory_len: u64,
    /// What each client did. Empty unless everything is checked.
    pub(crate) records: Vec<Record>,
    /// Which clients have had a message of their own back.
    pub(crate) joined: Vec<bool>,
    /// How far each client is with the messages of each publisher, and with its own: a row a
    /// client, a column a publisher, one more for the client's own.
    pub(crate) cells: Vec<Cell>,
    /// How many load messages each receiver has lost.
    pub(crate) lost: Vec<u64>,
    /// How many deliveries of each publisher's load messages receivers have lost: all of them, and
    /// the publisher itself.
    pub(crate) lost_of: Vec<u64>,
    pub(crate) own_lost: Vec<u64>,
    pub(crate) longest_loss: u64,
    /// How many messages in a row, of any kind, a client has missed at most between two of one
    /// sender, in all repetitions.
    pub(crate) longest_gap: u32,
    /// The first thing that is no delivery of a message in its place. The repetition ends with it.
    pub(crate) strange: Option<(usize, Strange)>,
    /// A sender that the server leaves out.
    pub(crate) forgotten: Option<Forgotten>,
    /// Whether the repetition came to its end.
    pub(crate) is_complete: bool,
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

impl Proof {
    /// Makes room for the clients of a repetition.
    pub fn new(payloads: Payloads, topology: Topology, check: Check, strangers: Strangers) -> Self {
        let mut proof = Self::without_clients(payloads, topology, check, strangers);
        proof.make_room(topology.resident_count());
        proof.fresh.resize_with(topology.publishers, Fresh::default);
        proof
    }

    pub(crate) fn without_clients(
        payloads: Payloads,
        topology: Topology,
        check: Check,
        strangers: Strangers,
    ) -> Self {
        Self {
            payloads,
            topology,
            check,
            strangers,
            run: 0,
            iteration: 0,
            passed_over: 0,
            sent: Vec::new(),
            fresh: Vec::new(),
            ends: Vec::new(),
            next_id: 0,
            memory_len: 0,
            records: Vec::new(),
            joined: Vec::new(),
            cells: Vec::new(),
            lost: vec![0; topology.member_count()],
            lost_of: vec![0; topology.publishers],
            own_lost: vec![0; topology.publishers],
            longest_loss: 0,
            longest_gap: 0,
            strange: None,
            forgotten: None,
            is_complete: false,
        }
    }

    /// Forgets the repetition before and begins repetition `iteration`.
    pub fn begin(&mut self, iteration: u16) {
        self.iteration = iteration;
        self.run = match self.strangers {
            Strangers::None => iteration,
            Strangers::Possible { first_run } => first_run.wrapping_add(iteration),
        };
        self.next_id = 0;
        self.memory_len = self.visitors_len();
        self.sent.iter_mut().for_each(Sends::clear);
        self.fresh.iter_mut().for_each(Fresh::clear);
        self.records.iter_mut().for_each(Record::clear);
        self.joined.fill(false);
        self.cells.fill(Cell::default());
        self.lost.fill(0);
        self.lost_of.fill(0);
        self.own_lost.fill(0);
        self.longest_loss = 0;
        (self.strange, self.forgotten, self.is_complete) = (None, None, false);
    }

    /// Makes room for `client_count` clients, if there is less.
    pub fn make_room(&mut self, client_count: usize) {
        if client_count > self.sent.len() {
            self.sent.resize_with(client_count, Sends::default);
            self.records.resize_with(client_count, Record::new);
            self.joined.resize(client_count, false);
            let visitors_len = self.visitors_len();
            self.cells.resize(
                client_count * (self.topology.publishers + 1),
                Cell::default(),
            );
            self.memory_len += self.visitors_len() - visitors_len;
        }
    }

    /// Returns how many bytes there are for visitors, whatever they send and receive. Those of
    /// residents, the arguments bound.
    fn visitors_len(&self) -> u64 {
        let row_len = self.topology.publishers + 1;
        let visitor_count =
            (self.cells.len() / row_len).saturating_sub(self.topology.resident_count());
        (visitor_count * (row_len * size_of::<Cell>() + size_of::<Sends>() + size_of::<Record>()))
            as u64
    }

    /// Forgets what was sent lately, which only makes it slower.
    pub fn forget_fresh(&mut self) {
        self.fresh.clear();
    }

    /// Makes and records the next `count` messages that `client` sends, and adds them to `wire`.
    /// Returns the number behind the last.
    pub fn send(
        &mut self,
        client: usize,
        kind: Kind,
        count: u32,
        times: Times,
        wire: &mut Vec<u8>,
    ) -> u32 {
        let first_id = self.next_id;
        self.next_id += count;
        self.memory_len += memory_len(self.topology, self.check, count.into(), 1);
        let sends = &mut self.sent[client];
        let first = sends.count();
        debug_assert!(first + count <= NUMBER_END);
        let (place, start) = (sends.push(kind, count, first_id, times), wire.len());
        self.ends.clear();
        let mut tag = Tag {
            run: self.run,
            client: u16_of(client),
            kind,
            number: first,
        };
        let (mut body, mut message) = ([0; BODY_LEN_MAX], [0; MESSAGE_LEN_MAX]);
        for (number, id) in (first..).zip(first_id..self.next_id) {
            if self.check == Check::Full {
                self.records[client]
                    .sent(MessageId::new(id).expect("the load is bounded by what can be numbered"));
            }
            tag.number = number;
            let len = self
                .payloads
                .body(tag, &mut body)
                .encode(&mut message)
                .expect("the buffer is as long as the longest message");
            wire.extend_from_slice(&message[..len]);
            self.ends
                .push(u32::try_from(wire.len() - start).expect("a burst is shorter than that"));
        }
        if let Some(fresh) = self.fresh.get_mut(client) {
            fresh.push(
                place,
                &wire[start..],
                &self.ends,
                FRESH_LEN_MAX / self.topology.publishers,
            );
        }
        first + count
    }

    /// Records that the stream to `client` ended after `len` bytes of a message, when nothing was
    /// under way to it any more.
    pub fn receive_unfinished(&mut self, client: usize, len: usize) -> Arrival {
        self.strange(client, Strange::Unfinished { len })
    }

    /// Checks and records the messages at the start of what arrived at `client`, if they are of a
    /// burst that was sent lately, and as many after it as belong to the same burst, without a
    /// gap.
    ///
    /// All of this [`receive`](Self::receive) does too, but slower.
    pub fn receive_fresh(&mut self, client: usize, bytes: &mut &[u8]) -> Option<Arrival> {
        let run = self.take_fresh(client, bytes)?;
        Some(self.receive_run(client, run))
    }

    /// Checks and records the next of what arrived at `client`, and as many after it as belong to
    /// the same burst, without a gap.
    pub fn receive(&mut self, client: usize, messages: &mut Messages<'_>) -> Option<Arrival> {
        let mut bodies = messages.iter();
        let body = bodies.next()?;
        *messages = bodies.remaining();
        let tag = match self.read(body.as_bytes()) {
            Reading::Intact(tag) => tag,
            Reading::Damaged(tag) => return Some(self.receive_damaged(client, tag)),
            Reading::Untagged => {
                return Some(self.strange(
                    client,
                    Strange::Untagged {
                        len: body.as_bytes().len(),
                    },
                ));
            }
        };
        let Some(place) = self.find(client, tag) else {
            let is_earlier = tag.run < self.run && !self.joined[client];
            return Some(if is_earlier {
                Arrival::Earlier
            } else {
                self.strange(client, Strange::Unsent(tag))
            });
        };
        let end = self.sent[usize::from(tag.client)].bursts()[place].end();
        let mut run = Run::new(tag, place, 1, body.encoded_len());
        while run.end() < end {
            let mut ahead = messages.iter();
            let Some(body) = ahead.next() else { break };
            if !self.is_body_of(
                Tag {
                    number: run.end(),
                    ..tag
                },
                body.as_bytes(),
            ) {
                break;
            }
            *messages = ahead.remaining();
            run.count += 1;
            run.byte_len += body.encoded_len() as u64;
        }
        Some(self.receive_run(client, run))
    }

    /// Notes that the repetition came to its end.
    pub fn complete(&mut self) {
        self.is_complete = true;
        self.seek_forgotten();
    }

    /// Decides whether what happened so far keeps the promise.
    pub fn verdict(&self) -> Result<Kept, Conviction> {
        let kept = match (self.check, self.strange) {
            (Check::Off, None) => Kept::Unchecked,
            (Check::Basic, None) => Kept::Partly,
            (Check::Off | Check::Basic, Some((client, strange))) => {
                let story = format!(
                    "{} received {}",
                    self.topology.role(client),
                    self.strange_story(strange)
                );
                return Err(Conviction {
                    class: strange.class(),
                    story,
                });
            }
            (Check::Full, _) => {
                check(&self.records).map_err(|violation| self.conviction(violation))?;
                Kept::Proved {
                    overtaken: self.overtaken(),
                }
            }
        };
        self.forgotten_conviction().map_or(Ok(kept), Err)
    }

    /// Tells whether the repetition came to its end.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the repetition's number.
    pub fn iteration(&self) -> u16 {
        self.iteration
    }

    /// Returns how many messages were passed over in all repetitions, since strangers may have sent
    /// them.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Returns how many deliveries are recorded.
    pub fn recorded_count(&self) -> u64 {
        self.records
            .iter()
            .map(|record| record.delivery_count() as u64)
            .sum()
    }

    /// Returns how many load messages receivers are known to have lost, by later messages of the
    /// same senders.
    pub fn lost(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// Returns how many messages of one publisher in a row a receiver lost at most.
    pub fn longest_loss(&self) -> u64 {
        self.longest_loss
    }

    /// Returns how many messages in a row, of any kind, a client has missed at most between two of
    /// one sender, in all repetitions so far.
    pub fn longest_gap(&self) -> u32 {
        self.longest_gap
    }

    /// Returns the receiver that lost most, if any did, and how many it lost.
    pub fn worst_loss(&self) -> Option<(Role, u64)> {
        let client = (0..self.lost.len())
            .rev()
            .max_by_key(|&client| self.lost[client])?;
        (self.lost[client] > 0).then(|| (self.topology.role(client), self.lost[client]))
    }

    /// Returns how many deliveries of load messages neither came nor are known to be lost.
    pub fn unresolved(&self) -> u64 {
        (0..self.topology.publishers)
            .map(|publisher| self.unresolved_of(publisher))
            .sum()
    }

    /// Returns how many of these are of messages of `publisher`.
    pub fn unresolved_of(&self, publisher: usize) -> u64 {
        self.topology
            .receivers()
            .map(|client| u64::from(self.unresolved_at(client, publisher)))
            .sum()
    }

    /// Returns how many of these are due to `client`.
    pub fn unresolved_at(&self, client: usize, publisher: usize) -> u32 {
        let (sends, cell) = (
            &self.sent[publisher],
            self.cell(client, publisher).unwrap_or_default(),
        );
        sends.load_count() - sends.load_before(cell.next, cell.place as usize)
    }

    /// Returns how many messages of `sender` a client is settled on: it has received the last of
    /// them or a later one.
    ///
    /// Other clients' hello messages are not followed: what subscribers send is awaited by nobody
    /// but themselves.
    pub fn settled(&self, client: usize, sender: usize) -> Option<u32> {
        self.cell(client, sender).map(|cell| cell.next)
    }

    /// Returns what a client has sent.
    pub fn sends(&self, client: usize) -> &Sends {
        &self.sent[client]
    }

    /// Returns what a client has sent, to note what becomes of it.
    pub fn sends_mut(&mut self, client: usize) -> &mut Sends {
        &mut self.sent[client]
    }

    /// Returns how many messages all clients have sent.
    pub fn message_count(&self) -> u32 {
        self.next_id
    }

    /// Returns how many more load messages there is room for, when they are sent in one burst.
    pub fn room(&self) -> u32 {
        let memory = MEMORY_MAX
            .saturating_sub(self.memory_len + memory_len(self.topology, self.check, 0, 1));
        let by_memory = memory
            .checked_div(memory_len(self.topology, self.check, 1, 0))
            .unwrap_or(u64::from(u32::MAX));
        let by_id = LOAD_MAX.saturating_sub(self.next_id);
        u32::try_from(by_memory).unwrap_or(u32::MAX).min(by_id) * u32::from(memory > 0)
    }

    /// Takes messages from the start of `bytes`: as many as are exactly those that their sender
    /// sent lately, to the end of a burst or of what arrived.
    fn take_fresh(&self, client: usize, bytes: &mut &[u8]) -> Option<Run> {
        let Reading::Intact(tag) = Payloads::tag(bytes.get(HEADER_LEN..)?) else {
            return None;
        };
        let sender = usize::from(tag.client);
        let fresh = self.fresh.get(sender)?;
        let place = self.find(client, tag)?;
        let first = self.sent[sender].bursts()[place].first;
        let (count, len) = fresh.same(place, tag.number - first, bytes)?;
        *bytes = &bytes[len..];
        Some(Run::new(tag, place, count, len))
    }

    /// Takes a run of messages that are what their sender sent.
    fn receive_run(&mut self, client: usize, mut run: Run) -> Arrival {
        if self.check == Check::Full {
            let burst = &self.sent[run.sender].bursts()[run.place];
            let first = MessageId::new(burst.first_id + (run.first - burst.first))
                .expect("it is the id of a message that was sent");
            self.records[client].received_run(first, run.count);
            if client >= self.topology.resident_count() {
                self.memory_len += EVENT_LEN * u64::from(run.count);
            }
        }
        self.joined[client] |= run.sender == client;
        let Some(index) = self.cell_index(client, run.sender) else {
            return Arrival::Run(run);
        };
        let cell = self.cells[index];
        run.before = cell.next;
        if run.first < run.before {
            return self.strange(
                client,
                Strange::OutOfOrder {
                    sender: run.sender,
                    number: run.first,
                    next: run.before,
                },
            );
        }
        // What was sent before its first, it may have joined too late for.
        if run.before > 0 {
            self.longest_gap = self.longest_gap.max(run.first - run.before);
        }
        if run.first > run.before && client < self.lost.len() {
            let sends = &self.sent[run.sender];
            let lost = sends.load_before(run.first, run.place)
                - sends.load_before(cell.next, cell.place as usize);
            self.lost[client] += u64::from(lost);
            // Of others than publishers no load can be lost.
            if run.sender < self.topology.publishers {
                self.lost_of[run.sender] += u64::from(lost);
                self.own_lost[run.sender] += if run.sender == client {
                    u64::from(lost)
                } else {
                    0
                };
            }
            self.longest_loss = self.longest_loss.max(lost.into());
        }
        self.cells[index] = Cell {
            next: run.end(),
            place: u32::try_from(run.place).expect("there are fewer bursts than messages"),
        };
        Arrival::Run(run)
    }

    fn receive_damaged(&mut self, client: usize, tag: Tag) -> Arrival {
        let Some(place) = self.find(client, tag) else {
            return self.strange(client, Strange::Damaged);
        };
        let burst = &self.sent[usize::from(tag.client)].bursts()[place];
        let id = MessageId::new(burst.first_id + (tag.number - burst.first))
            .expect("it is the id of a message that was sent");
        self.records[client].received_corrupt(id);
        self.strange.get_or_insert((client, Strange::Corrupt(tag)));
        Arrival::Broken
    }

    /// Notes what no server may send.
    fn strange(&mut self, client: usize, strange: Strange) -> Arrival {
        if self.strangers != Strangers::None && strange.may_be_of_strangers() {
            self.passed_over += 1;
            return Arrival::Earlier;
        }
        // What is out of order has been recorded as what it is.
        if !matches!(strange, Strange::OutOfOrder { .. }) {
            self.records[client].received_phantom();
        }
        self.strange.get_or_insert((client, strange));
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
        let sends = self.sent.get(sender).filter(|_| tag.run == self.run)?;
        let hint = self
            .cell(client, sender)
            .map_or(0, |cell| cell.place as usize);
        let place = sends.find(tag.number, hint)?;
        (sends.bursts()[place].kind == tag.kind).then_some(place)
    }

    fn cell(&self, client: usize, sender: usize) -> Option<Cell> {
        self.cell_index(client, sender)
            .map(|index| self.cells[index])
    }

    fn cell_index(&self, client: usize, sender: usize) -> Option<usize> {
        let publishers = self.topology.publishers;
        let column = if sender < publishers {
            sender
        } else {
            publishers
        };
        (sender < publishers || sender == client).then_some(client * (publishers + 1) + column)
    }
}

/// How far a client is with the messages of one sender.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    /// How many messages it is settled on.
    next: u32,
    /// The place of the burst that the last of them is in.
    place: u32,
}

pub(crate) fn u16_of(client: usize) -> u16 {
    u16::try_from(client).expect("the arguments bound the clients")
}

#[cfg(test)]
mod tests;
