use chat_proto::{BODY_LEN_MAX, Body, MESSAGE_LEN_MAX, Message, Messages};

#[test]
fn a_message_of_any_length_is_the_encoded_body() {
    let bytes = [7; BODY_LEN_MAX];
    for len in 0..=BODY_LEN_MAX {
        let body = Body::new(&bytes[..len]).unwrap();
        let mut wire = [0; MESSAGE_LEN_MAX];
        let wire_len = body.encode(&mut wire).unwrap();
        let message = body.to_message();
        assert_eq!(message.as_bytes(), &wire[..wire_len]);
        assert_eq!(
            (message.as_messages(), &b""[..]),
            Messages::split(&wire[..wire_len])
        );
        assert_eq!(message, Message::from(body));
    }
}

#[test]
fn messages_are_equal_if_their_bodies_are() {
    let message = |bytes| Body::new(bytes).unwrap().to_message();
    assert_eq!(message(b"ab"), message(b"ab"));
    assert_ne!(message(b"ab"), message(b"ac"));
    assert_ne!(message(b""), message(b"\0"));
}

#[test]
fn a_message_can_be_a_constant() {
    const HELLO: &Message = &match Body::new(b"hello") {
        Ok(body) => body.to_message(),
        Err(_) => panic!(),
    };
    const RUN: Messages<'_> = HELLO.as_messages();
    assert_eq!(RUN.as_bytes(), b"\x05hello");
}
