//! Messages over [`std::io`]: for threads, files and pipes.
//!
//! Both ends buffer, so give them the bare stream. What the other end of a connection does is seen
//! in [`ReadError`] and [`io::Error`] alone; no bytes of a peer can make them panic. They do panic
//! when a stream claims that it moved more bytes than it was given.
//!
//! # Examples
//!
//! ```
//! use chat_proto::{Body, ReadError, Unfinished, blocking::{Reader, Writer}};
//!
//! let mut writer = Writer::new(Vec::new());
//! writer.send(Body::new(b"hello")?)?;
//! let mut wire = writer.into_inner();
//! wire.extend(b"\x05wor");
//!
//! let mut reader = Reader::new(&wire[..]);
//! assert_eq!(reader.next_body()?, Some(Body::new(b"hello")?));
//! let error = reader.next_body().unwrap_err();
//! assert!(matches!(error, ReadError::Unfinished(Unfinished { received: 4, expected: 6 })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    boxed::Box,
    io::{self, Read, Write},
};

use crate::{
    Body, Decoder, Encoder, Messages, ReadError,
    stream_buf::{STREAM_BUF_LEN, stream_buf},
};

/// Reads messages from a stream.
///
/// A read that was interrupted is repeated. After any other error of the stream,
/// [`WouldBlock`](io::ErrorKind::WouldBlock) among them, reading goes on where it stopped. After an
/// unfinished message the reader is at its end, whatever the stream does.
#[derive(Debug)]
pub struct Reader<R> {
    stream: R,
    decoder: Decoder<Box<[u8]>>,
    /// Whether the stream ended inside a message: what came behind that would be read as if a
    /// message began there.
    is_cut: bool,
}

impl<R: Read> Reader<R> {
    /// Makes a reader with a buffer of 8 KiB.
    pub fn new(stream: R) -> Self {
        Self::with_buf_len(stream, STREAM_BUF_LEN)
    }

    /// Makes a reader with a buffer of `len` bytes, or of
    /// [`MESSAGE_LEN_MAX`](crate::MESSAGE_LEN_MAX) if that is more.
    pub fn with_buf_len(stream: R, len: usize) -> Self {
        let decoder = Decoder::with_buf(stream_buf(len))
            .expect("the buffer has room for the longest message");
        Self {
            stream,
            decoder,
            is_cut: false,
        }
    }

    /// Takes the next body; waits for it if it has not arrived. Returns `None` when the stream
    /// ended, on a message boundary.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the stream fails or ends inside a message.
    pub fn next_body(&mut self) -> Result<Option<Body<'_>>, ReadError> {
        self.fill()?;
        Ok(self.decoder.next_body())
    }

    /// Takes all whole messages that have arrived, as one run; waits for one if there is none.
    /// Returns an empty run when the stream ended, on a message boundary.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the stream fails or ends inside a message.
    pub fn next_messages(&mut self) -> Result<Messages<'_>, ReadError> {
        self.fill()?;
        Ok(self.decoder.next_messages())
    }

    /// Reads until there is a body to take or the stream ends.
    fn fill(&mut self) -> Result<(), ReadError> {
        while !self.decoder.has_body() && !self.is_cut {
            match self.stream.read(self.decoder.spare()) {
                Ok(0) => {
                    let finished = self.decoder.finish();
                    self.is_cut = finished.is_err();
                    return Ok(finished?);
                }
                Ok(len) => self.decoder.advance(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl<R> Reader<R> {
    /// Returns the stream. Reading from it takes bytes out of the middle.
    pub fn stream(&self) -> &R {
        &self.stream
    }

    /// Returns the stream, for its settings. Reading from it takes bytes out of the middle.
    pub fn stream_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// Returns the stream. What had arrived and was not taken is lost.
    pub fn into_inner(self) -> R {
        self.stream
    }
}

/// Writes messages to a stream.
///
/// [`feed`](Self::feed) collects messages, so that many go out in one write; [`flush`](Self::flush)
/// sends what was collected, and [`send`](Self::send) does both. A writer that is dropped does not
/// flush. A write that was interrupted is repeated. After any other
/// error, [`WouldBlock`](io::ErrorKind::WouldBlock) among them, flushing goes on with the first
/// byte that was not taken.
#[derive(Debug)]
pub struct Writer<W> {
    stream: W,
    encoder: Encoder<Box<[u8]>>,
}

impl<W: Write> Writer<W> {
    /// Makes a writer with a buffer of 8 KiB.
    pub fn new(stream: W) -> Self {
        Self::with_buf_len(stream, STREAM_BUF_LEN)
    }

    /// Makes a writer with a buffer of `len` bytes, or of
    /// [`MESSAGE_LEN_MAX`](crate::MESSAGE_LEN_MAX) if that is more.
    pub fn with_buf_len(stream: W, len: usize) -> Self {
        let encoder = Encoder::with_buf(stream_buf(len))
            .expect("the buffer has room for the longest message");
        Self { stream, encoder }
    }

    /// Sends a message, and whatever was collected before it.
    ///
    /// # Errors
    ///
    /// What the stream says; the message may or may not be collected then. Use [`feed`](Self::feed)
    /// and [`flush`](Self::flush) on a stream whose errors pass.
    pub fn send(&mut self, body: Body<'_>) -> io::Result<()> {
        self.feed(body)?;
        self.flush()
    }

    /// Collects a message. Writes only when the buffer is full.
    ///
    /// # Errors
    ///
    /// What the stream says; the message was not collected then.
    pub fn feed(&mut self, body: Body<'_>) -> io::Result<()> {
        while self.encoder.push(body).is_err() {
            self.write_some()?;
        }
        Ok(())
    }

    /// Sends what was collected, and flushes the stream.
    ///
    /// # Errors
    ///
    /// What the stream says, or [`WriteZero`](io::ErrorKind::WriteZero) when it takes nothing; what
    /// was not sent stays collected then.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.encoder.unsent().is_empty() {
            self.write_some()?;
        }
        loop {
            match self.stream.flush() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                flushed => return flushed,
            }
        }
    }

    fn write_some(&mut self) -> io::Result<()> {
        match self.stream.write(self.encoder.unsent()) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => {
                self.encoder.advance(len);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl<W> Writer<W> {
    /// Returns the stream. Writing to it puts bytes before what is collected.
    pub fn stream(&self) -> &W {
        &self.stream
    }

    /// Returns the stream, for its settings. Writing to it puts bytes before what is collected.
    pub fn stream_mut(&mut self) -> &mut W {
        &mut self.stream
    }

    /// Returns the stream. What was collected and not sent is lost.
    pub fn into_inner(self) -> W {
        self.stream
    }
}
