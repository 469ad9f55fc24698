//! A body that owns its bytes, without copying them.

use bytes::{Buf, Bytes, BytesMut};

use crate::{Body, BodyTooLong, HEADER_LEN, messages::first_message_len};

/// A [`Body`] that shares the memory it was received in, for passing on to tasks and channels.
///
/// Cloning one, or taking it out of a buffer, copies nothing: it counts a reference, and allocates
/// the count once a buffer. As long as one lives, so does the whole buffer that it was received in,
/// some 8 KiB as a rule. `BodyBytes::from(body)` copies, where that is too much.
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

    /// Takes the first message off `received`, which begin on a message boundary, and returns its
    /// body.
    ///
    /// Returns `None`, and leaves `received` as they are, until the message is whole.
    #[must_use = "the body is taken; it cannot be had again"]
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
