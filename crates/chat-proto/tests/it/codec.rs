use bytes::BytesMut;
use chat_proto::{Body, BodyBytes, Codec};

/// Checks that a codec takes a body out of the bytes received as soon as it is whole.
#[track_caller]
fn check(decode: impl Fn(&mut BytesMut) -> Option<BodyBytes>) {
    let mut received = BytesMut::from(&b"\x02hi\x03yo"[..]);
    let body = decode(&mut received).expect("the body is whole");
    assert_eq!(body.as_body(), Body::new(b"hi").unwrap());
    assert_eq!(decode(&mut received), None);
    received.extend_from_slice(b"u");
    assert_eq!(
        decode(&mut received)
            .expect("its end has arrived")
            .as_bytes(),
        b"you"
    );
}

#[cfg(feature = "tokio-util")]
#[test]
fn a_body_does_not_wait_for_the_end_of_a_tokio_stream() {
    check(|received| tokio_util::codec::Decoder::decode(&mut Codec, received).unwrap());
}

#[cfg(feature = "asynchronous-codec")]
#[test]
fn a_body_does_not_wait_for_the_end_of_a_futures_stream() {
    check(|received| asynchronous_codec::Decoder::decode(&mut Codec, received).unwrap());
}
