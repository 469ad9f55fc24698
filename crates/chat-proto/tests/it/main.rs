//! The public behaviour of chat-proto.

/// Every way of reading and writing over a stream.
#[cfg(feature = "std")]
mod adapters;
/// Bodies, their limit and their encoding.
mod body;
/// Bodies that share memory.
#[cfg(feature = "bytes")]
mod body_bytes;
/// The codec, as `Framed` calls it.
#[cfg(any(feature = "tokio-util", feature = "asynchronous-codec"))]
mod codec;
/// Replays the fuzzer's corpus, without the fuzzer.
mod corpus;
/// `Debug` of buffers prints lengths, not bodies.
mod debug;
/// Streams in pieces, split at every byte boundary.
mod decoder;
/// Bytes that go out in pieces.
mod encoder;
/// The adapters over streams that fail, wait and cut as streams may.
#[cfg(feature = "std")]
mod io;
/// One message in its wire form.
mod message;
/// Runs of whole messages and their boundaries.
mod messages;
/// Runs of messages that own their bytes.
#[cfg(feature = "std")]
mod messages_buf;
/// The naive decoder that all others are compared with.
mod naive;
/// The beginnings of messages, carried over between reads into a shared buffer.
#[cfg(feature = "std")]
mod partial;
/// Streams that go in and out in pieces, every way there is.
mod pieces;
/// Every public item, as the last review saw it.
mod public_api;
/// Streams that follow a script.
#[cfg(feature = "std")]
mod scripted;
/// The test vectors, which hold for a codec in any language.
mod vectors;
