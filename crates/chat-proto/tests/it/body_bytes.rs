use bytes::{Bytes, BytesMut};
use chat_proto::{Body, BodyBytes, BodyTooLong};

use crate::{
    naive::{Decoded, decode_naively},
    pieces::pieces,
};

/// Decodes a stream that arrives in the given pieces, into bodies that share its memory.
fn split_shared<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let (mut received, mut bodies) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        received.extend_from_slice(piece);
        while let Some(body) = BodyBytes::split_from(&mut received) {
            bodies.push(body);
        }
    }
    (
        bodies
            .into_iter()
            .map(|body| body.into_bytes().to_vec())
            .collect(),
        chat_proto::Unfinished::check(&received),
    )
}

#[test]
fn shared_bodies_are_the_naive_decoders_in_any_pieces() {
    let stream = [&[255; 256][..], b"\0\x01a\x02ab\0", &[3; 80], b"\x09unfin"].concat();
    for len in 0..=255 {
        assert_eq!(
            split_shared(pieces(&stream, &[len, 1, 7])),
            decode_naively(&stream),
            "pieces of {len}"
        );
    }
}

#[test]
fn a_shared_body_is_not_copied() {
    let mut received = BytesMut::from(&b"\x05hello"[..]);
    let address = received.as_ptr().wrapping_add(1);
    let body = BodyBytes::split_from(&mut received).unwrap();
    let clone = body.clone();
    assert_eq!(body.as_body().as_bytes().as_ptr(), address);
    assert_eq!(clone.into_bytes().as_ptr(), address);
}

#[test]
fn only_what_fits_a_message_becomes_a_body() {
    let bytes = Bytes::from_static(&[1; 256]);
    assert_eq!(
        BodyBytes::try_from(bytes.clone()),
        Err(BodyTooLong { len: 256 })
    );
    let longest = BodyBytes::new(bytes.slice(1..)).unwrap();
    assert_eq!(longest, BodyBytes::from(Body::new(&[1; 255]).unwrap()));
}
