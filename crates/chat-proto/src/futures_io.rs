//! Messages over [`futures-io`](https://docs.rs/futures-io/0.3): for any runtime whose streams have
//! its traits, such as async-std and smol.
//!
//! Both ends have a buffer, so give them the bare stream. Dropping a future of a [`Reader`] loses
//! nothing. Dropping a future that sends leaves open whether its body was collected, so wait for it
//! to end.
//!
//! # Examples
//!
//! ```
//! use chat_proto::{Body, ReadError, Unfinished, futures_io::{Reader, Writer}};
//! use futures::{SinkExt, TryStreamExt, executor::block_on, io::Cursor};
//!
//! # block_on(async {
//! let mut writer = Writer::new(Cursor::new(Vec::new()));
//! writer.send(Body::new(b"hello")?).await?;
//! let mut wire = writer.into_inner().into_inner();
//! wire.extend(b"\x05wor");
//!
//! let mut reader = Reader::new(&wire[..]);
//! let body = reader.try_next().await?.unwrap();
//! assert_eq!(body.as_bytes(), b"hello");
//! let error = reader.try_next().await.unwrap_err();
//! assert!(matches!(error, ReadError::Unfinished(Unfinished { received: 4, expected: 6 })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

use std::{
    boxed::Box,
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;

use crate::{
    Body, BodyBytes, Encoder, MESSAGE_LEN_MAX, Messages, ReadError, Unfinished,
    messages::first_message_len,
    stream_buf::{STREAM_BUF_LEN, stream_buf},
};

/// Reads messages from a stream of bytes, as a [`Stream`][stream] of bodies that share its buffer,
/// or run by run.
///
/// After an error of the stream, reading goes on where it stopped. After an unfinished message the
/// reader is at its end, whatever the stream does.
///
/// # Panics
///
/// When the stream claims to have moved more bytes than it was given.
///
/// [stream]: https://docs.rs/futures-core/0.3/futures_core/stream/trait.Stream.html
pub struct Reader<R> {
    stream: R,
    // Invariant: taken_len <= received_len <= buf.len().
    // `buf` begins with the `received_len` bytes that have arrived. The first `taken_len` of these
    // were taken as a run. The stream reads into the rest.
    buf: BytesMut,
    received_len: usize,
    taken_len: usize,
    /// The least length of a new block, in bytes.
    block_len: usize,
    /// Whether the stream ended inside a message. Bytes after that would be read as the start of a
    /// message.
    is_cut: bool,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Makes a reader, which allocates blocks of 8 KiB.
    pub fn new(stream: R) -> Self {
        Self::with_buf_len(stream, STREAM_BUF_LEN)
    }

    /// Makes a reader, which allocates blocks of `len` bytes, or of [`MESSAGE_LEN_MAX`] if that is
    /// more.
    pub fn with_buf_len(stream: R, len: usize) -> Self {
        Self {
            stream,
            buf: BytesMut::new(),
            received_len: 0,
            taken_len: 0,
            block_len: len.max(MESSAGE_LEN_MAX),
            is_cut: false,
        }
    }

    /// Takes all whole messages that have arrived, as one run. Waits for one if there are none.
    /// Returns an empty run when the stream ended, on a message boundary.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the stream fails or ends inside a message.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_proto::futures_io::Reader;
    ///
    /// # futures::executor::block_on(async {
    /// let mut reader = Reader::new(&b"\x02hi\x03you\x09unfinis"[..]);
    /// assert_eq!(reader.next_messages().await?.count(), 2);
    /// let error = reader.next_messages().await.unwrap_err();
    /// let text = "the stream ended inside a message: 8 of its 10 bytes had arrived";
    /// assert_eq!(error.to_string(), text);
    /// # Ok::<(), chat_proto::ReadError>(())
    /// # }).unwrap();
    /// ```
    pub async fn next_messages(&mut self) -> Result<Messages<'_>, ReadError> {
        self.forget_taken();
        while first_message_len(self.received()).is_none()
            && poll_fn(|cx| self.poll_receive(cx)).await? > 0
        {}
        let (messages, _) = Messages::split(&self.buf[..self.received_len]);
        self.taken_len = messages.as_bytes().len();
        Ok(messages)
    }

    /// Reads once and returns how many bytes arrived, none at the end of the stream.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ReadError>> {
        if self.is_cut {
            return Poll::Ready(Ok(0));
        }
        self.make_room();
        let spare = &mut self.buf[self.received_len..];
        let len = ready!(Pin::new(&mut self.stream).poll_read(cx, spare))?;
        assert!(
            len <= spare.len(),
            "the stream read more than there was room for"
        );
        self.received_len += len;
        if len == 0 {
            let unfinished = self.buf.split_to(self.received_len);
            self.received_len = 0;
            self.is_cut = !unfinished.is_empty();
            Unfinished::check(&unfinished)?;
        }
        Poll::Ready(Ok(len))
    }

    /// Takes the last run that was returned out of the buffer.
    fn forget_taken(&mut self) {
        if self.taken_len > 0 {
            self.buf.advance(self.taken_len);
            self.received_len -= self.taken_len;
            self.taken_len = 0;
        }
    }

    /// Makes room for the longest message: in the same block if no body shares it any more, else in
    /// a new one.
    fn make_room(&mut self) {
        if self.buf.len() - self.received_len < MESSAGE_LEN_MAX {
            self.buf.truncate(self.received_len);
            self.buf.reserve(self.block_len - self.received_len);
            self.buf.resize(self.buf.capacity(), 0);
        }
    }

    /// Returns the bytes that have arrived and were not taken. [`forget_taken`](Self::forget_taken)
    /// must have run.
    fn received(&self) -> &[u8] {
        &self.buf[..self.received_len]
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

/// Prints lengths, not bodies.
impl<R: fmt::Debug> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let received_len = self.received_len - self.taken_len;
        f.debug_struct("Reader")
            .field("stream", &self.stream)
            .field("received_len", &received_len)
            .finish_non_exhaustive()
    }
}

impl<R: AsyncRead + Unpin> Stream for Reader<R> {
    type Item = Result<BodyBytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.forget_taken();
        loop {
            if let Some(len) = first_message_len(self.received()) {
                self.received_len -= len;
                return Poll::Ready(BodyBytes::split_from(&mut self.buf).map(Ok));
            }
            if ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(None);
            }
        }
    }
}

/// Writes messages to a stream of bytes, as a [`Sink`][sink] of bodies.
///
/// Messages are collected until the sink is flushed or its buffer is full, so that many go out in
/// one write. `SinkExt::send` flushes, `SinkExt::feed` does not. Dropping a writer does not flush
/// it. After an error, flushing goes on with the first byte that was not taken.
///
/// `SinkExt::close` flushes and then closes the stream. Closing does nothing to a socket of
/// async-std: flush, and shut down its sending side yourself, to tell the other end that no more
/// will come.
///
/// [sink]: https://docs.rs/futures-sink/0.3/futures_sink/trait.Sink.html
#[derive(Debug)]
pub struct Writer<W> {
    stream: W,
    encoder: Encoder<Box<[u8]>>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Makes a writer with a buffer of 8 KiB.
    pub fn new(stream: W) -> Self {
        Self::with_buf_len(stream, STREAM_BUF_LEN)
    }

    /// Makes a writer with a buffer of `len` bytes, or of [`MESSAGE_LEN_MAX`] if that is more.
    pub fn with_buf_len(stream: W, len: usize) -> Self {
        let encoder = Encoder::with_buf(stream_buf(len))
            .expect("the buffer has room for the longest message");
        Self { stream, encoder }
    }

    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let len = ready!(Pin::new(&mut self.stream).poll_write(cx, self.encoder.unsent()))?;
        if len == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.encoder.advance(len);
        Poll::Ready(Ok(()))
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.encoder.unsent().is_empty() {
            ready!(self.poll_write_some(cx))?;
        }
        Poll::Ready(Ok(()))
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

impl<W: AsyncWrite + Unpin> Sink<Body<'_>> for Writer<W> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.encoder.has_room() {
            ready!(self.poll_write_some(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, body: Body<'_>) -> io::Result<()> {
        self.encoder.push(body).map_err(io::Error::other)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_all(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_all(cx))?;
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
