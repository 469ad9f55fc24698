//! Bodies that tell who sent them, and have the content that they should have.

use chat_check::MessageId;

/// Makes and reads the bodies of one room.
///
/// | room: u32 | sender: u16 | number: u32 | filler |, little-endian. The filler and its length
/// follow from the rest, so a receiver can make the body again and compare.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    room: u32,
    /// How many messages each member sends, and the index of its first.
    senders: Vec<(u32, u32)>,
}

/// What a received body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A message of the room, as it was sent.
    Message(MessageId),
    /// A message of the room with another content.
    Corrupt(MessageId),
    /// A message of another room on the same server.
    Foreign,
    /// None that anybody sends.
    Phantom,
}

impl Bodies {
    /// Makes those of a room whose members send so many messages each.
    pub(crate) fn new(room: u32, counts: impl Iterator<Item = u32>) -> Self {
        let mut first = 0;
        let senders = counts.map(|count| {
            let sender = (count, first);
            first += count;
            sender
        });
        Self {
            room,
            senders: senders.collect(),
        }
    }

    /// Returns the number that a message has in the records.
    pub(crate) fn id(&self, sender: usize, number: u32) -> Option<MessageId> {
        let &(count, first) = self.senders.get(sender)?;
        (number < count)
            .then(|| MessageId::new(first + number).ok())
            .flatten()
    }

    /// Tells whose message it is, and which of theirs.
    pub(crate) fn origin(&self, message: MessageId) -> Option<(usize, u32)> {
        let index = message.index();
        let is_of = |&(count, first): &(u32, u32)| (first..first + count).contains(&index);
        let sender = self.senders.iter().position(is_of)?;
        Some((sender, index - self.senders[sender].1))
    }

    /// Makes a body.
    pub(crate) fn body(&self, sender: u16, number: u32) -> Vec<u8> {
        let mut body = Vec::with_capacity(BODY_LEN_MAX);
        body.extend_from_slice(&self.room.to_le_bytes());
        body.extend_from_slice(&sender.to_le_bytes());
        body.extend_from_slice(&number.to_le_bytes());
        let seed = u64::from(self.room) ^ (u64::from(sender) << 32) ^ (u64::from(number) << 40);
        let mut rng = fastrand::Rng::with_seed(seed);
        let len = match rng.u8(..) {
            0..16 => BODY_LEN_MAX,
            16..32 => STAMP_LEN,
            _ => STAMP_LEN + rng.usize(..SHORT_LEN),
        };
        body.resize_with(len, || rng.u8(..));
        body
    }

    /// Reads a body.
    pub(crate) fn read(&self, body: &[u8]) -> Seen {
        let Some((room, rest)) = body.split_first_chunk() else {
            return Seen::Phantom;
        };
        let Some((sender, rest)) = rest.split_first_chunk() else {
            return Seen::Phantom;
        };
        let Some((number, _)) = rest.split_first_chunk() else {
            return Seen::Phantom;
        };
        if u32::from_le_bytes(*room) != self.room {
            // The rooms of one server have numbers that differ in the low half alone.
            let is_room = (u32::from_le_bytes(*room) ^ self.room) >> 16 == 0;
            return if is_room {
                Seen::Foreign
            } else {
                Seen::Phantom
            };
        }
        let (sender, number) = (u16::from_le_bytes(*sender), u32::from_le_bytes(*number));
        match self.id(sender.into(), number) {
            None => Seen::Phantom,
            Some(id) if self.body(sender, number) == body => Seen::Message(id),
            Some(id) => Seen::Corrupt(id),
        }
    }
}

/// Length in bytes of what tells the sender.
const STAMP_LEN: usize = 10;

/// How many bytes of filler most bodies have at most.
const SHORT_LEN: usize = 40;

/// The longest body. Source: the specification.
const BODY_LEN_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_back_and_any_change_is_seen() {
        let bodies = Bodies::new(0xc0ff_0001, [3, 0, 2].into_iter());
        for (sender, number) in [(0, 0), (0, 2), (2, 1)] {
            let body = bodies.body(sender, number);
            let id = bodies.id(sender.into(), number).unwrap();
            assert_eq!(bodies.read(&body), Seen::Message(id));
            assert_eq!(bodies.origin(id), Some((sender.into(), number)));
            for place in 0..body.len() {
                let mut changed = body.clone();
                changed[place] ^= 1;
                assert_ne!(bodies.read(&changed), Seen::Message(id), "byte {place}");
            }
            assert_ne!(bodies.read(&body[..body.len() - 1]), Seen::Message(id));
        }
        assert_eq!(bodies.read(&bodies.body(1, 0)), Seen::Phantom);
        assert_eq!(bodies.read(b"short"), Seen::Phantom);
        let other = Bodies::new(0xc0ff_0002, [1].into_iter());
        assert_eq!(bodies.read(&other.body(0, 0)), Seen::Foreign);
    }
}
