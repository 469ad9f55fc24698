//! The beginning of a message, carried over between reads.

use std::{fmt, vec::Vec};

use crate::{MESSAGE_LEN_MAX, Messages, Unfinished, messages::first_message_len};

/// The beginning of a message whose end has not arrived, carried over from one read to the next.
///
/// For event loops and sessions that read every connection into one shared buffer. Each connection
/// then keeps only a `Partial`: at most 255 bytes, and none while it is idle on a message boundary.
/// A [`Decoder`](crate::Decoder) keeps a whole buffer for each connection instead.
///
/// Each read takes three steps: [`prepend`](Self::prepend) puts the carried bytes at the front of
/// the shared buffer, you read into the rest of it, and [`split`](Self::split) takes the messages
/// and carries the new rest over. A read that brings nothing needs no third step. At the end of the
/// stream, [`finish`](Self::finish) tells whether it ended on a message boundary.
///
/// An empty one owns no memory on the heap, and is as large as a `Vec`.
///
/// # Examples
///
/// ```
/// use std::io::Read;
///
/// use chat_proto::{Partial, Unfinished};
///
/// // All connections share the buffer.
/// let mut buf = [0; 8192];
///
/// // A connection whose bytes arrive in two reads.
/// let mut stream = (&b"\x05hel"[..]).chain(&b"lo\x03yo"[..]);
/// let mut partial = Partial::new();
/// let mut bodies = Vec::new();
/// loop {
///     let carried_len = partial.prepend(&mut buf);
///     let len = stream.read(&mut buf[carried_len..])?;
///     if len == 0 {
///         break;
///     }
///     for body in partial.split(&buf[..carried_len + len]) {
///         bodies.push(body.as_bytes().to_vec());
///     }
/// }
/// assert_eq!(bodies, [b"hello"]);
/// assert_eq!(partial.finish(), Err(Unfinished { received: 3, expected: 4 }));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Partial {
    // Invariant: `bytes` is empty, without an allocation, or it is the beginning of one message:
    // shorter than that message, and so than MESSAGE_LEN_MAX.
    bytes: Vec<u8>,
}

impl Partial {
    /// Makes one that carries nothing. Allocates nothing.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Splits `received` into the whole messages, which it returns, and the unfinished rest, which
    /// it carries over.
    ///
    /// `received` is the carried bytes, as [`prepend`](Self::prepend) wrote them, and the bytes
    /// read after them. Takes one step per message, and copies only the rest. Allocates only when
    /// the rest is longer than any since the last read that ended on a message boundary.
    ///
    /// # Panics
    ///
    /// In debug builds, when `received` does not begin with the carried bytes.
    #[must_use = "the messages are taken and cannot be taken again"]
    pub fn split<'a>(&mut self, received: &'a [u8]) -> Messages<'a> {
        debug_assert!(
            received.starts_with(&self.bytes),
            "the carried bytes were not prepended"
        );
        let (messages, rest) = Messages::split(received);
        self.carry(rest);
        messages
    }

    /// Carries `rest` over in place of the bytes carried so far.
    ///
    /// For callers that find the message boundaries themselves: `rest` is the unfinished rest that
    /// [`Messages::split`] would return. Takes constant time and copies the rest.
    ///
    /// # Panics
    ///
    /// When `rest` has [`MESSAGE_LEN_MAX`] bytes or more. In debug builds, whenever `rest` begins
    /// with a whole message.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_proto::Partial;
    ///
    /// let mut partial = Partial::new();
    /// partial.carry(b"\x05hel");
    /// assert_eq!(partial.len(), 4);
    /// partial.carry(b"");
    /// assert!(partial.is_empty());
    /// ```
    pub fn carry(&mut self, rest: &[u8]) {
        assert!(
            rest.len() < MESSAGE_LEN_MAX,
            "the rest holds a whole message"
        );
        debug_assert_eq!(
            first_message_len(rest),
            None,
            "the rest holds a whole message"
        );
        if rest.is_empty() {
            self.bytes = Vec::new();
            return;
        }
        self.bytes.clear();
        self.bytes.reserve_exact(rest.len());
        self.bytes.extend_from_slice(rest);
    }

    /// Ends the stream and tells whether it may end here. An unfinished message is discarded.
    ///
    /// # Errors
    ///
    /// [`Unfinished`] when the stream ended inside a message.
    pub fn finish(&mut self) -> Result<(), Unfinished> {
        Unfinished::check(&std::mem::take(&mut self.bytes))
    }

    /// Copies the carried bytes to the front of `buf` and returns their length.
    ///
    /// Read into the rest of `buf`, which has at least one byte.
    ///
    /// # Panics
    ///
    /// When `buf` has fewer than [`MESSAGE_LEN_MAX`] bytes.
    pub fn prepend(&self, buf: &mut [u8]) -> usize {
        let buf_len = buf.len();
        assert!(
            buf_len >= MESSAGE_LEN_MAX,
            "{buf_len} bytes have no room for the longest message"
        );
        let len = self.len();
        buf[..len].copy_from_slice(&self.bytes);
        len
    }

    /// Returns how many bytes are carried over, 0 to 255.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether nothing is carried over: the stream is at a message boundary.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Prints the length, not the bytes.
impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial").field("len", &self.len()).finish()
    }
}
