//! One message in its wire form.

use core::fmt;

use crate::{Body, HEADER_LEN, MESSAGE_LEN_MAX, Messages};

/// One message in its wire form, without an allocation: a run of [`Messages`] made from a [`Body`].
///
/// It owns its bytes, [`MESSAGE_LEN_MAX`] of them however short the message is, so pass it by
/// reference. `MessagesBuf` collects several messages.
///
/// # Examples
///
/// ```
/// use chat_proto::{Body, BodyTooLong, Message};
///
/// let message = Body::new(b"hello")?.to_message();
/// assert_eq!(message.as_bytes(), b"\x05hello");
/// assert_eq!(message.as_messages().count(), 1);
///
/// assert_eq!(Body::new(&[0; 256]).map(Message::from), Err(BodyTooLong { len: 256 }));
/// # Ok::<(), BodyTooLong>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Message {
    // Invariant: the bytes after the message are zero, so that equal messages are equal arrays.
    // The header is the first byte, and says where the message ends.
    buf: [u8; MESSAGE_LEN_MAX],
}

impl Message {
    pub(crate) const fn new(body: Body<'_>) -> Self {
        let bytes = body.as_bytes();
        let mut buf = [0; MESSAGE_LEN_MAX];
        buf[0] = body.header();
        let (_, after_header) = buf.split_at_mut(HEADER_LEN);
        after_header
            .split_at_mut(bytes.len())
            .0
            .copy_from_slice(bytes);
        Self { buf }
    }

    /// Returns the message as a run of one. Takes constant time.
    pub const fn as_messages(&self) -> Messages<'_> {
        Messages::from_one(self.as_bytes())
    }

    /// Returns the wire form of the message.
    pub const fn as_bytes(&self) -> &[u8] {
        self.buf.split_at(HEADER_LEN + self.buf[0] as usize).0
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.as_bytes())
            .finish()
    }
}

impl From<Body<'_>> for Message {
    fn from(body: Body<'_>) -> Self {
        Self::new(body)
    }
}
