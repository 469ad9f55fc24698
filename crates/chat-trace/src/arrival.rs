//! What arrived.

use crate::excerpt::{Difference, Excerpt};
use crate::history::Misplaced;
use crate::payload::{Kind, Tag};
use crate::sends::{Burst, Times};

/// A message that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// Its body.
    pub body: &'a [u8],
    /// How many bytes it has on the wire.
    pub message_len: usize,
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Messages of this repetition, as they were sent.
    Run(Run),
    /// A message of an earlier repetition or of strangers, where that is no violation.
    Earlier,
    /// A violation, whatever else happens.
    Broken,
}

/// Messages of one burst that arrived at a client one after the other, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The client that sent them.
    pub sender: usize,
    /// What they were sent for.
    pub kind: Kind,
    /// The place of the burst among all of the sender's.
    pub place: usize,
    /// How many messages of the sender the receiver was settled on before.
    pub before: u32,
    /// The number of the first.
    pub first: u32,
    /// How many there are.
    pub count: u32,
    /// How many bytes they have on the wire.
    pub byte_len: u64,
    /// When the burst was sent.
    pub times: Times,
    /// The number behind the last message of the burst.
    pub burst_end: u32,
}

impl Run {
    /// Makes a run of `count` messages, the first of which has this tag. How far its receiver was,
    /// is not known yet.
    pub(crate) fn new(
        tag: Tag,
        place: usize,
        burst: &Burst,
        (count, byte_len): (u32, usize),
    ) -> Self {
        Self {
            sender: tag.client.into(),
            kind: tag.kind,
            place,
            before: 0,
            first: tag.number,
            count,
            byte_len: byte_len as u64,
            times: burst.times(),
            burst_end: burst.end(),
        }
    }

    /// Returns the number behind the last message.
    pub fn end(self) -> u32 {
        self.first + self.count
    }

    /// Tells whether the last message is the last of the burst.
    pub fn ends_burst(self) -> bool {
        self.end() == self.burst_end
    }
}

/// Something that no server may send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Strange {
    /// It is too short for a tag.
    Untagged(Excerpt),
    /// It is the beginning of a message, and then the stream ends.
    Unfinished { len: usize },
    /// It is well-formed, but its tag was never used in this repetition.
    Unsent(Tag, Excerpt),
    /// Tag and content do not fit, and the tag was never used in this repetition.
    Damaged(Excerpt),
    /// It is no message of ours, but one of ours is inside it.
    Inside(Tag),
    /// It is of an earlier repetition, and not in its place.
    Replayed(Tag, Misplaced),
    /// Tag and content do not fit.
    Corrupt(Tag, Difference),
    /// It arrives again, or after a later message of the same sender: `next` of them had been
    /// settled.
    OutOfOrder {
        sender: usize,
        number: u32,
        next: u32,
    },
}

impl Strange {
    /// Tells whether somebody else may have sent it.
    pub(crate) fn may_be_of_strangers(self) -> bool {
        matches!(
            self,
            Self::Untagged(_) | Self::Unsent(..) | Self::Damaged(_)
        )
    }

    /// Returns the class of the violation, where there are no records to tell it from.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Untagged(_)
            | Self::Unfinished { .. }
            | Self::Unsent(..)
            | Self::Damaged(_)
            | Self::Inside(_)
            | Self::Replayed(..) => "phantom",
            Self::Corrupt(..) => "corrupt",
            Self::OutOfOrder { .. } => "duplicate or reordered",
        }
    }
}
