//! Encoding for a stream that takes bytes in pieces.

use core::fmt;

use crate::{Body, BufferTooSmall, MESSAGE_LEN_MAX, decoder::BUF_LEN};

/// Encodes bodies for a stream that takes bytes in pieces of any size: the mirror of
/// [`Decoder`](crate::Decoder).
///
/// The encoder owns a buffer of fixed length and no connection: put bodies in with
/// [`push`](Self::push), write the [`unsent`](Self::unsent) bytes, and say how many of them the
/// stream took with [`advance`](Self::advance). The messages go out whole and in order, however few
/// bytes the stream takes at a time.
///
/// The storage `B` is anything that holds bytes: an array, a `Vec`, a slice of yours. It must have
/// room for the longest message, [`MESSAGE_LEN_MAX`] bytes; a larger one puts more messages into a
/// write. Waiting bytes are moved only when as many have been sent. So the cost per message does
/// not grow with the buffer.
///
/// # Examples
///
/// ```
/// use chat_proto::{Body, BufferTooSmall, Encoder};
///
/// let mut encoder = Encoder::new();
/// encoder.push(Body::new(b"hello")?)?;
/// encoder.push(Body::new(b"you")?)?;
/// assert_eq!(encoder.unsent(), b"\x05hello\x03you");
///
/// // The stream took four bytes, for now.
/// encoder.advance(4);
/// assert_eq!(encoder.unsent(), b"lo\x03you");
///
/// let longest = Body::new(&[0; 255])?;
/// encoder.push(longest)?;
/// assert_eq!(encoder.push(longest), Err(BufferTooSmall { needed: 256, len: 246 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Encoder<B = [u8; BUF_LEN]> {
    // Invariant: start <= end <= buf.len().
    // Invariant: buf.len() >= MESSAGE_LEN_MAX.
    buf: B,
    start: usize,
    end: usize,
}

impl Encoder {
    /// Makes an encoder with a buffer of its own, of 512 bytes.
    pub const fn new() -> Self {
        Self {
            buf: [0; BUF_LEN],
            start: 0,
            end: 0,
        }
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Encoder<B> {
    /// Makes an encoder that keeps unsent bytes in `buf`. The contents of `buf` do not matter.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when `buf` has fewer than [`MESSAGE_LEN_MAX`] bytes.
    pub fn with_buf(buf: B) -> Result<Self, BufferTooSmall> {
        let len = buf.as_ref().len();
        if len < MESSAGE_LEN_MAX {
            return Err(BufferTooSmall {
                needed: MESSAGE_LEN_MAX,
                len,
            });
        }
        Ok(Self {
            buf,
            start: 0,
            end: 0,
        })
    }

    /// Appends the message that carries `body` to the unsent bytes.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when the message does not fit until more bytes have been sent. Nothing is
    /// pushed then. When no bytes are unsent, any message fits.
    pub fn push(&mut self, body: Body<'_>) -> Result<(), BufferTooSmall> {
        let may_move = self.may_move();
        let buf = self.buf.as_mut();
        if may_move && buf.len() - self.end < body.encoded_len() {
            buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        self.end += body.encode(&mut buf[self.end..])?;
        Ok(())
    }

    /// Records that the stream took the first `len` of the unsent bytes.
    ///
    /// # Panics
    ///
    /// When fewer than `len` bytes are unsent.
    pub fn advance(&mut self, len: usize) {
        let unsent_len = self.end - self.start;
        assert!(
            len <= unsent_len,
            "advanced by {len} bytes where {unsent_len} were unsent"
        );
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Returns the bytes that the stream has not taken yet, in order; none when all are sent.
    pub fn unsent(&self) -> &[u8] {
        &self.buf.as_ref()[self.start..self.end]
    }

    /// Tells whether [`push`](Self::push) takes any body now.
    pub fn has_room(&self) -> bool {
        let end = if self.may_move() {
            self.end - self.start
        } else {
            self.end
        };
        self.buf.as_ref().len() - end >= MESSAGE_LEN_MAX
    }

    /// Tells whether the unsent bytes may be moved to the front: no more of them than were sent.
    fn may_move(&self) -> bool {
        self.end - self.start <= self.start
    }
}

/// Prints lengths, not bodies.
impl<B: AsRef<[u8]>> fmt::Debug for Encoder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsent_len = self.end - self.start;
        f.debug_struct("Encoder")
            .field("unsent_len", &unsent_len)
            .field("buf_len", &self.buf.as_ref().len())
            .finish()
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}
