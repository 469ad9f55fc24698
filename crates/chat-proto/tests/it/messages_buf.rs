use chat_proto::{Body, Messages, MessagesBuf};
use proptest::prelude::*;

use crate::naive::decode_naively;

#[test]
fn a_run_of_nothing_grows_by_bodies_and_by_runs() {
    let mut buf = MessagesBuf::new();
    assert!(buf.is_empty());
    assert_eq!(buf.as_messages(), Messages::default());
    buf.push(Body::default());
    assert!(!buf.is_empty(), "an empty message is a message");
    buf.extend_from(Messages::split(b"\x02hi\x01a").0);
    buf.extend_from(Messages::default());
    buf.push(Body::new(&[7; 255]).unwrap());
    assert_eq!(buf.count(), 4);
    let wire = [&b"\0\x02hi\x01a\xFF"[..], &[7; 255]].concat();
    assert_eq!(buf.as_messages(), Messages::split(&wire).0);
}

#[test]
fn clearing_removes_all_messages() {
    let mut buf = MessagesBuf::from(Messages::split(b"\x02hi\0").0);
    buf.clear();
    assert_eq!(buf, MessagesBuf::default());
    buf.push(Body::new(b"a").unwrap());
    assert_eq!(buf.as_messages(), Messages::split(b"\x01a").0);
}

proptest! {
    #[test]
    fn every_way_of_making_a_run_makes_the_same(
        stream in prop::collection::vec(0..9_u8, 0..200),
        taken_len in 0..200_usize,
    ) {
        let (all, _) = Messages::split(&stream);
        let (mut rest, bodies) = (all, decode_naively(all.as_bytes()).0);
        let taken = rest.take_len(taken_len);

        let copied = MessagesBuf::from(all);
        prop_assert_eq!(copied.as_messages(), all);
        prop_assert_eq!(copied.count(), bodies.len());
        prop_assert_eq!(&all.iter().collect::<MessagesBuf>(), &copied);
        let mut extended = MessagesBuf::from(taken);
        extended.extend(rest);
        prop_assert_eq!(&extended, &copied);
        let mut joined = MessagesBuf::from(taken);
        joined.extend_from(rest);
        prop_assert_eq!(&joined, &copied);
    }
}
