//! One server of the simulation: a node and its clients.

use std::collections::VecDeque;
use std::rc::Rc;

use chat_cluster::{
    Config, Ended, Envelope, Filter, JoinError, Mark, MessageId, Node, Own, Read, Token,
};
use chat_proto::{Messages, MessagesBuf};

use super::Design;
use super::stream::{Answer, Packet, Stream};
use super::truth::{Message, Truth};

pub(crate) struct Server {
    pub(crate) node: Node,
    pub(crate) token: Token,
    pub(crate) is_frozen: bool,
    pub(crate) is_cut: bool,
    /// Whether its epoch was opened: from then on it delivers, also while it leaves.
    serves: bool,
    /// The publishes that are waited for; more than one if they are pipelined.
    under_way: Vec<(MessageId, Rc<[u8]>)>,
    clients: [Client; 2],
    /// Messages that are not acknowledged, with the marks after them.
    unacknowledged: VecDeque<(Mark, Message)>,
}

struct Client {
    id: u32,
    sent: u32,
    seen: u64,
}

impl Server {
    pub(crate) fn join(
        name: &str,
        token: Token,
        stream: &Stream,
        design: Design,
    ) -> Result<Self, JoinError> {
        let config = Config {
            id: name.parse().unwrap(),
            token,
            outbox_len_max: OUTBOX_LEN_MAX,
        };
        let info = stream.info();
        let mut empty = Vec::new();
        let snapshot = match design {
            Design::NoWarmUp => {
                let (as_of, filter) = (info.last, Filter::new());
                let stream = info.id;
                Envelope::Snapshot {
                    stream,
                    as_of,
                    filter,
                }
                .encode(&mut empty);
                Some(&empty[..])
            }
            _ => stream.snapshot(),
        };
        let client = |id| Client {
            id: u32::try_from(token.0).unwrap() * 2 + id,
            sent: 0,
            seen: 0,
        };
        Ok(Self {
            node: Node::join(config, info, snapshot)?,
            token,
            is_frozen: false,
            is_cut: false,
            serves: false,
            under_way: Vec::new(),
            clients: [client(0), client(1)],
            unacknowledged: VecDeque::new(),
        })
    }

    pub(crate) fn send(
        &mut self,
        client: usize,
        count: usize,
        stream: &Stream,
        truth: &mut Truth,
        design: Design,
    ) -> Result<(), String> {
        let client = &mut self.clients[client];
        for _ in 0..count {
            let message = Message {
                client: client.id,
                number: client.sent,
                stream: u32::try_from(stream.id).unwrap(),
                seen: u32::try_from(client.seen).unwrap(),
            };
            let mut buf = MessagesBuf::new();
            message.push_to(&mut buf);
            let mut messages = buf.as_messages();
            let Some(mark) = self.node.accept(&mut messages) else {
                break;
            };
            if !messages.is_empty() {
                break;
            }
            client.sent += 1;
            self.unacknowledged.push_back((mark, message));
            if design == Design::DeliversLocally {
                truth.decide(self.node.expected(), Some(buf.as_messages()))?;
            }
        }
        Ok(())
    }

    /// Puts the next publish on its way, if there is one.
    pub(crate) fn publish(&mut self, slot: usize, design: Design, net: &mut Vec<Packet>) {
        let Some(publish) = self.node.next_publish() else {
            return;
        };
        let (id, bytes) = (publish.id, Rc::from(publish.bytes));
        self.under_way.push((id, Rc::clone(&bytes)));
        if design == Design::Pipelined {
            self.node.acknowledged(id, 0);
        }
        self.put(slot, id, bytes, net);
    }

    pub(crate) fn answered(
        &mut self,
        answer: &Answer,
        truth: &mut Truth,
        design: Design,
    ) -> Result<(), String> {
        let Some(index) = (self.under_way.iter()).position(|(id, _)| *id == answer.id) else {
            return Ok(());
        };
        let Some(sequence) = answer.stored_at else {
            if design != Design::Pipelined {
                self.under_way.remove(index);
                self.node.failed(answer.id);
            }
            return Ok(());
        };
        let (id, bytes) = self.under_way.remove(index);
        self.node.acknowledged(id, sequence);
        if design == Design::AcknowledgesEarly
            && let Ok(Envelope::Batch { messages, .. }) = Envelope::parse(&bytes)
        {
            for body in messages.iter() {
                truth.acknowledge(Message::from_body(body))?;
            }
        }
        Ok(())
    }

    /// Repeats what was waited for too long.
    pub(crate) fn time_out(&mut self, slot: usize, design: Design, net: &mut Vec<Packet>) {
        if design == Design::Pipelined {
            for (id, bytes) in self.under_way.clone() {
                self.put(slot, id, bytes, net);
            }
            return;
        }
        let Some((id, bytes)) = self.under_way.pop() else {
            return;
        };
        if design == Design::RetriesWithNewId
            && let Ok(Envelope::Batch { mut messages, .. }) = Envelope::parse(&bytes)
        {
            self.node.acknowledged(id, 0);
            self.node.accept(&mut messages);
            return;
        }
        self.node.failed(id);
        self.publish(slot, design, net);
    }

    /// Reads some entries; returns how the node ended, if it did.
    pub(crate) fn read(
        &mut self,
        count: usize,
        stream: &Stream,
        truth: &mut Truth,
        design: Design,
    ) -> Result<Option<Ended>, String> {
        if let Err(ended) = self.node.check(stream.info()) {
            return Ok(Some(ended));
        }
        for _ in 0..count {
            let sequence = self.node.expected();
            let Some(entry) = stream.entry(sequence) else {
                break;
            };
            let read = match self.node.read(sequence, &entry.bytes) {
                Ok(read) => read,
                Err(ended) => return Ok(Some(ended)),
            };
            if !self.serves {
                self.serves = read == Read::Serve;
                continue;
            }
            let mut delivered = match &read {
                Read::Deliver { messages, .. } => Some(*messages),
                _ => None,
            };
            if matches!(design, Design::NoEpochs | Design::NoDuplicates) {
                delivered = match Envelope::parse(&entry.bytes) {
                    Ok(Envelope::Batch { messages, .. }) => {
                        entry.counts_wrongly.then_some(messages)
                    }
                    _ => None,
                };
            }
            truth.decide(sequence, delivered)?;
            if delivered.is_some() {
                (self.clients.iter_mut()).for_each(|client| client.seen = sequence);
            }
            if let Read::Deliver { messages, own } = read
                && let Some(own) = own
                && design != Design::AcknowledgesEarly
            {
                self.came_back(&own, messages, truth)?;
            }
        }
        Ok(None)
    }

    /// Reads an entry that is not the next.
    pub(crate) fn read_astray(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), String> {
        let expected = self.node.expected();
        let read = self.node.read(sequence, bytes);
        match sequence.cmp(&expected) {
            std::cmp::Ordering::Less if read == Ok(Read::Again) => Ok(()),
            std::cmp::Ordering::Greater if read == Ok(Read::Missing { expected }) => Ok(()),
            _ => Err(format!("{read:?} for {sequence} while {expected} is next")),
        }
    }

    /// Acknowledges to the clients, and checks that their messages stand where it says.
    fn came_back(
        &mut self,
        own: &Own,
        messages: Messages<'_>,
        truth: &mut Truth,
    ) -> Result<(), String> {
        while let Some((mark, message)) = self.unacknowledged.front().copied()
            && let Some(offset) = own.offset(mark)
        {
            let mut rest = messages;
            let found = rest.take_len(offset).iter().last().map(Message::from_body);
            if found != Some(message) {
                return Err(format!("{message:?} is said to stand where {found:?} is"));
            }
            truth.acknowledge(message)?;
            self.unacknowledged.pop_front();
        }
        Ok(())
    }

    fn put(&self, slot: usize, id: MessageId, bytes: Rc<[u8]>, net: &mut Vec<Packet>) {
        if !self.is_cut {
            net.push(Packet {
                slot,
                token: self.token,
                id,
                bytes,
            });
        }
    }
}

/// So small that it fills.
const OUTBOX_LEN_MAX: usize = 300;
