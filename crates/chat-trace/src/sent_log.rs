//! What all clients have sent.

use chat_check::MessageId;

use crate::payload::{Kind, NUMBER_END, Tag};
use crate::sends::{Sends, Times};
use crate::story::MessageName;
use crate::topology::Topology;

/// What all clients have sent in a repetition.
#[derive(Clone, Debug)]
pub struct SentLog {
    topology: Topology,
    /// The repetition's number in tags.
    run: u16,
    /// What each client sent.
    of: Vec<Sends>,
    /// The id of the next message that anybody sends.
    next_id: u32,
}

impl SentLog {
    pub(crate) fn new(topology: Topology) -> Self {
        Self {
            topology,
            run: 0,
            of: Vec::new(),
            next_id: 0,
        }
    }

    /// Takes what was recorded.
    pub(crate) fn recorded(topology: Topology, run: u16, of: Vec<Sends>) -> Self {
        let bursts = of.iter().flat_map(Sends::bursts);
        let next_id = bursts.map(|burst| burst.end_id()).max().unwrap_or(0);
        Self {
            topology,
            run,
            of,
            next_id,
        }
    }

    /// Forgets the repetition before and begins one with this number in its tags.
    pub(crate) fn begin(&mut self, run: u16) {
        self.run = run;
        self.next_id = 0;
        self.of.iter_mut().for_each(Sends::clear);
    }

    /// Makes room for `client_count` clients, if there is less.
    pub(crate) fn make_room(&mut self, client_count: usize) {
        let count = client_count.max(self.of.len());
        self.of.resize_with(count, Sends::default);
    }

    /// Adds a burst, and returns its place among all of the client's, and the tag of its first
    /// message.
    pub(crate) fn push(
        &mut self,
        client: usize,
        kind: Kind,
        count: u32,
        times: Times,
    ) -> (usize, Tag) {
        let sends = &mut self.of[client];
        let number = sends.count();
        debug_assert!(number + count <= NUMBER_END);
        let place = sends.push(kind, count, self.next_id, times);
        self.next_id += count;
        let tag = Tag {
            run: self.run,
            client: u16_of(client),
            kind,
            number,
        };
        (place, tag)
    }

    /// Uses up ids.
    #[cfg(test)]
    pub(crate) fn skip_ids(&mut self, count: u32) {
        self.next_id += count;
    }

    pub(crate) fn of_mut(&mut self, client: usize) -> &mut Sends {
        &mut self.of[client]
    }

    /// Returns who takes part.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// Returns the repetition's number in tags.
    pub(crate) fn run(&self) -> u16 {
        self.run
    }

    /// Returns what a client has sent.
    pub fn of(&self, client: usize) -> &Sends {
        &self.of[client]
    }

    /// Returns what each client has sent.
    pub(crate) fn all(&self) -> &[Sends] {
        &self.of
    }

    /// Returns how many messages all clients have sent.
    pub fn message_count(&self) -> u32 {
        self.next_id
    }

    /// Finds the burst of this repetition that a tag belongs to. `hint` is a place near which it
    /// may be.
    pub(crate) fn find(&self, tag: Tag, hint: usize) -> Option<usize> {
        let sends = self.of.get(usize::from(tag.client))?;
        if tag.run != self.run {
            return None;
        }
        let place = sends.find(tag.number, hint)?;
        (sends.bursts()[place].kind == tag.kind).then_some(place)
    }

    /// Returns the id of message `number` of a client, which is in the burst at `place`.
    pub(crate) fn id(&self, client: usize, place: usize, number: u32) -> MessageId {
        let burst = &self.of[client].bursts()[place];
        MessageId::new(burst.first_id + (number - burst.first))
            .expect("it is the id of a message that was sent")
    }

    /// Names message `number` of `client`.
    pub fn name(&self, client: usize, number: u32) -> MessageName {
        let sends = &self.of[client];
        let place = sends.find(number, 0).unwrap_or_default();
        let kind = sends
            .bursts()
            .get(place)
            .map_or(Kind::Load, |burst| burst.kind);
        let number = if kind == Kind::Load {
            sends.load_before(number, place)
        } else {
            let before = sends.bursts()[..place].iter();
            let of_kind = before.filter(|burst| burst.kind == kind);
            let in_burst = sends
                .bursts()
                .get(place)
                .map_or(0, |burst| number - burst.first);
            of_kind.map(|burst| burst.count).sum::<u32>() + in_burst
        };
        MessageName {
            sender: self.topology.role(client),
            kind,
            number,
        }
    }

    /// Names the message with an id.
    pub(crate) fn name_of(&self, message: MessageId) -> MessageName {
        let found = self.of.iter().enumerate().find_map(|(client, sends)| {
            let (_, number) = sends.find_id(message.index())?;
            Some((client, number))
        });
        let (client, number) = found.expect("only messages that were sent have ids");
        self.name(client, number)
    }
}

pub(crate) fn u16_of(client: usize) -> u16 {
    u16::try_from(client).expect("the load bounds the clients")
}
