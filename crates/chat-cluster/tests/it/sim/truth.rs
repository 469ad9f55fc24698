//! What was promised, and what was found instead.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use chat_cluster::Envelope;
use chat_proto::{Body, Messages, MessagesBuf};

use super::stream::Stream;

/// A message of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) client: u32,
    /// Counts the client's messages.
    pub(crate) number: u32,
    /// The stream and the sequence of the last entry that the client has seen anything of.
    pub(crate) stream: u32,
    pub(crate) seen: u32,
}

/// What the servers made of the entries of one stream.
#[derive(Default)]
pub(crate) struct Truth {
    /// By sequence: what was delivered of it, or `None` for nothing.
    decisions: HashMap<u64, Option<u64>>,
    acknowledged: HashSet<(u32, u32)>,
}

impl Truth {
    /// Notes what a server that serves made of an entry; all servers must make the same of it.
    pub(crate) fn decide(
        &mut self,
        sequence: u64,
        delivered: Option<Messages<'_>>,
    ) -> Result<(), String> {
        let delivered = delivered.map(|messages| hash(messages.as_bytes()));
        match *self.decisions.entry(sequence).or_insert(delivered) == delivered {
            true => Ok(()),
            false => Err(format!("two logs differ at the entry {sequence}")),
        }
    }

    pub(crate) fn acknowledge(&mut self, message: Message) -> Result<(), String> {
        match (self.acknowledged).insert((message.client, message.number)) {
            true => Ok(()),
            false => Err(format!("{message:?} is acknowledged twice")),
        }
    }

    /// Looks at the whole order: who sent what after what, and what was acknowledged.
    pub(crate) fn check(&self, stream: &Stream) -> Result<usize, String> {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        let mut delivered = HashSet::new();
        let mut unknown = HashSet::new();
        for (sequence, entry) in (1..).zip(&stream.entries) {
            let Ok(Envelope::Batch { messages, .. }) = Envelope::parse(&entry.bytes) else {
                continue;
            };
            let messages = messages.iter().map(Message::from_body);
            match self.decisions.get(&sequence) {
                Some(None) => continue,
                Some(Some(_)) => {}
                // Nobody served then.
                None => {
                    unknown.extend(messages.map(|message| (message.client, message.number)));
                    continue;
                }
            }
            for message in messages {
                let count = counts.entry(message.client).or_default();
                if message.number < *count {
                    return Err(format!("{message:?} stands after the client's {count}"));
                }
                for missing in *count..message.number {
                    if !unknown.contains(&(message.client, missing)) {
                        return Err(format!(
                            "the client's {missing} is missing before {message:?}"
                        ));
                    }
                }
                *count = message.number + 1;
                let is_later =
                    (u64::from(message.stream), u64::from(message.seen)) < (stream.id, sequence);
                if !is_later {
                    return Err(format!(
                        "{message:?} stands at {sequence}, before its cause"
                    ));
                }
                delivered.insert((message.client, message.number));
            }
        }
        match self
            .acknowledged
            .iter()
            .find(|key| !delivered.contains(key))
        {
            Some(key) => Err(format!("{key:?} is acknowledged and in no log")),
            None => Ok(delivered.len()),
        }
    }
}

impl Message {
    pub(crate) fn push_to(self, buf: &mut MessagesBuf) {
        let mut body = [0; 16];
        let parts = [self.client, self.number, self.stream, self.seen];
        for (bytes, part) in body.chunks_exact_mut(4).zip(parts) {
            bytes.copy_from_slice(&part.to_be_bytes());
        }
        buf.push(Body::new(&body).unwrap());
    }

    pub(crate) fn from_body(body: Body<'_>) -> Self {
        let mut parts = (body.as_bytes().chunks_exact(4))
            .map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        let mut next = || parts.next().unwrap();
        Self {
            client: next(),
            number: next(),
            stream: next(),
            seen: next(),
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
