use chat_proto::{
    Body, BodyTooLong, Boundary, Decoder, Encoder, MESSAGE_LEN_MAX, Messages, Unfinished,
    boundary_from,
};
use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    naive::{Decoded, decode_naively},
    pieces::{decode_pieces, split_pieces},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecodeCase {
    name: String,
    #[serde(default, rename = "comment")]
    _comment: String,
    pieces: Vec<Hex>,
    bodies: Vec<Hex>,
    // A deserializer of one's own has no default: the key must be there, as it is for readers in
    // other languages.
    #[serde(deserialize_with = "Option::deserialize")]
    unfinished: Option<UnfinishedCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnfinishedCase {
    received: usize,
    expected: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodeCase {
    name: String,
    #[serde(default, rename = "comment")]
    _comment: String,
    body: Hex,
    #[serde(deserialize_with = "Option::deserialize")]
    message: Option<Hex>,
}

impl DecodeCase {
    fn pieces(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.pieces.iter().map(|piece| &piece.0[..])
    }

    fn decoded(&self) -> Decoded {
        let bodies = self.bodies.iter().map(|body| body.0.clone()).collect();
        match self.unfinished {
            None => (bodies, Ok(())),
            Some(UnfinishedCase { received, expected }) => {
                (bodies, Err(Unfinished { received, expected }))
            }
        }
    }
}

/// Bytes, written as lower-case hex digits.
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        if !digits.len().is_multiple_of(2)
            || !digits
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(D::Error::custom("not pairs of lower-case hex digits"));
        }
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(D::Error::custom);
        (0..digits.len())
            .step_by(2)
            .map(byte)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn decode_cases() -> Vec<DecodeCase> {
    serde_json::from_str(include_str!("../../vectors/decode.json")).unwrap()
}

fn encode_cases() -> Vec<EncodeCase> {
    serde_json::from_str(include_str!("../../vectors/encode.json")).unwrap()
}

/// Runs a decoder through all cases.
#[track_caller]
fn check(decode: impl Fn(&DecodeCase) -> Decoded) {
    for case in decode_cases() {
        assert_eq!(decode(&case), case.decoded(), "{}", case.name);
    }
}

/// Runs an encoder through all cases.
#[track_caller]
fn check_encoder(encode: impl Fn(&[u8]) -> Result<Vec<u8>, BodyTooLong>) {
    for EncodeCase {
        name,
        body: Hex(body),
        message,
        ..
    } in encode_cases()
    {
        let expected = message
            .map(|message| message.0)
            .ok_or(BodyTooLong { len: body.len() });
        assert_eq!(encode(&body), expected, "{name}");
    }
}

fn stream(case: &DecodeCase) -> Vec<u8> {
    case.pieces().collect::<Vec<_>>().concat()
}

#[test]
fn the_files_are_complete_and_their_names_unique() {
    let mut decode: Vec<_> = decode_cases().into_iter().map(|case| case.name).collect();
    let mut encode: Vec<_> = encode_cases().into_iter().map(|case| case.name).collect();
    for (names, count) in [(&mut decode, 68), (&mut encode, 16)] {
        names.sort();
        names.dedup();
        assert!(names.len() >= count, "{} different names", names.len());
    }
}

#[test]
fn bodies_encode_as_the_vectors_say() {
    check_encoder(|bytes| {
        let mut buf = [0; MESSAGE_LEN_MAX];
        let len = Body::new(bytes)?.encode(&mut buf).unwrap();
        Ok(buf[..len].to_vec())
    });
}

#[test]
fn the_encoder_encodes_as_the_vectors_say() {
    check_encoder(|bytes| {
        let mut encoder = Encoder::new();
        encoder.push(Body::new(bytes)?).unwrap();
        Ok(encoder.unsent().to_vec())
    });
}

#[test]
fn the_naive_decoder_decodes_as_the_vectors_say() {
    check(|case| decode_naively(&stream(case)));
}

#[test]
fn the_decoder_decodes_as_the_vectors_say() {
    check(|case| decode_pieces(case.pieces()));
    check(|case| {
        let mut decoder = Decoder::with_buf(vec![0; stream(case).len() + MESSAGE_LEN_MAX]).unwrap();
        let mut bodies = Vec::new();
        for piece in case.pieces() {
            decoder.spare()[..piece.len()].copy_from_slice(piece);
            decoder.advance(piece.len());
            bodies.extend(
                decoder
                    .next_messages()
                    .iter()
                    .map(|body| body.as_bytes().to_vec()),
            );
        }
        (bodies, decoder.finish())
    });
}

#[test]
fn messages_split_as_the_vectors_say() {
    check(|case| split_pieces(case.pieces()));
    check(|case| {
        let stream = stream(case);
        let (messages, rest) = Messages::split(&stream);
        assert_eq!(messages.count(), case.bodies.len(), "{}", case.name);
        (
            messages
                .iter()
                .map(|body| body.as_bytes().to_vec())
                .collect(),
            Unfinished::check(rest),
        )
    });
}

#[test]
fn boundaries_are_where_the_vectors_say() {
    for case in decode_cases() {
        let stream = stream(&case);
        let mut boundary = Boundary {
            offset: 0,
            count: 0,
        };
        assert_eq!(boundary_from(&stream, 0), Some(boundary), "{}", case.name);
        for body in &case.bodies {
            let start = boundary.offset;
            boundary = Boundary {
                offset: start + 1 + body.0.len(),
                count: boundary.count + 1,
            };
            for offset in start + 1..=boundary.offset {
                assert_eq!(
                    boundary_from(&stream, offset),
                    Some(boundary),
                    "{}, offset {offset}",
                    case.name
                );
            }
        }
        assert_eq!(
            stream.len() - boundary.offset,
            case.unfinished.map_or(0, |unfinished| unfinished.received),
            "{}",
            case.name
        );
        for offset in boundary.offset + 1..=stream.len() {
            assert_eq!(
                boundary_from(&stream, offset),
                None,
                "{}, offset {offset}",
                case.name
            );
        }
    }
}

#[cfg(feature = "std")]
fn unfinished(error: chat_proto::ReadError) -> Unfinished {
    match error {
        chat_proto::ReadError::Unfinished(unfinished) => unfinished,
        chat_proto::ReadError::Io(error) => panic!("the stream cannot fail: {error}"),
    }
}

#[cfg(feature = "std")]
#[test]
fn the_blocking_reader_decodes_as_the_vectors_say() {
    use std::io::{Read, empty};

    /// A stream that yields exactly the pieces, and passes over empty ones, which would mean that
    /// it ended.
    fn reader(case: &DecodeCase) -> chat_proto::blocking::Reader<Box<dyn Read + '_>> {
        let none: Box<dyn Read> = Box::new(empty());
        chat_proto::blocking::Reader::new(
            case.pieces()
                .fold(none, |stream, piece| Box::new(stream.chain(piece))),
        )
    }

    check(|case| {
        let (mut reader, mut bodies) = (reader(case), Vec::new());
        loop {
            match reader.next_body() {
                Ok(Some(body)) => bodies.push(body.as_bytes().to_vec()),
                Ok(None) => return (bodies, Ok(())),
                Err(error) => return (bodies, Err(unfinished(error))),
            }
        }
    });
    check(|case| {
        let (mut reader, mut bodies) = (reader(case), Vec::new());
        loop {
            match reader.next_messages() {
                Ok(messages) if messages.is_empty() => return (bodies, Ok(())),
                Ok(messages) => bodies.extend(messages.iter().map(|body| body.as_bytes().to_vec())),
                Err(error) => return (bodies, Err(unfinished(error))),
            }
        }
    });
}

#[cfg(any(
    feature = "futures",
    feature = "tokio-util",
    feature = "asynchronous-codec"
))]
mod asynchronous {
    use std::io;

    use chat_proto::{BodyBytes, ReadError};
    use futures::{Stream, TryStreamExt, executor::block_on, stream};

    use super::{DecodeCase, Decoded, check, unfinished};

    /// A stream that yields exactly the pieces.
    fn pieces(case: &DecodeCase) -> impl Stream<Item = io::Result<&[u8]>> + Unpin {
        stream::iter(case.pieces().map(Ok))
    }

    fn decode(mut bodies: impl Stream<Item = Result<BodyBytes, ReadError>> + Unpin) -> Decoded {
        let mut decoded = Vec::new();
        loop {
            match block_on(bodies.try_next()) {
                Ok(Some(body)) => decoded.push(body.as_ref().to_vec()),
                Ok(None) => return (decoded, Ok(())),
                Err(error) => return (decoded, Err(unfinished(error))),
            }
        }
    }

    #[cfg(feature = "futures")]
    #[test]
    fn the_futures_reader_decodes_as_the_vectors_say() {
        use chat_proto::futures_io::Reader;

        check(|case| decode(Reader::new(pieces(case).into_async_read())));
        check(|case| {
            let (mut reader, mut bodies) =
                (Reader::new(pieces(case).into_async_read()), Vec::new());
            loop {
                match block_on(reader.next_messages()) {
                    Ok(messages) if messages.is_empty() => return (bodies, Ok(())),
                    Ok(messages) => {
                        bodies.extend(messages.iter().map(|body| body.as_bytes().to_vec()))
                    }
                    Err(error) => return (bodies, Err(unfinished(error))),
                }
            }
        });
    }

    #[cfg(feature = "tokio-util")]
    #[test]
    fn the_codec_for_tokio_works_as_the_vectors_say() {
        use tokio_util::{
            codec::{Encoder, FramedRead},
            io::StreamReader,
        };

        check(|case| {
            decode(FramedRead::new(
                StreamReader::new(pieces(case)),
                chat_proto::Codec,
            ))
        });
        super::check_encoder(|bytes| {
            let mut message = bytes::BytesMut::new();
            chat_proto::Codec
                .encode(super::Body::new(bytes)?, &mut message)
                .unwrap();
            Ok(message.to_vec())
        });
    }

    #[cfg(feature = "asynchronous-codec")]
    #[test]
    fn the_asynchronous_codec_works_as_the_vectors_say() {
        use asynchronous_codec::{Encoder, FramedRead};

        check(|case| {
            decode(FramedRead::new(
                pieces(case).into_async_read(),
                chat_proto::Codec,
            ))
        });
        super::check_encoder(|bytes| {
            let mut message = bytes::BytesMut::new();
            chat_proto::Codec
                .encode(super::Body::new(bytes)?, &mut message)
                .unwrap();
            Ok(message.to_vec())
        });
    }
}
