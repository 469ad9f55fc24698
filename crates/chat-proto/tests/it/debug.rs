use chat_proto::{Body, Decoder, Encoder};

#[test]
fn a_decoder_prints_lengths() {
    let mut decoder = Decoder::new();
    decoder.spare()[..6].copy_from_slice(b"\x05hello");
    decoder.advance(6);
    assert_eq!(
        format!("{decoder:?}"),
        "Decoder { received_len: 6, buf_len: 512 }"
    );
}

#[test]
fn an_encoder_prints_lengths() {
    let mut encoder = Encoder::new();
    encoder.push(Body::new(b"hello").unwrap()).unwrap();
    encoder.advance(2);
    assert_eq!(
        format!("{encoder:?}"),
        "Encoder { unsent_len: 4, buf_len: 512 }"
    );
}

#[test]
fn a_message_prints_its_bytes_alone() {
    let message = Body::new(b"hi").unwrap().to_message();
    assert_eq!(format!("{message:?}"), "Message { bytes: [2, 104, 105] }");
}

#[cfg(feature = "std")]
#[test]
fn owned_runs_and_carried_rests_print_lengths() {
    let messages: chat_proto::MessagesBuf = [b"hello", b"world"]
        .map(|bytes| Body::new(bytes).unwrap())
        .into_iter()
        .collect();
    assert_eq!(format!("{messages:?}"), "MessagesBuf { count: 2, len: 12 }");
    let mut partial = chat_proto::Partial::new();
    partial.carry(b"\x05hel");
    assert_eq!(format!("{partial:?}"), "Partial { len: 4 }");
}

#[cfg(feature = "std")]
#[test]
fn blocking_ends_print_lengths() {
    use chat_proto::blocking::{Reader, Writer};

    // Messages that carry the byte 1.
    let mut reader = Reader::with_buf_len(std::io::repeat(1), 300);
    reader.next_body().unwrap();
    let decoder = "Decoder { received_len: 298, buf_len: 300 }";
    let expected =
        format!("Reader {{ stream: Repeat {{ .. }}, decoder: {decoder}, is_cut: false }}");
    assert_eq!(format!("{reader:?}"), expected);

    let mut writer = Writer::with_buf_len(std::io::sink(), 300);
    writer.feed(Body::new(b"hello").unwrap()).unwrap();
    let encoder = "Encoder { unsent_len: 6, buf_len: 300 }";
    assert_eq!(
        format!("{writer:?}"),
        format!("Writer {{ stream: Sink, encoder: {encoder} }}")
    );
}

#[cfg(feature = "futures")]
#[test]
fn asynchronous_ends_print_lengths() {
    use chat_proto::futures_io::{Reader, Writer};
    use futures::{SinkExt, executor::block_on};

    let mut reader = Reader::with_buf_len(futures::io::repeat(1), 300);
    // The run that was returned is no longer counted.
    assert_eq!(block_on(reader.next_messages()).unwrap().count(), 150);
    let expected = "Reader { stream: Repeat { .. }, received_len: 0, .. }";
    assert_eq!(format!("{reader:?}"), expected);

    let mut writer = Writer::with_buf_len(futures::io::sink(), 300);
    block_on(writer.feed(Body::new(b"hello").unwrap())).unwrap();
    let encoder = "Encoder { unsent_len: 6, buf_len: 300 }";
    assert_eq!(
        format!("{writer:?}"),
        format!("Writer {{ stream: Sink {{ .. }}, encoder: {encoder} }}")
    );
}
