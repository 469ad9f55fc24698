use chat_proto::{Boundary, Messages, boundary_from};
use proptest::prelude::*;

use crate::naive::decode_naively;

#[test]
fn nothing_splits_into_nothing() {
    assert_eq!(Messages::split(b""), (Messages::default(), &b""[..]));
    assert!(Messages::default().is_empty());
    assert_eq!(Messages::default().iter().count(), 0);
}

#[test]
fn an_empty_message_is_a_message() {
    let (messages, rest) = Messages::split(b"\0\0\0");
    assert_eq!((messages.count(), rest), (3, &b""[..]));
    assert!(messages.iter().all(|body| body.as_bytes().is_empty()));
}

#[test]
fn iterating_leaves_the_rest_of_the_run() {
    let (messages, _) = Messages::split(b"\x01a\x01b");
    let mut bodies = messages.iter();
    assert_eq!(bodies.len(), 2);
    bodies.next();
    assert_eq!(bodies.remaining().as_bytes(), b"\x01b");
    assert_eq!(bodies.len(), 1);
}

#[test]
fn parts_of_a_run_make_the_run_again() {
    for bytes in [&b""[..], b"\0", b"\x01a\0\x02ab"] {
        let (messages, _) = Messages::split(bytes);
        assert_eq!(Messages::from_parts(bytes, messages.count()), messages);
    }
}

#[cfg(debug_assertions)]
#[test]
fn parts_that_are_no_run_are_noticed() {
    for (bytes, count) in [
        (&b""[..], 1),
        (b"\0", 0),
        (b"\0\0", 1),
        (b"\x01", 1),
        (b"\0\x01", 1),
    ] {
        let parts = std::panic::catch_unwind(|| Messages::from_parts(bytes, count));
        assert!(parts.is_err(), "{bytes:?} as {count} messages");
    }
}

#[test]
fn a_boundary_beyond_the_bytes_does_not_exist() {
    assert_eq!(
        boundary_from(b"", 0),
        Some(Boundary {
            offset: 0,
            count: 0
        })
    );
    assert_eq!(boundary_from(b"", 1), None);
    assert_eq!(boundary_from(b"\x01a", 3), None);
    assert_eq!(boundary_from(b"\x01a\x01", 3), None);
}

proptest! {
    #[test]
    fn taking_a_length_splits_on_the_last_boundary_within_it(
        stream in prop::collection::vec(0..9_u8, 0..200),
        len_max in 0..220_usize,
    ) {
        let (all, _) = Messages::split(&stream);
        let mut rest = all;
        let taken = rest.take_len(len_max);
        prop_assert!(taken.as_bytes().len() <= len_max);
        prop_assert_eq!(taken.count() + rest.count(), all.count());
        prop_assert_eq!([taken.as_bytes(), rest.as_bytes()].concat(), all.as_bytes());
        prop_assert_eq!(decode_naively(taken.as_bytes()).0.len(), taken.count());
        if let Some(next) = rest.iter().next() {
            prop_assert!(taken.as_bytes().len() + next.encoded_len() > len_max, "one more would have fit");
        }
    }

    #[test]
    fn the_boundary_from_an_offset_is_the_first_one(stream in prop::collection::vec(0..9_u8, 0..200), offset in 0..200_usize) {
        let (all, _) = Messages::split(&stream);
        let mut naive = vec![Boundary { offset: 0, count: 0 }];
        for body in all {
            let last = naive[naive.len() - 1];
            naive.push(Boundary { offset: last.offset + body.encoded_len(), count: last.count + 1 });
        }
        let expected = naive.into_iter().find(|boundary| boundary.offset >= offset);
        prop_assert_eq!(boundary_from(all.as_bytes(), offset), expected);
    }
}
