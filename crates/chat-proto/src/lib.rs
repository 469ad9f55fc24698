//! The wire format of a broadcast chat: messages of up to 255 bytes behind a one-byte header.
//!
//! ```text
//! | len: u8 | body: len bytes |
//! ```
//!
//! The crate turns bodies into bytes and bytes into bodies, and nothing else: it does no I/O, knows no runtime and no clock,
//! allocates nothing and is `no_std`. Any sequence of bytes is a valid stream, so decoding cannot fail; the only thing that can be
//! wrong is where a stream ends.
//!
//! | You have | You want | Use |
//! |---|---|---|
//! | a body | its bytes on the wire | [`Body::encode`] |
//! | received bytes in a buffer of yours | the whole messages in it, uncopied | [`Messages::split`] |
//! | a stream that arrives in pieces | one body after the other | [`Decoder`] |
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
pub mod futures;
mod messages;
#[cfg(feature = "std")]
mod read_error;

pub use body::{Body, BodyTooLong, BufferTooSmall};
#[cfg(feature = "bytes")]
pub use body_bytes::BodyBytes;
#[cfg(any(feature = "tokio-util", feature = "asynchronous-codec"))]
pub use codec::Codec;
pub use decoder::{Decoder, Unfinished};
pub use encoder::Encoder;
pub use messages::{Bodies, Boundary, Messages, boundary_from};
#[cfg(feature = "std")]
pub use read_error::ReadError;

/// Length of a header in bytes.
///
/// Source: SPEC.md, rule 3.
pub const HEADER_LEN: usize = 1;

/// Length of the longest body in bytes: what one header byte can say.
///
/// Source: SPEC.md, rule 3.
pub const BODY_LEN_MAX: usize = u8::MAX as usize;

/// Length of the longest message in bytes, header included.
///
/// Source: SPEC.md, rule 3.
pub const MESSAGE_LEN_MAX: usize = HEADER_LEN + BODY_LEN_MAX;
