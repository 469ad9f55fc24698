//! A run of messages that owns its bytes.

use std::{fmt, vec::Vec};

use crate::{Body, Messages};

/// A run of whole messages that owns its bytes and can grow.
///
/// It begins and ends on a message boundary, like the [`Messages`] that it gives out. It grows with
/// every message and has no limit of its own: bound what you put into it.
///
/// # Examples
///
/// ```
/// use chat_proto::{Body, BodyTooLong, Messages, MessagesBuf};
///
/// let mut buf = MessagesBuf::new();
/// buf.push(Body::new(b"hello")?);
/// let (received, _) = Messages::split(b"\x02hi\0\x03yo");
/// buf.extend_from(received);
/// assert_eq!(buf.count(), 3);
/// assert_eq!(buf.as_messages().as_bytes(), b"\x05hello\x02hi\0");
///
/// // As many messages as fit in 9 bytes.
/// assert_eq!(buf.as_messages().take_len(9).count(), 2);
///
/// assert_eq!(Body::new(&[0; 256]).map(|body| buf.push(body)), Err(BodyTooLong { len: 256 }));
/// # Ok::<(), BodyTooLong>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MessagesBuf {
    // Invariant: `bytes` is exactly `count` messages.
    bytes: Vec<u8>,
    count: usize,
}

impl MessagesBuf {
    /// Makes an empty run. Allocates nothing yet.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
        }
    }

    /// Appends the message that carries `body`.
    pub fn push(&mut self, body: Body<'_>) {
        self.bytes.reserve(body.encoded_len());
        self.bytes.push(body.header());
        self.bytes.extend_from_slice(body.as_bytes());
        self.count += 1;
    }

    /// Appends a run of messages, with one copy.
    pub fn extend_from(&mut self, messages: Messages<'_>) {
        self.bytes.extend_from_slice(messages.as_bytes());
        self.count += messages.count();
    }

    /// Removes all messages and keeps the allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Returns the messages. Takes constant time.
    pub fn as_messages(&self) -> Messages<'_> {
        Messages::from_parts(&self.bytes, self.count)
    }

    /// Returns how many messages there are. Takes constant time.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Tells whether there are no messages.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Prints lengths, not bodies.
impl fmt::Debug for MessagesBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessagesBuf")
            .field("count", &self.count)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// Copies the messages.
impl From<Messages<'_>> for MessagesBuf {
    fn from(messages: Messages<'_>) -> Self {
        Self {
            bytes: messages.as_bytes().to_vec(),
            count: messages.count(),
        }
    }
}

impl<'a> FromIterator<Body<'a>> for MessagesBuf {
    fn from_iter<I: IntoIterator<Item = Body<'a>>>(bodies: I) -> Self {
        let mut messages = Self::new();
        messages.extend(bodies);
        messages
    }
}

impl<'a> Extend<Body<'a>> for MessagesBuf {
    fn extend<I: IntoIterator<Item = Body<'a>>>(&mut self, bodies: I) {
        bodies.into_iter().for_each(|body| self.push(body));
    }
}
