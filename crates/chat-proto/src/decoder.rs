//! Decoding a stream that arrives in pieces.

use core::fmt;

use crate::{
    Body, BufferTooSmall, HEADER_LEN, MESSAGE_LEN_MAX, Messages, messages::first_message_len,
};

/// Decodes a stream that arrives in pieces of any size.
///
/// The decoder owns a buffer of fixed length and no connection: read into [`spare`](Self::spare),
/// say how much arrived with [`advance`](Self::advance), and take bodies with
/// [`next_body`](Self::next_body) until there is none. At the end of the stream
/// [`finish`](Self::finish) tells whether it ended on a message boundary.
///
/// The storage `B` is anything that holds bytes: an array, a `Vec`, a slice of yours. It must have
/// room for the longest message, [`MESSAGE_LEN_MAX`] bytes; a larger one takes more bytes per read.
/// Waiting bytes are moved only when as many have been taken, or when they are the message that the
/// end of the buffer cut. So the cost per message does not grow with the buffer.
///
/// # Examples
///
/// ```
/// use std::io::Read;
///
/// use chat_proto::{Decoder, Unfinished};
///
/// let mut stream: &[u8] = b"\x05hello\x05wor";
/// let mut decoder = Decoder::new();
/// let mut bodies = Vec::new();
/// loop {
///     let len = stream.read(decoder.spare())?;
///     if len == 0 {
///         break;
///     }
///     decoder.advance(len);
///     while let Some(body) = decoder.next_body() {
///         bodies.push(body.as_bytes().to_vec());
///     }
/// }
/// assert_eq!(bodies, [b"hello"]);
/// assert_eq!(decoder.finish(), Err(Unfinished { received: 4, expected: 6 }));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Decoder<B = [u8; BUF_LEN]> {
    // Invariant: start <= end <= buf.len(), and start is a message boundary of the stream.
    // Invariant: buf.len() >= MESSAGE_LEN_MAX.
    buf: B,
    start: usize,
    end: usize,
}

impl Decoder {
    /// Makes a decoder with a buffer of its own, of 512 bytes.
    pub const fn new() -> Self {
        Self {
            buf: [0; BUF_LEN],
            start: 0,
            end: 0,
        }
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Decoder<B> {
    /// Makes a decoder that reads into `buf`. The contents of `buf` do not matter.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when `buf` has fewer than [`MESSAGE_LEN_MAX`] bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_proto::{BufferTooSmall, Decoder};
    ///
    /// assert_eq!(Decoder::with_buf(vec![0; 8192]).unwrap().spare().len(), 8192);
    /// let error = Decoder::with_buf([0; 255]).unwrap_err();
    /// assert_eq!(error, BufferTooSmall { needed: 256, len: 255 });
    /// ```
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

    /// Returns the free part of the buffer, for the reader to fill from its front.
    ///
    /// After [`next_body`](Self::next_body) has returned `None`, it is never empty. While there are
    /// bodies to take, it may be.
    pub fn spare(&mut self) -> &mut [u8] {
        let buf = self.buf.as_mut();
        let received_len = self.end - self.start;
        let is_short = buf.len() - self.end < MESSAGE_LEN_MAX;
        if received_len == 0 || (is_short && received_len <= self.start.max(MESSAGE_LEN_MAX)) {
            buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, received_len);
        }
        &mut buf[self.end..]
    }

    /// Records that `len` bytes arrived at the front of the part that [`spare`](Self::spare)
    /// returned last.
    ///
    /// # Panics
    ///
    /// When `len` is more than the length of the free part.
    pub fn advance(&mut self, len: usize) {
        let spare_len = self.buf.as_ref().len() - self.end;
        assert!(
            len <= spare_len,
            "advanced by {len} bytes where {spare_len} were free"
        );
        self.end += len;
    }

    /// Takes the next body. Returns `None` until all of it has arrived.
    ///
    /// The body lives in the decoder's buffer until the next call.
    #[must_use = "the body is taken and cannot be taken again"]
    pub fn next_body(&mut self) -> Option<Body<'_>> {
        let len = first_message_len(self.received())?;
        let start = self.start;
        self.start += len;
        Some(Body::from_scanned(
            &self.buf.as_ref()[start + HEADER_LEN..self.start],
        ))
    }

    /// Takes all whole messages that have arrived, as one run.
    #[must_use = "the messages are taken and cannot be taken again"]
    pub fn next_messages(&mut self) -> Messages<'_> {
        let (messages, _) = Messages::split(&self.buf.as_ref()[self.start..self.end]);
        self.start += messages.as_bytes().len();
        messages
    }

    /// Ends the stream and tells whether it may end here. An unfinished message is discarded.
    /// Bodies that were not taken can still be taken.
    ///
    /// # Errors
    ///
    /// [`Unfinished`] when the stream ended inside a message.
    pub fn finish(&mut self) -> Result<(), Unfinished> {
        let (_, unfinished) = Messages::split(self.received());
        let (finished, unfinished_len) = (Unfinished::check(unfinished), unfinished.len());
        self.end -= unfinished_len;
        finished
    }

    /// Tells whether [`next_body`](Self::next_body) would return a body.
    pub fn has_body(&self) -> bool {
        first_message_len(self.received()).is_some()
    }

    /// The bytes that have arrived and were not taken.
    fn received(&self) -> &[u8] {
        &self.buf.as_ref()[self.start..self.end]
    }
}

/// Prints lengths, not bodies.
impl<B: AsRef<[u8]>> fmt::Debug for Decoder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let received_len = self.end - self.start;
        f.debug_struct("Decoder")
            .field("received_len", &received_len)
            .field("buf_len", &self.buf.as_ref().len())
            .finish()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Says that a stream ended inside a message. The bytes that had arrived of the message are
/// discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream ended inside a message: {received} of its {expected} bytes had arrived")]
pub struct Unfinished {
    /// How many bytes of the message had arrived, header included: 1 to 255.
    pub received: usize,
    /// How many bytes the message has, header included: 2 to 256.
    pub expected: usize,
}

/// An unfinished message becomes [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof).
#[cfg(feature = "std")]
impl From<Unfinished> for std::io::Error {
    fn from(error: Unfinished) -> Self {
        Self::new(std::io::ErrorKind::UnexpectedEof, error)
    }
}

impl Unfinished {
    /// Tells whether a stream may end after `rest`, the rest that [`Messages::split`] returned for
    /// its last bytes.
    ///
    /// # Errors
    ///
    /// `Unfinished` unless `rest` is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_proto::{Messages, Unfinished};
    ///
    /// let (_, rest) = Messages::split(b"\x02hi\x03yo");
    /// assert_eq!(Unfinished::check(rest), Err(Unfinished { received: 3, expected: 4 }));
    /// assert_eq!(Unfinished::check(b""), Ok(()));
    /// ```
    pub const fn check(rest: &[u8]) -> Result<(), Self> {
        match rest {
            [] => Ok(()),
            [header, ..] => Err(Self {
                received: rest.len(),
                expected: HEADER_LEN + *header as usize,
            }),
        }
    }
}

/// Length in bytes of the buffer of [`Decoder::new`] and of `Encoder::new`: two of the longest
/// messages, so that one cut message leaves room for another of the same size. A judgement; callers
/// with other needs bring a buffer.
pub(crate) const BUF_LEN: usize = 2 * MESSAGE_LEN_MAX;
