use std::io;

use chat_proto::{
    Body, ReadError, Unfinished,
    blocking::{Reader, Writer},
};
use proptest::prelude::*;

use crate::{
    adapters::{ADAPTERS, check},
    scripted::Step::{self, *},
};

/// Runs of equal lengths, some different ones, and an unfinished end.
fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for len in [0, 1, 255, 0, 2, 254, 17].into_iter().chain([3; 30]) {
        stream.push(len);
        stream.extend((0..len).map(|i| i ^ len));
    }
    stream.extend(b"\x09unfin");
    stream
}

#[test]
fn no_adapter_is_left_out() {
    let features = [
        cfg!(feature = "std"),
        cfg!(feature = "std"),
        cfg!(feature = "futures"),
        cfg!(feature = "futures"),
        cfg!(feature = "tokio-util"),
        cfg!(feature = "asynchronous-codec"),
    ];
    assert_eq!(ADAPTERS.len(), features.into_iter().filter(|&enabled| enabled).count());
}

#[test]
fn every_adapter_reads_a_stream_cut_at_any_byte() {
    let stream = stream();
    for cut in 1..stream.len() {
        check("", &stream, &[Move(cut), Move(stream.len())]);
    }
}

#[test]
fn every_adapter_knows_how_a_stream_ended_wherever_it_does() {
    let stream = stream();
    for end in 0..=stream.len() {
        check("", &stream[..end], &[Move(end.max(1))]);
    }
}

#[test]
fn what_a_stream_does_in_between_loses_nothing_and_invents_nothing() {
    for script in [
        &[Move(1)][..],
        &[Interrupted, Move(3)],
        &[NotReady, Move(1)],
        &[Failed, Move(6)],
        &[Failed],
        &[Zero, Move(1)],
        &[Move(15_000), Zero, Failed, NotReady, Interrupted, Move(1)],
    ] {
        check("", &stream(), script);
    }
}

#[test]
fn a_reader_says_what_the_stream_said_and_goes_on() {
    let mut reader =
        Reader::new(Failing { then: &b"\x02hi\x02y"[..], kinds: vec![io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted] });
    let error = reader.next_body().unwrap_err();
    assert!(matches!(&error, ReadError::Io(error) if error.kind() == io::ErrorKind::WouldBlock), "{error}");
    assert_eq!(reader.next_body().unwrap(), Some(Body::new(b"hi").unwrap()));
    let error = reader.next_body().unwrap_err();
    assert!(matches!(error, ReadError::Unfinished(Unfinished { received: 2, expected: 3 })), "{error}");
    let error = io::Error::from(error);
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(error.to_string(), "the stream ended inside a message: 2 of its 3 bytes had arrived");
    assert_eq!(reader.next_body().unwrap(), None, "the end was reported once");
}

#[test]
fn a_writer_whose_stream_takes_nothing_says_so_and_keeps_the_message() {
    let mut full = [0; 3];
    let mut writer = Writer::new(&mut full[..]);
    writer.feed(Body::new(b"four").unwrap()).unwrap();
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(&full, b"\x04fo");
}

/// A reader that fails with each of `kinds`, and then reads.
struct Failing<R> {
    kinds: Vec<io::ErrorKind>,
    then: R,
}

impl<R: io::Read> io::Read for Failing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.kinds.pop() {
            Some(io::ErrorKind::Interrupted) => self.read(buf),
            Some(kind) => Err(kind.into()),
            None => self.then.read(buf),
        }
    }
}

proptest! {
    #[test]
    fn every_adapter_agrees_with_the_naive_decoder(
        stream in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..3000),
        script in prop::collection::vec(any::<u8>().prop_map(Step::from_byte), 0..8),
    ) {
        check("", &stream, &script);
    }

    #[test]
    fn every_adapter_agrees_on_long_bodies(
        len in 200..=255_u8,
        count in 0..80_usize,
        script in prop::collection::vec(any::<u8>().prop_map(Step::from_byte), 0..8),
    ) {
        check("", &vec![len; count * 255], &script);
    }
}
