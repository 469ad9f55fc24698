//! The wire format of a broadcast chat: messages of up to 255 bytes behind a one-byte header.
//!
//! ```text
//!    message              message    message
//!  ┌───┬───────────────┐┌───┐┌───┬──────────────────────────┐
//!  │ 5 │ h  e  l  l  o ││ 0 ││ 8 │ g  o  o  d     d  a  y   │
//!  └───┴───────────────┘└───┘└───┴──────────────────────────┘
//!    │        │            │
//!    │        │            └─ an empty message is a message
//!    │        └────────────── body: 0 to 255 bytes of any value
//!    └─────────────────────── header: u8, the length of the body in bytes
//! ```
//!
//! The crate turns bodies into bytes and bytes into bodies, at the speed of memory. Any sequence of
//! bytes is a valid stream, so decoding cannot fail. Only the end of a stream can be wrong: inside
//! a message. There is one core, which does no I/O, allocates nothing and is `no_std`, and a thin
//! layer over it for each way of doing I/O.
//!
//! # Which API to choose
//!
//! | You have | Reading | Writing | Feature |
//! |---|---|---|---|
//! | bytes in a buffer | [`Messages::split`] | [`Body::encode`], [`Body::to_message`] | |
//! | an event loop: mio, io_uring, an interrupt | [`Decoder`] | [`Encoder`] | |
//! | many connections that share one buffer | [`Partial`] | [`MessagesBuf`] | `std` (default) |
//! | threads: any `std::io` stream | [`blocking::Reader`] | [`blocking::Writer`] | `std` (default) |
//! | async-std, smol: any `futures-io` stream | [`futures_io::Reader`] | [`futures_io::Writer`] | `futures` |
//! | tokio: `tokio_util::codec::Framed` | [`Codec`] | [`Codec`] | `tokio-util` |
//! | `asynchronous_codec::Framed` | [`Codec`] | [`Codec`] | `asynchronous-codec` |
//! | `bytes::BytesMut` | [`BodyBytes::split_from`] | | `bytes` |
//!
//! All of them decode the same bytes to the same bodies and the same error, in whatever pieces the
//! bytes arrive. None allocates per message. Those that return a whole run of messages at a time
//! ([`Messages`]) are the fastest: it takes a fraction of the time to find a run that it takes to
//! hand out its messages one by one, and a run can be forwarded as it is.
//!
//! The directory `examples` has a whole client for threads, async-std, tokio and mio, each in fewer
//! than 100 lines.
//!
//! # Errors
//!
//! | Error | When | What to do |
//! |---|---|---|
//! | [`BodyTooLong`] | a body would have 256 bytes or more | send less, or in parts |
//! | [`BufferTooSmall`] | a message does not fit the buffer | use a larger buffer; with [`Encoder`], send some bytes first |
//! | [`Unfinished`] | the stream ended inside a message | discard the message (SPEC, rule 8) |
//! | [`ReadError`] | the stream of a reader ended inside a message, or failed | discard the message; read on if the failure passes |
//!
//! # What it does not do
//!
//! It does not connect, listen, time out, encrypt or retry. It gives bodies no meaning: they need
//! not be text. It does not cut longer contents into bodies: that is up to you. It has no limits to
//! configure, because the format has only its own. A body has no `serde` implementation, because
//! the wire format is its encoding.
//!
//! # Examples
//!
//! ```
//! use chat_proto::{Body, Messages};
//!
//! let mut wire = [0; 16];
//! let len = Body::new(b"hello")?.encode(&mut wire)?;
//! assert_eq!(&wire[..len], b"\x05hello");
//!
//! let (messages, rest) = Messages::split(b"\x05hello\0\x05wor");
//! let bodies: Vec<&[u8]> = messages.iter().map(Body::as_bytes).collect();
//! assert_eq!(bodies, [&b"hello"[..], b""]);
//! assert_eq!(rest, b"\x05wor");
//!
//! assert!(Body::new(&[0; 256]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
// Without its feature, a name leads to the table that tells which feature gives it.
#![cfg_attr(
    not(feature = "std"),
    doc = "
[`blocking::Reader`]: #which-api-to-choose
[`blocking::Writer`]: #which-api-to-choose
[`MessagesBuf`]: #which-api-to-choose
[`Partial`]: #which-api-to-choose
[`ReadError`]: #which-api-to-choose
"
)]
#![cfg_attr(
    not(feature = "bytes"),
    doc = "
[`BodyBytes::split_from`]: #which-api-to-choose
"
)]
#![cfg_attr(
    not(feature = "futures"),
    doc = "
[`futures_io::Reader`]: #which-api-to-choose
[`futures_io::Writer`]: #which-api-to-choose
"
)]
#![cfg_attr(
    not(any(feature = "tokio-util", feature = "asynchronous-codec")),
    doc = "
[`Codec`]: #which-api-to-choose
"
)]
//! The rules that a whole server keeps, `SPEC.md`, follow.
#![doc = include_str!("../SPEC.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used, clippy::cast_possible_truncation)]

#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
pub mod blocking;
mod body;
#[cfg(feature = "bytes")]
mod body_bytes;
#[cfg(any(feature = "tokio-util", feature = "asynchronous-codec"))]
mod codec;
mod decoder;
mod encoder;
#[cfg(feature = "futures")]
pub mod futures_io;
mod message;
mod messages;
#[cfg(feature = "std")]
mod messages_buf;
#[cfg(feature = "std")]
mod partial;
#[cfg(feature = "std")]
mod read_error;
#[cfg(feature = "std")]
mod stream_buf;

pub use body::{Body, BodyTooLong, BufferTooSmall};
#[cfg(feature = "bytes")]
pub use body_bytes::BodyBytes;
#[cfg(any(feature = "tokio-util", feature = "asynchronous-codec"))]
pub use codec::Codec;
pub use decoder::{Decoder, Unfinished};
pub use encoder::Encoder;
pub use message::Message;
pub use messages::{Bodies, Boundary, Messages, boundary_from};
#[cfg(feature = "std")]
pub use messages_buf::MessagesBuf;
#[cfg(feature = "std")]
pub use partial::Partial;
#[cfg(feature = "std")]
pub use read_error::ReadError;

/// Length of a header in bytes.
///
/// Source: SPEC.md, rule 3.
pub const HEADER_LEN: usize = 1;

/// Length of the longest body in bytes: the largest value of the one header byte.
///
/// Source: SPEC.md, rule 3.
pub const BODY_LEN_MAX: usize = u8::MAX as usize;

/// Length of the longest message in bytes, header included.
///
/// Source: SPEC.md, rule 3.
pub const MESSAGE_LEN_MAX: usize = HEADER_LEN + BODY_LEN_MAX;
