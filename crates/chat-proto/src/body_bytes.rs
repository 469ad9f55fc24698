//! A body that owns its bytes, without copying them.

use bytes::{Buf, Bytes, BytesMut};

use crate::{Body, BodyTooLong, HEADER_LEN, messages::first_message_len};

/// A [`Body`] that shares the memory it was received in, for passing on to tasks and channels.
///
/// Cloning one, or taking one out of a buffer, copies nothing. It counts a reference, and allocates
/// the count once per buffer. Each keeps the whole buffer alive that it was received in, as a rule
/// some 8 KiB. Where that is too much, `BodyBytes::from(body)` makes a copy. `Debug` prints the
/// bytes, as for a slice.
///
/// # Examples
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use chat_proto::{BodyBytes, BodyTooLong};
///
/// let mut received = BytesMut::from(&b"\x05hello\x05wor"[..]);
/// let body = BodyBytes::split_from(&mut received).unwrap();
/// assert_eq!(body.as_bytes(), b"hello");
/// assert_eq!(BodyBytes::split_from(&mut received), None);
/// assert_eq!(received, &b"\x05wor"[..]);
///
/// assert_eq!(BodyBytes::new(Bytes::from_static(&[0; 256])), Err(BodyTooLong { len: 256 }));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyBytes {
    // Invariant: bytes.len() <= BODY_LEN_MAX.
    bytes: Bytes,
}

impl BodyBytes {
    /// Takes `bytes` as a body.
    ///
    /// # Errors
    ///
    /// [`BodyTooLong`] when there are more than [`BODY_LEN_MAX`](crate::BODY_LEN_MAX) bytes.
    pub fn new(bytes: Bytes) -> Result<Self, BodyTooLong> {
        Body::new(&bytes)?;
        Ok(Self { bytes })
    }

    /// Takes the first message off `received`, which begins on a message boundary, and returns its
    /// body.
    ///
    /// Returns `None` until the message is whole, and leaves `received` unchanged then.
    #[must_use = "the body is taken and cannot be taken again"]
    pub fn split_from(received: &mut BytesMut) -> Option<Self> {
        let len = first_message_len(received)?;
        let mut bytes = received.split_to(len).freeze();
        bytes.advance(HEADER_LEN);
        Some(Self { bytes })
    }

    /// Returns the body.
    pub fn as_body(&self) -> Body<'_> {
        Body::from_scanned(&self.bytes)
    }

    /// Returns the bytes of the body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of the body, without copying them.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl AsRef<[u8]> for BodyBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Body<'_>> for BodyBytes {
    fn from(body: Body<'_>) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(body.as_bytes()),
        }
    }
}

impl TryFrom<Bytes> for BodyBytes {
    type Error = BodyTooLong;

    fn try_from(bytes: Bytes) -> Result<Self, BodyTooLong> {
        Self::new(bytes)
    }
}
