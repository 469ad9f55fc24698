use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// All that arrives at a client, in pieces.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    bodies: Vec<Vec<u8>>,
    answers: Vec<u8>,
    refusal: Option<Refusal>,
    unfinished_len: usize,
}

/// Listens to pieces as a connection does.
fn hear<P: Protocol + Copy>(protocol: P, pieces: &[&[u8]]) -> Heard {
    let (mut heard, mut unfinished) = (Heard::default(), Vec::new());
    for piece in pieces {
        unfinished.extend_from_slice(piece);
        loop {
            let len = match walk(&protocol, &unfinished, 100, &mut heard.answers) {
                Ok(0) => break,
                Ok(len) => len,
                Err(refusal) => {
                    heard.refusal.get_or_insert(refusal);
                    return heard;
                }
            };
            assert!(len <= unfinished.len());
            let frames = Frames::new(protocol, &unfinished[..len]);
            let bodies = frames.map(|arrived| arrived.body.to_vec());
            heard.bodies.extend(bodies);
            unfinished.drain(..len);
        }
    }
    heard.unfinished_len = unfinished.len();
    heard
}

/// What a server says besides messages, and what is answered to all of it.
fn chatter(protocol: &str) -> (&'static [&'static [u8]], &'static [u8]) {
    match protocol {
        "nats" => (
            &[
                b"INFO {\"server_id\":\"a\"}\r\n",
                b"PING\r\n",
                b"PONG\r\n",
                b"+OK\r\n",
                b"PING\r\n",
            ],
            b"PONG\r\nPONG\r\n",
        ),
        "redis" => (
            &[
                b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nmodules\r\n*0\r\n",
                b">3\r\n$9\r\nsubscribe\r\n$4\r\nchat\r\n:1\r\n",
                b"+OK\r\n",
                b"*-1\r\n",
                b"$-1\r\n",
                b"_\r\n",
                b":3\r\n",
            ],
            b"",
        ),
        "mqtt" => (&[b"\x20\x02\0\0", b"\x90\x03\0\x01\0", b"\xd0\0"], b""),
        _ => (&[], b""),
    }
}

/// Checks that messages and chatter are heard, wherever the stream is split.
#[track_caller]
fn check_every_split<P: Protocol + Copy>(protocol: P, name: &str) {
    let bodies: Vec<Vec<u8>> = [0, 8, 9, 100, 121, 122, 127, 128, 255]
        .map(|len: u8| {
            (0..len)
                .map(|byte| b"\r\n$>M0"[usize::from(byte) % 6])
                .collect()
        })
        .into();
    let (chatter, answers) = chatter(name);
    let mut stream = Vec::new();
    let mut notices = chatter.iter();
    for body in &bodies {
        notices
            .next()
            .into_iter()
            .for_each(|it| stream.extend_from_slice(it));
        protocol.encode_arrival(body, &mut stream);
    }
    let expected = Heard {
        bodies,
        answers: answers.to_vec(),
        ..Heard::default()
    };
    for split in 0..=stream.len() {
        let (first, second) = stream.split_at(split);
        assert_eq!(
            hear(protocol, &[first, second]),
            expected,
            "split at {split}"
        );
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(hear(protocol, &single), expected, "byte by byte");
}

#[test]
fn messages_are_whole_wherever_the_stream_is_split() {
    check_every_split(Chat, "chat");
    check_every_split(Nats, "nats");
    check_every_split(Redis, "redis");
    check_every_split(Mqtt, "mqtt");
}

/// Checks that a server that says this is not heard any more, whatever comes first.
#[track_caller]
fn check_refused<P: Protocol + Copy>(protocol: P, said: &[u8], expected: &str) {
    let mut stream = Vec::new();
    protocol.encode_arrival(b"12345678", &mut stream);
    stream.extend_from_slice(said);
    let heard = hear(protocol, &[&stream]);
    assert_eq!(heard.bodies, [b"12345678"], "what came before counts");
    let refusal = heard.refusal.expect("it is refused").to_string();
    assert!(refusal.contains(expected), "{refusal}");
}

#[test]
fn errors_of_servers_are_told() {
    check_refused(Nats, b"-ERR 'Slow Consumer'\r\n", "error: 'Slow Consumer'");
    check_refused(Redis, b"-NOAUTH Authentication required.\r\n", "NOAUTH");
    check_refused(Redis, b"*2\r\n:1\r\n!5\r\nERR a\r\n", "error: ERR a");
    check_refused(Mqtt, b"\x20\x02\0\x05", "return code 5");
    check_refused(Mqtt, b"\x90\x03\0\x01\x80", "no subscription");
}

#[test]
fn other_protocols_are_told_from_the_expected() {
    let mut message = Vec::new();
    Chat.encode(b"12345\n678", &mut message);
    check_refused(Nats, &message, "no NATS");
    check_refused(
        Nats,
        b"MSG chat 1 5\r\nlonger than that\r\n",
        "the end of a message",
    );
    check_refused(Nats, b"MSG chat 1 99999999\r\n", "the length of a message");
    check_refused(Redis, &message, "no Redis");
    check_refused(Redis, b"*99999999999999999999\r\n", "a length");
    check_refused(Mqtt, &message, "no MQTT");
    check_refused(Mqtt, b"\x30\xff\xff\xff\xff\x01", "up to four bytes");
    check_refused(Mqtt, b"\x30\x02\0\x09", "a topic");
}

/// Checks that any bytes have one meaning, wherever they are split.
fn check_garbage<P: Protocol + Copy>(
    protocol: P,
    bytes: &[u8],
    split: usize,
) -> Result<(), TestCaseError> {
    let (first, second) = bytes.split_at(split.min(bytes.len()));
    let (whole, pieces) = (hear(protocol, &[bytes]), hear(protocol, &[first, second]));
    prop_assert_eq!(&whole.bodies, &pieces.bodies);
    prop_assert_eq!(&whole.answers, &pieces.answers);
    prop_assert_eq!(whole.refusal, pieces.refusal);
    Ok(())
}

/// Bytes that protocols give a meaning to, more often than others.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            &b"\r\n"[..],
            b"MSG chat 1 ",
            b"PING\r\n",
            b"-ERR",
            b"+OK\r\n",
            b">3\r\n$7\r\nmessage\r\n$4\r\nchat\r\n",
            b"$3\r\nabc\r\n",
            b"*2\r\n",
            b"%65536\r\n",
            b":1\r\n",
            b"-1\r\n",
            b"3",
            b"\x30\x0a\0\x04chat1234",
            b"\x20\x02\0\0",
            b"\x90\x03\0\x01\0",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_have_one_meaning(bytes in garbage(), split in 0..200_usize) {
        check_garbage(Chat, &bytes, split)?;
        check_garbage(Nats, &bytes, split)?;
        check_garbage(Redis, &bytes, split)?;
        check_garbage(Mqtt, &bytes, split)?;
    }
}
