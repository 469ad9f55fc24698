//! A body and its encoding.

use crate::{BODY_LEN_MAX, HEADER_LEN, Message};

/// The content of a message: 0 to 255 bytes of any value.
///
/// A `Body` that exists fits a message, so encoding fails only when the buffer is too small.
/// `Debug` prints the bytes, as for a slice.
///
/// # Examples
///
/// ```
/// use chat_proto::{Body, BodyTooLong};
///
/// let body = Body::new(b"hello").unwrap();
/// assert_eq!(body.as_bytes(), b"hello");
/// assert_eq!(body.encoded_len(), 6);
///
/// assert_eq!(Body::new(&[0; 256]), Err(BodyTooLong { len: 256 }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Body<'a> {
    // Invariant: bytes.len() <= BODY_LEN_MAX.
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    /// Takes `bytes` as a body.
    ///
    /// # Errors
    ///
    /// [`BodyTooLong`] when there are more than [`BODY_LEN_MAX`] bytes.
    pub const fn new(bytes: &'a [u8]) -> Result<Self, BodyTooLong> {
        if bytes.len() > BODY_LEN_MAX {
            return Err(BodyTooLong { len: bytes.len() });
        }
        Ok(Self { bytes })
    }

    /// Takes bytes whose length came out of a header.
    pub(crate) fn from_scanned(bytes: &'a [u8]) -> Self {
        debug_assert!(bytes.len() <= BODY_LEN_MAX);
        Self { bytes }
    }

    /// Returns the bytes of the body, which live as long as the buffer they were taken from.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the header of the message that carries this body.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a body has at most 255 bytes"
    )]
    pub const fn header(self) -> u8 {
        self.bytes.len() as u8
    }

    /// Returns the length in bytes of the message that carries this body, 1 to 256.
    pub const fn encoded_len(self) -> usize {
        HEADER_LEN + self.bytes.len()
    }

    /// Returns the message that carries this body, in its wire form. Copies the body.
    pub const fn to_message(self) -> Message {
        Message::new(self)
    }

    /// Writes the message that carries this body to the front of `buf` and returns its length in
    /// bytes.
    ///
    /// Layout: `| len: u8 | body: len bytes |`. A buffer of
    /// [`MESSAGE_LEN_MAX`](crate::MESSAGE_LEN_MAX) bytes takes any body.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when the message does not fit; `buf` is unchanged then.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_proto::{Body, BufferTooSmall};
    ///
    /// let body = Body::new(b"hello").unwrap();
    /// let mut buf = [0; 8];
    /// assert_eq!(body.encode(&mut buf), Ok(6));
    /// assert_eq!(&buf[..6], b"\x05hello");
    ///
    /// assert_eq!(body.encode(&mut buf[..5]), Err(BufferTooSmall { needed: 6, len: 5 }));
    /// ```
    pub fn encode(self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let (needed, len) = (self.encoded_len(), buf.len());
        let Some(message) = buf.get_mut(..needed) else {
            return Err(BufferTooSmall { needed, len });
        };
        message[0] = self.header();
        message[HEADER_LEN..].copy_from_slice(self.bytes);
        Ok(needed)
    }
}

impl AsRef<[u8]> for Body<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl<'a> TryFrom<&'a [u8]> for Body<'a> {
    type Error = BodyTooLong;

    fn try_from(bytes: &'a [u8]) -> Result<Self, BodyTooLong> {
        Self::new(bytes)
    }
}

/// Says that bytes are too many for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body has at most {BODY_LEN_MAX} bytes, not {len}")]
pub struct BodyTooLong {
    /// How many bytes there were, 256 or more.
    pub len: usize,
}

/// A body that is too long becomes [`InvalidInput`](std::io::ErrorKind::InvalidInput).
#[cfg(feature = "std")]
impl From<BodyTooLong> for std::io::Error {
    fn from(error: BodyTooLong) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

/// Says that a message does not fit into a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is too small: {needed} bytes are needed, and there is room for {len}")]
pub struct BufferTooSmall {
    /// How many bytes are needed.
    pub needed: usize,
    /// How many bytes there is room for.
    pub len: usize,
}
