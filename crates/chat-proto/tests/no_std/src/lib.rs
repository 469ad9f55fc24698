//! Proves that chat-proto needs no `std`, without a target that lacks it.
//!
//! A crate graph has one panic handler. `std` brings its own, so beside the one below it is an
//! error ("duplicate lang item `panic_impl`"), whichever crate of the graph links it. To see that,
//! turn it on: `cargo check --features chat-proto/std`.

#![no_std]

use core::panic::PanicInfo;

use chat_proto::{Body, Decoder, Encoder, MESSAGE_LEN_MAX, Message, Messages};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Encodes `bytes` into `wire`, if there is room, and returns the length in bytes of the message.
pub fn encode(bytes: &[u8], wire: &mut [u8]) -> Option<usize> {
    Body::new(bytes).ok()?.encode(wire).ok()
}

/// Makes the message that carries `bytes`, if they fit one.
pub fn message(bytes: &[u8]) -> Option<Message> {
    Body::new(bytes).ok().map(Body::to_message)
}

/// Encodes as many of `bodies` as the buffer of an encoder takes, and returns their length in
/// bytes.
pub fn encode_all<'a>(bodies: impl IntoIterator<Item = Body<'a>>) -> usize {
    let mut encoder = Encoder::new();
    bodies.into_iter().find(|&body| encoder.push(body).is_err());
    encoder.unsent().len()
}

/// Returns the bytes in all bodies of the whole messages in `received`.
pub fn split(received: &[u8]) -> usize {
    Messages::split(received)
        .0
        .iter()
        .map(|body| body.as_bytes().len())
        .sum()
}

/// Decodes a stream that arrives in `pieces`; returns its messages, unless it ends inside one.
pub fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
    let mut decoder = Decoder::new();
    let mut count = 0;
    for piece in pieces
        .into_iter()
        .flat_map(|piece| piece.chunks(MESSAGE_LEN_MAX))
    {
        decoder.spare()[..piece.len()].copy_from_slice(piece);
        decoder.advance(piece.len());
        while decoder.next_body().is_some() {
            count += 1;
        }
    }
    decoder.finish().ok()?;
    Some(count)
}

/// Copies a body into memory that can be shared.
#[cfg(feature = "bytes")]
pub fn share(body: Body<'_>) -> chat_proto::BodyBytes {
    body.into()
}
