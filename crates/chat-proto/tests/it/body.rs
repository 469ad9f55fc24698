use chat_proto::{BODY_LEN_MAX, Body, BodyTooLong, BufferTooSmall, MESSAGE_LEN_MAX, Messages};
use proptest::prelude::*;

#[test]
fn every_length_up_to_the_limit_is_a_body() {
    let bytes = [7; BODY_LEN_MAX + 2];
    for len in 0..=BODY_LEN_MAX {
        let body = Body::new(&bytes[..len]).unwrap();
        assert_eq!(
            (
                body.as_bytes().len(),
                usize::from(body.header()),
                body.encoded_len()
            ),
            (len, len, len + 1)
        );
    }
    for len in [BODY_LEN_MAX + 1, BODY_LEN_MAX + 2] {
        assert_eq!(Body::try_from(&bytes[..len]), Err(BodyTooLong { len }));
    }
}

#[test]
fn encoding_needs_room_for_the_whole_message() {
    let body = Body::new(b"four").unwrap();
    for len in 0..5 {
        let mut buf = vec![0xEE; len];
        assert_eq!(
            body.encode(&mut buf),
            Err(BufferTooSmall { needed: 5, len })
        );
        assert_eq!(buf, vec![0xEE; len], "a refused encoding writes nothing");
    }
    let mut buf = [0xEE; 7];
    assert_eq!(body.encode(&mut buf), Ok(5));
    assert_eq!(
        &buf, b"\x04four\xEE\xEE",
        "the bytes after the message are untouched"
    );
}

#[test]
fn errors_say_what_to_do() {
    assert_eq!(
        Body::new(&[0; 300]).unwrap_err().to_string(),
        "a body has at most 255 bytes, not 300"
    );
    let error = Body::default().encode(&mut []).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the buffer is too small: 1 bytes are needed, and there is room for 0"
    );
}

proptest! {
    #[test]
    fn splitting_returns_the_encoded_body(
        bytes in prop::collection::vec(any::<u8>(), 0..=BODY_LEN_MAX),
    ) {
        let mut wire = [0; MESSAGE_LEN_MAX];
        let len = Body::new(&bytes).unwrap().encode(&mut wire).unwrap();
        let (messages, rest) = Messages::split(&wire[..len]);
        prop_assert!(rest.is_empty());
        prop_assert_eq!(messages.count(), 1);
        prop_assert_eq!(messages.iter().next().unwrap().as_bytes(), &bytes[..]);
    }
}
