use chat_cluster::{
    BATCH_LEN_MAX, Envelope, EnvelopeError, Filter, Fingerprint, Header, NODES_MAX, NodeId, Skip,
    Token,
};
use chat_proto::Messages;
use proptest::prelude::*;

#[test]
fn the_layout_is_the_documented_one() {
    let batch = batch(3, b"\x01x\x00");
    let expected = b"chat\x01\x02\x00\x00\x00\x00\x00\x00\x00\x01\x02ab\
        \x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\
        \x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\
        \x01x\x00";
    assert_eq!(encoded(&batch), expected);
}

#[test]
fn entries_come_back_and_their_parts_do_not() {
    let mut filter = Filter::new();
    for name in ["b", "a", "c"] {
        filter.admit(&header(name, 0)).unwrap();
    }
    let entries = [
        open(),
        batch(u64::MAX, b"\x01x"),
        Envelope::Snapshot {
            stream: 1,
            as_of: 5,
            filter,
        },
    ];
    for entry in entries {
        let bytes = encoded(&entry);
        assert_eq!(Envelope::parse(&bytes), Ok(entry));
        for len in 0..bytes.len() {
            assert!(
                Envelope::parse(&bytes[..len]).is_err(),
                "{len} of {bytes:?}"
            );
        }
        let longer = [&bytes[..], &[1]].concat();
        assert!(Envelope::parse(&longer).is_err(), "{longer:?}");
    }
}

#[test]
fn what_no_node_writes_is_refused_with_the_reason() {
    let open = encoded(&open());
    let with = |index: usize, byte: u8| {
        let mut bytes = open.clone();
        bytes[index] = byte;
        bytes
    };
    check(b"hello", EnvelopeError::Foreign);
    check(&with(4, 2), EnvelopeError::Version(2));
    check(&with(5, 9), EnvelopeError::Kind(9));
    check(&with(5, 2), EnvelopeError::Number);
    check(&with(open.len() - 1, 1), EnvelopeError::Number);
    check(&with(15, b'.'), EnvelopeError::Node);
    check(&with(14, 200), EnvelopeError::Cut);
    let with_body = |body: &[u8]| [&encoded(&batch(1, b"")), body].concat();
    check(&with_body(b""), EnvelopeError::Messages);
    check(&with_body(b"\x02x"), EnvelopeError::Messages);
    let (longest, too_long) = (vec![0; BATCH_LEN_MAX], vec![0; BATCH_LEN_MAX + 1]);
    check(&with_body(&too_long), EnvelopeError::Messages);
    assert!(Envelope::parse(&with_body(&longest)).is_ok());
}

#[test]
fn a_filter_knows_a_bounded_count_of_nodes() {
    let mut filter = Filter::new();
    for index in 0..NODES_MAX {
        filter.admit(&header(&format!("n{index}"), 0)).unwrap();
    }
    assert_eq!(filter.admit(&header("other", 0)), Err(Skip::TooManyNodes));
    let snapshot = Envelope::Snapshot {
        stream: 1,
        as_of: 1,
        filter,
    };
    let bytes = encoded(&snapshot);
    assert!(bytes.len() <= BATCH_LEN_MAX);
    assert_eq!(Envelope::parse(&bytes), Ok(snapshot));
}

#[test]
fn numbers_do_not_run_over() {
    let mut filter = Filter::new();
    let last = Header {
        epoch: u64::MAX,
        ..header("a", 0)
    };
    filter.admit(&last).unwrap();
    assert_eq!(filter.admit(&header("a", 0)), Err(Skip::Stale));
    assert_eq!(
        filter.admit(&Header {
            number: u64::MAX,
            ..last
        }),
        Err(Skip::Gap)
    );
}

proptest! {
    #[test]
    fn any_bytes_parse_to_what_encodes_to_them(bytes in near_entries()) {
        if let Ok(envelope) = Envelope::parse(&bytes) {
            prop_assert_eq!(encoded(&envelope), bytes);
        }
    }
}

/// Bytes that begin as entries do, as others would not be looked at for long.
fn near_entries() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![0..4_u8, Just(b'a'), any::<u8>()];
    (0..5_u8, prop::collection::vec(byte, 0..80))
        .prop_map(|(kind, rest)| [b"chat\x01", &[kind][..], &rest].concat())
}

#[track_caller]
fn check(bytes: &[u8], expected: EnvelopeError) {
    assert_eq!(Envelope::parse(bytes), Err(expected));
}

fn encoded(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    envelope.encode(&mut bytes);
    bytes
}

fn open() -> Envelope<'static> {
    Envelope::Open {
        stream: 1,
        header: header("ab", 0),
    }
}

fn batch(number: u64, messages: &[u8]) -> Envelope<'_> {
    Envelope::Batch {
        stream: 1,
        header: header("ab", number),
        fingerprint: Fingerprint { count: 4, hash: 5 },
        messages: Messages::split(messages).0,
    }
}

fn header(name: &str, number: u64) -> Header {
    let node: NodeId = name.parse().unwrap();
    Header {
        node,
        token: Token(7),
        epoch: 2,
        number,
    }
}
