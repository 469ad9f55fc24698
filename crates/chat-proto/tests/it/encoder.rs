use chat_proto::{Body, BufferTooSmall, Encoder, MESSAGE_LEN_MAX};

#[test]
fn the_smallest_buffer_takes_the_longest_message() {
    assert_eq!(
        Encoder::with_buf([0; 255]).unwrap_err(),
        BufferTooSmall {
            needed: 256,
            len: 255
        }
    );
    let mut encoder = Encoder::with_buf([0; MESSAGE_LEN_MAX]).unwrap();
    for _ in 0..2 {
        assert!(encoder.has_room());
        encoder.push(Body::new(&[7; 255]).unwrap()).unwrap();
        assert!(!encoder.has_room());
        assert_eq!(
            encoder.push(Body::default()),
            Err(BufferTooSmall { needed: 1, len: 0 })
        );
        assert_eq!(
            encoder.unsent().len(),
            256,
            "a refused body changes nothing"
        );
        encoder.advance(256);
    }
}

#[test]
fn unsent_bytes_are_moved_only_when_as_many_were_sent() {
    let mut encoder = Encoder::new();
    let longest = Body::new(&[7; 255]).unwrap();
    encoder.push(longest).unwrap();
    encoder.push(longest).unwrap();
    encoder.advance(255);
    assert!(!encoder.has_room());
    let refused = encoder.push(Body::default());
    assert_eq!(refused, Err(BufferTooSmall { needed: 1, len: 0 }));
    encoder.advance(1);
    assert!(encoder.has_room());
    encoder.push(longest).unwrap();
    assert_eq!(encoder.unsent(), [&[255][..], &[7; 255]].concat().repeat(2));
}

#[test]
#[should_panic(expected = "advanced by 3 bytes where 2 were unsent")]
fn advancing_past_the_unsent_bytes_is_refused() {
    let mut encoder = Encoder::new();
    encoder.push(Body::new(b"abc").unwrap()).unwrap();
    encoder.advance(2);
    encoder.advance(3);
}
