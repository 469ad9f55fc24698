//! The stream and the network before it.

use std::collections::HashMap;
use std::rc::Rc;

use chat_cluster::{MessageId, NodeId, StreamInfo, Token};

use super::Design;

/// A stream as the servers see it. Forgotten entries stay here, for the truth.
pub(crate) struct Stream {
    pub(crate) id: u64,
    pub(crate) entries: Vec<Entry>,
    forgotten: usize,
    /// Which are known, and where they stand.
    ids: HashMap<MessageId, u64>,
    snapshot: Option<usize>,
    wrong: WrongFilter,
}

pub(crate) struct Entry {
    pub(crate) bytes: Rc<[u8]>,
    /// Whether it counts by the wrong filter of the design, if it has one.
    pub(crate) counts_wrongly: bool,
}

/// A publish on its way to the stream.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) slot: usize,
    pub(crate) token: Token,
    pub(crate) id: MessageId,
    pub(crate) bytes: Rc<[u8]>,
}

/// An answer on its way to a server.
pub(crate) struct Answer {
    pub(crate) slot: usize,
    pub(crate) token: Token,
    pub(crate) id: MessageId,
    /// Where it stands in the stream, if it does.
    pub(crate) stored_at: Option<u64>,
}

impl Stream {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            entries: Vec::new(),
            forgotten: 0,
            ids: HashMap::new(),
            snapshot: None,
            wrong: WrongFilter::default(),
        }
    }

    pub(crate) fn info(&self) -> StreamInfo {
        StreamInfo {
            id: self.id,
            first: self.forgotten as u64 + 1,
            last: self.entries.len() as u64,
        }
    }

    pub(crate) fn entry(&self, sequence: u64) -> Option<&Entry> {
        let index = usize::try_from(sequence).unwrap().checked_sub(1)?;
        (index >= self.forgotten).then(|| self.entries.get(index))?
    }

    pub(crate) fn snapshot(&self) -> Option<&[u8]> {
        let index = self.snapshot.filter(|index| *index >= self.forgotten)?;
        Some(&self.entries[index].bytes)
    }

    /// Stores an entry, unless there is one with its id; returns where it stands.
    pub(crate) fn store(&mut self, packet: &Packet, design: Design) -> u64 {
        if let Some(sequence) = self.ids.get(&packet.id) {
            return *sequence;
        }
        if matches!(packet.id, MessageId::Snapshot { .. }) {
            self.snapshot = Some(self.entries.len());
        }
        let counts_wrongly = self.wrong.counts(packet.id, design);
        self.entries.push(Entry {
            bytes: Rc::clone(&packet.bytes),
            counts_wrongly,
        });
        let sequence = self.entries.len() as u64;
        self.ids.insert(packet.id, sequence);
        sequence
    }

    pub(crate) fn write_garbage(&mut self, pick: usize) {
        let mut bytes = match self.entries.len().checked_sub(1 + pick % 16) {
            Some(index) => self.entries[index].bytes.to_vec(),
            None => Vec::new(),
        };
        bytes.truncate(pick % 24);
        self.entries.push(Entry {
            bytes: bytes.into(),
            counts_wrongly: false,
        });
    }

    pub(crate) fn forget_ids(&mut self) {
        self.ids.clear();
    }

    pub(crate) fn forget_entries(&mut self, count: usize) {
        self.forgotten = (self.forgotten + count).min(self.entries.len());
    }
}

/// The filters of wrong designs. They see all entries, so all servers agree on them.
#[derive(Default)]
struct WrongFilter(HashMap<NodeId, (u64, Token, u64)>);

impl WrongFilter {
    fn counts(&mut self, id: MessageId, design: Design) -> bool {
        let MessageId::Numbered {
            node,
            epoch,
            token,
            number,
            ..
        } = id
        else {
            return false;
        };
        let run = self.0.entry(node).or_insert((0, token, 0));
        match design {
            Design::NoEpochs if number == 0 => run.2 = 1,
            Design::NoEpochs if number == run.2 => run.2 += 1,
            Design::NoDuplicates if number == 0 && epoch > run.0 => *run = (epoch, token, 1),
            Design::NoDuplicates => return epoch == run.0 && token == run.1,
            _ => return false,
        }
        true
    }
}
