//! Runs of whole messages, split off received bytes.

use core::iter::FusedIterator;

use crate::{Body, HEADER_LEN};

/// A run of whole messages, one after another, in their wire form.
///
/// A `Messages` that exists begins and ends on a message boundary. It borrows the bytes it was
/// split from: nothing is copied, and the bytes can be forwarded as they are.
///
/// # Examples
///
/// ```
/// use chat_proto::Messages;
///
/// let (messages, rest) = Messages::split(b"\x02hi\0\x03yo");
/// assert_eq!(messages.count(), 2);
/// assert_eq!(messages.as_bytes(), b"\x02hi\0");
/// assert_eq!(rest, b"\x03yo");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages<'a> {
    // Invariant: `bytes` is exactly `count` messages.
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Messages<'a> {
    /// Splits `bytes`, which begin on a message boundary, into the whole messages at their start
    /// and the unfinished rest.
    ///
    /// The rest is empty or the beginning of one message, so it is shorter than
    /// [`MESSAGE_LEN_MAX`](crate::MESSAGE_LEN_MAX). Nothing is copied or allocated. Takes one step
    /// per message.
    pub fn split(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        Self::split_within(bytes, bytes.len())
    }

    /// Takes `bytes` as exactly `count` whole messages.
    ///
    /// For callers that found the boundaries before, such as a log that stores runs. Use
    /// [`split`](Self::split) for bytes from a network. Takes constant time: the bytes are not
    /// scanned.
    ///
    /// # Panics
    ///
    /// In debug builds, when `bytes` is not exactly `count` whole messages. Release builds do not
    /// check: with wrong parts, the count is wrong, and iterating over the bodies may panic.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_proto::Messages;
    ///
    /// let (messages, _) = Messages::split(b"\x02hi\0\x03yo");
    /// let (bytes, count) = (messages.as_bytes(), messages.count());
    /// assert_eq!(Messages::from_parts(bytes, count), messages);
    /// ```
    pub fn from_parts(bytes: &'a [u8], count: usize) -> Self {
        debug_assert_eq!(
            last_boundary(bytes),
            Boundary {
                offset: bytes.len(),
                count
            },
            "the bytes are not exactly so many whole messages"
        );
        Self { bytes, count }
    }

    /// Takes the bytes of one message.
    pub(crate) const fn from_one(bytes: &'a [u8]) -> Self {
        Self { bytes, count: 1 }
    }

    /// Splits off the most messages that fit in `len_max` bytes, and keeps the others.
    ///
    /// Takes one step for each message split off.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_proto::Messages;
    ///
    /// let (mut messages, _) = Messages::split(b"\x02hi\0\x03you");
    /// let first = messages.take_len(7);
    /// assert_eq!(first.as_bytes(), b"\x02hi\0");
    /// assert_eq!(messages.as_bytes(), b"\x03you");
    /// assert!(messages.take_len(3).is_empty());
    /// ```
    #[must_use = "the messages are taken and cannot be taken again"]
    pub fn take_len(&mut self, len_max: usize) -> Self {
        if self.bytes.len() <= len_max {
            return core::mem::take(self);
        }
        let (taken, rest) = Self::split_within(self.bytes, len_max);
        *self = Self {
            bytes: rest,
            count: self.count - taken.count,
        };
        taken
    }

    /// Returns the wire form of the messages.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns how many messages there are. Takes constant time.
    pub const fn count(self) -> usize {
        self.count
    }

    /// Tells whether there are no messages.
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Iterates over the bodies, in order.
    pub const fn iter(self) -> Bodies<'a> {
        Bodies { messages: self }
    }

    /// Splits after the last message that ends within the first `len_max` bytes.
    fn split_within(bytes: &'a [u8], len_max: usize) -> (Self, &'a [u8]) {
        let Boundary { offset, count } = last_boundary(&bytes[..len_max.min(bytes.len())]);
        let (whole, rest) = bytes.split_at(offset);
        (
            Self {
                bytes: whole,
                count,
            },
            rest,
        )
    }
}

impl<'a> IntoIterator for Messages<'a> {
    type Item = Body<'a>;
    type IntoIter = Bodies<'a>;

    fn into_iter(self) -> Bodies<'a> {
        self.iter()
    }
}

/// The bodies of a run of messages, in order; made by [`Messages::iter`].
#[derive(Clone, Debug, Default)]
pub struct Bodies<'a> {
    messages: Messages<'a>,
}

impl<'a> Bodies<'a> {
    /// Returns the messages that were not yet iterated over.
    pub const fn remaining(&self) -> Messages<'a> {
        self.messages
    }
}

impl<'a> Iterator for Bodies<'a> {
    type Item = Body<'a>;

    fn next(&mut self) -> Option<Body<'a>> {
        let (&header, after_header) = self.messages.bytes.split_first()?;
        let (body, after) = after_header.split_at(usize::from(header));
        self.messages = Messages {
            bytes: after,
            count: self.messages.count - 1,
        };
        Some(Body::from_scanned(body))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.messages.count, Some(self.messages.count))
    }
}

impl ExactSizeIterator for Bodies<'_> {}

impl FusedIterator for Bodies<'_> {}

/// A message boundary in a stretch of bytes; found by [`boundary_from`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Where the boundary is, in bytes from the start of the stretch.
    pub offset: usize,
    /// How many messages end at or before it.
    pub count: usize,
}

/// Finds the first message boundary at or after `offset` in `bytes`, which begin on a boundary.
///
/// A writer asks this after its stream has taken only the first `offset` bytes. It must still write
/// the bytes up to the boundary, and may leave out the messages after it. Takes one step per
/// message before the boundary.
///
/// Returns `None` when the message that `offset` falls into does not end within `bytes`.
///
/// # Examples
///
/// ```
/// use chat_proto::{Boundary, boundary_from};
///
/// let wire = b"\x02hi\x03you";
/// assert_eq!(boundary_from(wire, 3), Some(Boundary { offset: 3, count: 1 }));
/// assert_eq!(boundary_from(wire, 4), Some(Boundary { offset: 7, count: 2 }));
/// assert_eq!(boundary_from(&wire[..5], 4), None);
/// ```
pub fn boundary_from(bytes: &[u8], offset: usize) -> Option<Boundary> {
    let before = last_boundary(bytes.get(..offset)?);
    if before.offset == offset {
        return Some(before);
    }
    let len = first_message_len(&bytes[before.offset..])?;
    Some(Boundary {
        offset: before.offset + len,
        count: before.count + 1,
    })
}

/// Returns the length of the first message of `bytes`, header included, if it is whole.
pub(crate) fn first_message_len(bytes: &[u8]) -> Option<usize> {
    let len = HEADER_LEN + usize::from(*bytes.first()?);
    (len <= bytes.len()).then_some(len)
}

/// Finds the last message boundary in `bytes`, which begin on one.
///
/// The place of the next header depends on this one, so a step takes as long as a load, some 2 ns.
/// After a few messages of one length, the scan guesses that the next ones have it too. It then
/// loads all their headers at once, and a step takes a fraction of that time. It guesses only after
/// [`ALIKE_COUNT`] messages, because a guess that is often wrong costs more than it saves. (`cargo
/// bench -p benches -- split`)
fn last_boundary(bytes: &[u8]) -> Boundary {
    let mut boundary = Boundary {
        offset: 0,
        count: 0,
    };
    let (mut last_header, mut alike_count) = (0, 0);
    while let Some(&header) = bytes.get(boundary.offset) {
        let len = HEADER_LEN + usize::from(header);
        alike_count = if header == last_header {
            alike_count + 1
        } else {
            0
        };
        last_header = header;
        if alike_count == ALIKE_COUNT {
            alike_count = 0;
            while starts_alike(&bytes[boundary.offset..], header) {
                boundary.offset += GUESS_COUNT * len;
                boundary.count += GUESS_COUNT;
            }
            continue;
        }
        if boundary.offset + len > bytes.len() {
            break;
        }
        boundary.offset += len;
        boundary.count += 1;
    }
    boundary
}

/// Tells whether `bytes` start with [`GUESS_COUNT`] whole messages that all have this header.
fn starts_alike(bytes: &[u8], header: u8) -> bool {
    let len = HEADER_LEN + usize::from(header);
    (0..GUESS_COUNT).all(|nth| bytes.get(nth * len) == Some(&header))
        && GUESS_COUNT * len <= bytes.len()
}

/// How many messages in a row have the length of the one before when the scan guesses that the next
/// ones have it too. Judged by the bench `split`: with 3, lengths that are equal by chance cost up
/// to a third more.
const ALIKE_COUNT: usize = 7;

/// How many messages are guessed at once. Judged by the bench `split`: 4 and 16 are slower.
const GUESS_COUNT: usize = 8;
