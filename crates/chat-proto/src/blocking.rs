//! Messages over [`std::io`]: for threads, files and pipes.
//!
//! Both ends have a buffer, so give them the bare stream. The other end of a connection can cause a
//! [`ReadError`] or an [`io::Error`], but never a panic. Only a stream that claims to have moved
//! more bytes than it was given causes a panic.
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
    /// Whether the stream ended inside a message. Bytes after that would be read as the start of a
    /// message.
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

    /// Takes the next body. Waits for it if it has not arrived. Returns `None` when the stream
    /// ended, on a message boundary.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the stream fails or ends inside a message.
    pub fn next_body(&mut self) -> Result<Option<Body<'_>>, ReadError> {
        self.fill()?;
        Ok(self.decoder.next_body())
    }

    /// Takes all whole messages that have arrived, as one run. Waits for one if there are none.
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
    /// Returns the stream. Bytes that you read from it are missing here.
    pub fn stream(&self) -> &R {
        &self.stream
    }

    /// Returns the stream, for its settings. Bytes that you read from it are missing here.
    pub fn stream_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// Returns the stream. Bytes that had arrived and were not taken are lost.
    pub fn into_inner(self) -> R {
        self.stream
    }
}

/// Writes messages to a stream.
///
/// [`feed`](Self::feed) collects messages, so that many go out in one write. [`flush`](Self::flush)
/// sends the collected messages, and [`send`](Self::send) does both. Dropping a writer does not
/// flush it. A write that was interrupted is repeated. After any other error,
/// [`WouldBlock`](io::ErrorKind::WouldBlock) among them, flushing goes on with the first byte that
/// was not taken.
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

    /// Sends the collected messages and then this one.
    ///
    /// # Errors
    ///
    /// The error of the stream. The message may or may not be collected then, so use
    /// [`feed`](Self::feed) and [`flush`](Self::flush) on a stream whose errors pass.
    pub fn send(&mut self, body: Body<'_>) -> io::Result<()> {
        self.feed(body)?;
        self.flush()
    }

    /// Collects a message. Writes only when the buffer is full.
    ///
    /// # Errors
    ///
    /// The error of the stream. The message is not collected then.
    pub fn feed(&mut self, body: Body<'_>) -> io::Result<()> {
        while self.encoder.push(body).is_err() {
            self.write_some()?;
        }
        Ok(())
    }

    /// Sends the collected messages, and flushes the stream.
    ///
    /// # Errors
    ///
    /// The error of the stream, or [`WriteZero`](io::ErrorKind::WriteZero) when it takes no bytes.
    /// Unsent messages stay collected then.
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
    /// Returns the stream. Bytes that you write to it go out before the collected messages.
    pub fn stream(&self) -> &W {
        &self.stream
    }

    /// Returns the stream, for its settings. Bytes that you write to it go out before the collected
    /// messages.
    pub fn stream_mut(&mut self) -> &mut W {
        &mut self.stream
    }

    /// Returns the stream. Messages that were collected and not sent are lost.
    pub fn into_inner(self) -> W {
        self.stream
    }
}
