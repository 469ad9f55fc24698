//! The proof: what every client sent and received, and the verdict on it.
//!
//! Every delivery is checked for content here and recorded, in order and among the client's own sends: hello, load, probe and closing
//! messages alike, its own and everybody else's. `chat_check` has the last word on the records.
//!
//! # Messages of an earlier repetition
//!
//! A repetition closes its connections, and the next one opens new ones. A server may begin a new client's stream anywhere (rule 7 of
//! the specification settles only what follows the client's own first message), so messages of an earlier repetition may reach it at
//! first, and are passed over. They may not do so any more when the client's own hello message has come back: a repetition ends only
//! when the last message of each of its senders has come out of the server, so all of them stand before that hello message, and the
//! server has taken such a message out of its place. It counts as a phantom.

pub(crate) mod payload;

use std::fmt;

use chat_check::{MessageId, Record, Step, StepKind, Violation, check};
use chat_proto::{BODY_LEN_MAX, Body};

use crate::load::roles::{Role, Roles};
use crate::proof::payload::{Kind, NUMBER_END, Payloads, Reading, Tag};

/// What happened in a repetition. Its memory serves the next one too.
#[derive(Debug)]
pub(crate) struct Proof {
    payloads: Payloads,
    roles: Roles,
    run: u16,
    /// What each client sent, in order. The ids of a client ascend.
    sent: Vec<Vec<Sent>>,
    /// The id of the next message that anybody sends.
    next_id: u32,
    /// What each client did.
    records: Vec<Record>,
    /// Which clients have had a message of their own back.
    joined: Vec<bool>,
    /// What the first phantom looked like. The repetition ends with it.
    strange: Option<Strange>,
}

impl Proof {
    /// Makes room for the clients of a repetition.
    pub(crate) fn new(seed: u64, roles: Roles) -> Self {
        let client_count = roles.client_count();
        Self {
            payloads: Payloads::new(seed),
            roles,
            run: 0,
            sent: vec![Vec::new(); client_count],
            next_id: 0,
            records: vec![Record::new(); client_count],
            joined: vec![false; client_count],
            strange: None,
        }
    }

    /// Forgets the repetition before and begins repetition `run`.
    pub(crate) fn begin(&mut self, run: u16) {
        self.run = run;
        self.next_id = 0;
        self.sent.iter_mut().for_each(Vec::clear);
        self.records.iter_mut().for_each(Record::clear);
        self.joined.fill(false);
        self.strange = None;
    }

    /// Makes and records the next message that `client` sends. Returns its number and its body, written into `buf`.
    pub(crate) fn send<'a>(&mut self, client: usize, kind: Kind, buf: &'a mut [u8; BODY_LEN_MAX]) -> (u32, Body<'a>) {
        let id = MessageId::new(self.next_id).expect("the arguments bound the load, and time bounds the rest");
        self.next_id += 1;
        let number = u32::try_from(self.sent[client].len()).expect("a client sends no more than all do");
        debug_assert!(number < NUMBER_END);
        self.sent[client].push(Sent { id, kind });
        self.records[client].sent(id);
        let client = u16::try_from(client).expect("the arguments bound the clients");
        (number, self.payloads.body(Tag { run: self.run, client, kind, number }, buf))
    }

    /// Checks and records what arrived at `client`.
    pub(crate) fn receive(&mut self, client: usize, body: &[u8]) -> Receipt {
        match self.payloads.read(body) {
            Reading::Intact(tag) => match self.id(tag) {
                Some(id) => {
                    self.records[client].received(id);
                    let sender = usize::from(tag.client);
                    self.joined[client] |= sender == client;
                    Receipt::Message { sender, kind: tag.kind, number: tag.number }
                }
                None if tag.run < self.run && !self.joined[client] => Receipt::Earlier,
                None => self.receive_strange(client, Strange::Unsent(tag)),
            },
            Reading::Damaged(tag) => match self.id(tag) {
                Some(id) => {
                    self.records[client].received_corrupt(id);
                    Receipt::Broken
                }
                None => self.receive_strange(client, Strange::Damaged),
            },
            Reading::Untagged => self.receive_strange(client, Strange::Untagged { len: body.len() }),
        }
    }

    /// Decides whether what happened so far keeps the promise.
    pub(crate) fn verdict(&self) -> Result<(), Conviction> {
        match check(&self.records) {
            Ok(_) => Ok(()),
            Err(violation) => Err(self.conviction(violation)),
        }
    }

    /// Names message `number` of `client`.
    pub(crate) fn name(&self, client: usize, number: u32) -> MessageName {
        let sent = &self.sent[client];
        let position = usize::try_from(number).map_or(sent.len(), |number| number.min(sent.len()));
        let kind = sent.get(position).map_or(Kind::Load, |message| message.kind);
        let number = sent[..position].iter().filter(|message| message.kind == kind).count();
        MessageName { sender: self.roles.role(client), kind, number }
    }

    /// Finds the message of this repetition that a tag belongs to.
    fn id(&self, tag: Tag) -> Option<MessageId> {
        let number = usize::try_from(tag.number).ok()?;
        let message = self.sent.get(usize::from(tag.client))?.get(number)?;
        (tag.run == self.run && tag.kind == message.kind).then_some(message.id)
    }

    fn receive_strange(&mut self, client: usize, strange: Strange) -> Receipt {
        self.records[client].received_phantom();
        self.strange.get_or_insert(strange);
        Receipt::Broken
    }

    fn conviction(&self, violation: Violation) -> Conviction {
        let class = match &violation {
            Violation::Corrupt { .. } => "corrupt",
            Violation::Phantom { .. } => "phantom",
            Violation::Duplicate { .. } => "duplicate",
            Violation::Reordered { .. } => "reordered",
            Violation::Contradiction { .. } => "contradiction",
            Violation::Causal { .. } => "causal",
            _ => "violation",
        };
        let named = violation.map(|message| self.name_of(message));
        Conviction { class, story: self.story(&named) }
    }

    fn story(&self, violation: &Violation<MessageName>) -> String {
        let role = |client: &usize| self.roles.role(*client);
        match violation {
            Violation::Corrupt { client, message } => {
                format!("{} received {message} with another length or content than it was sent with", role(client))
            }
            Violation::Phantom { client, .. } => format!("{} received {}", role(client), self.strange_story()),
            Violation::Duplicate { client, message } => format!("{} received {message} more than once", role(client)),
            other if !other.story().is_empty() => self.steps_story(other.story()),
            other => other.to_string(),
        }
    }

    /// Tells steps that lead from a message back to itself.
    fn steps_story(&self, steps: &[Step<MessageName>]) -> String {
        if let [first, second] = steps {
            let deed = match second.kind {
                StepKind::Sent => "sent",
                StepKind::Received => "received",
                StepKind::ReceivedBeforeSent => return format!("{}, {}", self.step(first), self.step(second)),
            };
            return format!("{}, {} {deed} them the other way round", self.step(first), self.roles.role(second.client));
        }
        let told: Vec<String> = steps.iter().map(|step| self.step(step)).collect();
        told.join(", ")
    }

    fn step(&self, step: &Step<MessageName>) -> String {
        let Step { client, kind, before, after } = step;
        let role = self.roles.role(*client);
        match kind {
            StepKind::Sent => format!("{role} sent its {} before its {}", before.unowned(), after.unowned()),
            StepKind::Received => format!("{role} received {before} before {after}"),
            StepKind::ReceivedBeforeSent => format!("{role} received {before} before it sent its {}", after.unowned()),
        }
    }

    fn strange_story(&self) -> String {
        match self.strange {
            None => "a message that nobody sent".to_owned(),
            Some(Strange::Untagged { len }) => format!("a message of {len} bytes, shorter than any that was sent"),
            Some(Strange::Damaged) => "a message that nobody sent, or one whose first bytes are damaged".to_owned(),
            Some(Strange::Unsent(tag)) if tag.run < self.run => {
                format!("a message of iteration {}, after its own hello message of this one had come back", tag.run)
            }
            Some(Strange::Unsent(tag)) => {
                format!("a message that nobody sent: it says it is number {} of client {}", tag.number, tag.client)
            }
        }
    }

    fn name_of(&self, message: MessageId) -> MessageName {
        let found = self.sent.iter().enumerate().find_map(|(client, sent)| {
            let position = sent.binary_search_by_key(&message, |sent| sent.id).ok()?;
            Some((client, u32::try_from(position).ok()?))
        });
        let (client, number) = found.expect("only messages that were sent have ids");
        self.name(client, number)
    }
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// A message of this repetition, as it was sent.
    Message {
        /// The client that sent it.
        sender: usize,
        /// What it was sent for.
        kind: Kind,
        /// How many messages that client had sent before.
        number: u32,
    },
    /// A message of an earlier repetition, where that is no violation.
    Earlier,
    /// A violation, whatever else happens.
    Broken,
}

/// A broken promise, told for people.
#[derive(Debug, thiserror::Error)]
#[error("the promise is broken ({class}): {story}")]
pub(crate) struct Conviction {
    /// The class of the violation, in one word.
    pub(crate) class: &'static str,
    /// Who received what.
    pub(crate) story: String,
}

/// The name of a message, for people. Messages of each kind are counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageName {
    sender: Role,
    kind: Kind,
    number: usize,
}

impl MessageName {
    /// Returns the name without the sender.
    fn unowned(&self) -> String {
        let kind = match self.kind {
            Kind::Hello => "hello message",
            Kind::Load => "message",
            Kind::Probe => "probe message",
            Kind::Closing => "closing message",
        };
        format!("{kind} {}", self.number)
    }
}

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'s {}", self.sender, self.unowned())
    }
}

/// A message that was sent. Its place in the sender's list is its number.
#[derive(Clone, Copy, Debug)]
struct Sent {
    id: MessageId,
    kind: Kind,
}

/// Something that arrived and that nobody sent.
#[derive(Clone, Copy, Debug)]
enum Strange {
    /// It is too short for a tag.
    Untagged { len: usize },
    /// It is well-formed, but its tag was never used in this repetition.
    Unsent(Tag),
    /// Tag and content do not fit, and the tag was never used in this repetition.
    Damaged,
}
