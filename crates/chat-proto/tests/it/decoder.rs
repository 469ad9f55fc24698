use chat_proto::{Decoder, MESSAGE_LEN_MAX, Unfinished};
use proptest::prelude::*;

use crate::{
    naive::decode_naively,
    pieces::{check_all, decode_pieces, split_pieces},
};

/// A stream with the shortest, the longest and some bodies between, and an unfinished end.
fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for len in [0, 1, 255, 0, 2, 254, 17] {
        stream.push(len);
        stream.extend((0..len).map(|i| i ^ len));
    }
    stream.extend(b"\x09unfin");
    stream
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    let stream = stream();
    let expected = decode_naively(&stream);
    assert_eq!(expected.0.len(), 7);
    assert_eq!(
        expected.1,
        Err(Unfinished {
            received: 6,
            expected: 10
        })
    );
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(decode_pieces([first, second]), expected, "cut at {cut}");
        assert_eq!(split_pieces([first, second]), expected, "cut at {cut}");
    }
}

#[test]
fn a_stream_may_end_at_any_byte() {
    let stream = stream();
    for end in 0..=stream.len() {
        check_all(&stream[..end], &[]);
        check_all(&stream[..end], &[1]);
    }
}

#[test]
fn the_smallest_buffer_decodes_the_longest_messages() {
    let mut decoder = Decoder::with_buf([0; MESSAGE_LEN_MAX]).unwrap();
    let message = [255; MESSAGE_LEN_MAX];
    for round in 0..3 {
        // An odd step, so that messages begin everywhere in the buffer.
        for piece in message.chunks(100 + round) {
            assert!(decoder.next_body().is_none());
            decoder.spare()[..piece.len()].copy_from_slice(piece);
            decoder.advance(piece.len());
        }
        assert_eq!(decoder.next_body().unwrap().as_bytes(), [255; 255]);
    }
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn a_run_and_single_bodies_can_be_taken_in_turn() {
    let mut decoder = Decoder::new();
    let wire = b"\x01a\x01b\x01c\x01";
    decoder.spare()[..wire.len()].copy_from_slice(wire);
    decoder.advance(wire.len());
    assert_eq!(decoder.next_body().unwrap().as_bytes(), b"a");
    assert_eq!(decoder.next_messages().as_bytes(), b"\x01b\x01c");
    assert!(decoder.next_messages().is_empty());
    assert_eq!(
        decoder.finish(),
        Err(Unfinished {
            received: 1,
            expected: 2
        })
    );
}

#[test]
fn received_bytes_are_moved_only_to_make_room() {
    let mut decoder = Decoder::new();
    let wire = [&b"\x01a\xFF"[..], &[7; 100]].concat();
    decoder.spare()[..wire.len()].copy_from_slice(&wire);
    decoder.advance(wire.len());
    assert_eq!(decoder.next_body().unwrap().as_bytes(), b"a");
    assert_eq!(
        decoder.spare().len(),
        512 - wire.len(),
        "there is room for the longest message"
    );
    decoder.advance(155);
    assert_eq!(decoder.next_body().unwrap().as_bytes().len(), 255);
    assert_eq!(decoder.spare().len(), 512, "nothing is received");

    // More bytes wait than were taken, so moving them would cost more than it gains.
    decoder.spare().fill(99);
    decoder.advance(400);
    assert_eq!(decoder.next_body().unwrap().as_bytes().len(), 99);
    assert_eq!(decoder.spare().len(), 112);
}

#[test]
fn nothing_is_moved_when_the_longest_message_just_fits() {
    let mut decoder = Decoder::new();
    let wire = [&b"\x01a"[..], &[255; 254]].concat();
    decoder.spare()[..wire.len()].copy_from_slice(&wire);
    decoder.advance(wire.len());
    assert_eq!(decoder.next_body().unwrap().as_bytes(), b"a");
    assert_eq!(decoder.spare().len(), MESSAGE_LEN_MAX);
}

#[test]
fn finishing_discards_the_unfinished_message_alone() {
    let mut decoder = Decoder::new();
    let wire = b"\x01a\x05unf";
    decoder.spare()[..wire.len()].copy_from_slice(wire);
    decoder.advance(wire.len());
    assert_eq!(
        decoder.finish(),
        Err(Unfinished {
            received: 4,
            expected: 6
        })
    );
    assert_eq!(decoder.finish(), Ok(()), "it is discarded");
    assert_eq!(decoder.next_body().unwrap().as_bytes(), b"a");
    assert_eq!(decoder.next_body(), None);
}

#[test]
#[should_panic(expected = "advanced by 503 bytes where 502 were free")]
fn advancing_past_the_spare_part_is_refused() {
    let mut decoder = Decoder::new();
    decoder.advance(10);
    decoder.advance(503);
}

#[test]
fn the_error_for_an_unfinished_stream_counts_bytes() {
    let error = Unfinished::check(b"\x05ab").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stream ended inside a message: 3 of its 6 bytes had arrived"
    );
}

proptest! {
    #[test]
    fn any_stream_in_any_pieces_decodes_as_the_naive_decoder_says(
        stream in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..2000),
        lens in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        check_all(&stream, &lens);
    }

    // Lengths in rows, which the scan of a run guesses.
    #[test]
    fn any_rows_of_equal_lengths_decode_as_the_naive_decoder_says(
        rows in prop::collection::vec((0..12_u8, 0..40_usize), 0..12),
        cut in 0..12_usize,
        lens in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut stream = Vec::new();
        for (len, count) in rows {
            // Bodies that look like headers of their own length.
            stream.extend(vec![len; (1 + usize::from(len)) * count]);
        }
        stream.truncate(stream.len().saturating_sub(cut));
        check_all(&stream, &lens);
    }
}
