//! Every way of decoding and encoding a stream in pieces.
//!
//! The fuzz target `decode` includes this file, so it names nothing but the crate's public items.

use chat_proto::{Body, Decoder, Encoder, Messages, Unfinished};

use crate::naive::{Decoded, decode_naively};

/// Decodes a stream that arrives in the given pieces, body by body.
pub(crate) fn decode_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new();
    let mut bodies = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let spare = decoder.spare();
            assert!(!spare.is_empty(), "a drained decoder takes more");
            let len = piece.len().min(spare.len());
            spare[..len].copy_from_slice(&piece[..len]);
            decoder.advance(len);
            piece = &piece[len..];
            while let Some(body) = decoder.next_body() {
                bodies.push(body.as_bytes().to_vec());
            }
        }
    }
    (bodies, decoder.finish())
}

/// Decodes a stream that arrives in the given pieces, run by run, keeping the unfinished rest as a
/// session does.
pub(crate) fn split_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let (mut received, mut bodies) = (Vec::new(), Vec::new());
    for piece in pieces {
        received.extend_from_slice(piece);
        let (messages, rest) = Messages::split(&received);
        assert_eq!(messages.iter().len(), messages.count());
        bodies.extend(
            messages
                .iter()
                .map(|body: Body<'_>| body.as_bytes().to_vec()),
        );
        received = rest.to_vec();
    }
    (bodies, Unfinished::check(&received))
}

/// Encodes `bodies` for a stream that takes `lens` bytes at a time, over and over.
pub(crate) fn encode_pieces(bodies: &[Vec<u8>], lens: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut sent = Vec::new();
    let mut lens = lens.iter().map(|&len| usize::from(len)).chain([1]).cycle();
    let mut send_some = |encoder: &mut Encoder| {
        let unsent = encoder.unsent();
        let len = unsent.len().min(lens.next().unwrap_or_default());
        sent.extend_from_slice(&unsent[..len]);
        encoder.advance(len);
    };
    for bytes in bodies {
        let body = Body::new(bytes).expect("the naive decoder returns bodies");
        while encoder.push(body).is_err() {
            send_some(&mut encoder);
        }
    }
    while !encoder.unsent().is_empty() {
        send_some(&mut encoder);
    }
    sent
}

/// Cuts a stream into pieces whose lengths are `lens`, over and over; without a positive length it
/// is one piece.
pub(crate) fn pieces<'a>(stream: &'a [u8], lens: &[u8]) -> Vec<&'a [u8]> {
    if lens.iter().all(|&len| len == 0) {
        return vec![stream];
    }
    let (mut pieces, mut rest) = (Vec::new(), stream);
    for &len in lens.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(usize::from(len).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Checks every way of decoding and encoding `stream` in pieces of `lens` against the naive one.
#[track_caller]
pub(crate) fn check_all(stream: &[u8], lens: &[u8]) {
    let expected = decode_naively(stream);
    assert_eq!(
        decode_pieces(pieces(stream, lens)),
        expected,
        "by body, pieces of {lens:?}"
    );
    assert_eq!(
        split_pieces(pieces(stream, lens)),
        expected,
        "by run, pieces of {lens:?}"
    );
    let whole_len = stream.len()
        - expected
            .1
            .map_or_else(|unfinished| unfinished.received, |()| 0);
    assert_eq!(
        encode_pieces(&expected.0, lens),
        stream[..whole_len],
        "encoded, pieces of {lens:?}"
    );
}

/// Checks one input of the fuzzer: `| count: u8 | count piece lengths: u8 each | stream |`.
pub(crate) fn check_input(input: &[u8]) {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let (lens, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    check_all(stream, lens);
}
