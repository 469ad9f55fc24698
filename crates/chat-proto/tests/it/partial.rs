use chat_proto::{MESSAGE_LEN_MAX, Messages, Partial, Unfinished};
use proptest::prelude::*;

use crate::{
    naive::{Decoded, decode_naively},
    pieces::pieces,
};

/// Decodes a stream that arrives in the given pieces, each read into a buffer that other
/// connections have used since.
fn decode_shared<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let (mut partial, mut bodies) = (Partial::new(), Vec::new());
    for piece in pieces {
        let mut buf = vec![0xEE; MESSAGE_LEN_MAX + piece.len()];
        let carried_len = partial.prepend(&mut buf);
        assert_eq!(carried_len, partial.len());
        let received_len = carried_len + piece.len();
        buf[carried_len..received_len].copy_from_slice(piece);
        let messages = partial.split(&buf[..received_len]);
        assert_eq!(partial.len(), received_len - messages.as_bytes().len());
        assert_eq!(
            partial.is_empty(),
            messages.as_bytes().len() == received_len
        );
        bodies.extend(messages.iter().map(|body| body.as_bytes().to_vec()));
    }
    let finished = partial.finish();
    assert!(partial.is_empty(), "the unfinished message is discarded");
    assert_eq!(partial.finish(), Ok(()));
    (bodies, finished)
}

#[test]
fn a_rest_is_carried_over_every_split_of_a_stream() {
    let stream = [&[255; 256][..], b"\0\x01a\x02ab\0", &[3; 80], b"\x09unfin"].concat();
    let expected = decode_naively(&stream);
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(decode_shared([first, second]), expected, "cut at {cut}");
        assert_eq!(
            decode_shared([first]),
            decode_naively(first),
            "ends at {cut}"
        );
    }
    for len in 1..=255 {
        let pieces = pieces(&stream, &[len]);
        assert_eq!(decode_shared(pieces), expected, "pieces of {len}");
    }
}

#[test]
fn a_read_of_nothing_changes_nothing() {
    let mut partial = Partial::new();
    assert!(partial.split(b"\x05hel").is_empty());
    let mut buf = [0; MESSAGE_LEN_MAX];
    for _ in 0..2 {
        assert_eq!(partial.prepend(&mut buf), 4);
        assert_eq!(buf[..4], *b"\x05hel");
    }
    assert!(partial.split(b"\x05hel").is_empty());
    assert_eq!(
        partial.finish(),
        Err(Unfinished {
            received: 4,
            expected: 6
        })
    );
}

#[test]
fn a_rest_found_elsewhere_replaces_what_was_carried() {
    let mut partial = Partial::new();
    for rest in [&[255; 255][..], b"\x09unfin", b"", b"\x01"] {
        partial.carry(rest);
        let mut buf = [0; MESSAGE_LEN_MAX];
        let len = partial.prepend(&mut buf);
        assert_eq!(&buf[..len], rest);
    }
}

#[test]
fn carrying_nothing_takes_the_room_of_a_vec() {
    assert_eq!(size_of::<Partial>(), size_of::<Vec<u8>>());
}

#[test]
#[should_panic(expected = "255 bytes have no room for the longest message")]
fn a_buffer_below_the_longest_message_is_refused() {
    Partial::new().prepend(&mut [0; 255]);
}

#[test]
#[should_panic(expected = "the rest holds a whole message")]
fn a_rest_as_long_as_the_longest_message_is_refused() {
    Partial::new().carry(&[255; MESSAGE_LEN_MAX]);
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "the carried bytes were not prepended")]
fn reading_over_the_carried_bytes_is_noticed() {
    let mut partial = Partial::new();
    _ = partial.split(b"\x05hel");
    _ = partial.split(b"lo");
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "the rest holds a whole message")]
fn a_rest_with_a_whole_message_is_noticed() {
    Partial::new().carry(b"\x01a\x02");
}

proptest! {
    #[test]
    fn any_stream_in_any_pieces_is_carried_over(
        stream in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..2000),
        lens in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        prop_assert_eq!(decode_shared(pieces(&stream, &lens)), decode_naively(&stream));
    }

    #[test]
    fn a_split_carries_the_rest_over(stream in prop::collection::vec(0..9_u8, 0..50)) {
        let mut partial = Partial::new();
        let (messages, rest) = Messages::split(&stream);
        prop_assert_eq!(partial.split(&stream), messages);
        prop_assert_eq!(partial.len(), rest.len());
        prop_assert_eq!(partial.finish(), Unfinished::check(rest));
    }
}
