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
    assert_eq!(
        ADAPTERS.len(),
        features.into_iter().filter(|&enabled| enabled).count()
    );
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
fn delays_and_errors_of_a_stream_lose_and_invent_nothing() {
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
    let mut reader = Reader::new(Failing {
        then: &b"\x02hi\x02y"[..],
        kinds: vec![io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted],
    });
    let error = reader.next_body().unwrap_err();
    assert!(
        matches!(&error, ReadError::Io(error) if error.kind() == io::ErrorKind::WouldBlock),
        "{error}"
    );
    assert_eq!(reader.next_body().unwrap(), Some(Body::new(b"hi").unwrap()));
    let error = reader.next_body().unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Unfinished(Unfinished {
                received: 2,
                expected: 3
            })
        ),
        "{error}"
    );
    let error = io::Error::from(error);
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(
        error.to_string(),
        "the stream ended inside a message: 2 of its 3 bytes had arrived"
    );
    assert_eq!(
        reader.next_body().unwrap(),
        None,
        "the end was reported once"
    );
}

#[test]
fn a_writer_keeps_a_message_that_the_stream_does_not_take() {
    let mut full = [0; 3];
    let mut writer = Writer::new(&mut full[..]);
    writer.feed(Body::new(b"four").unwrap()).unwrap();
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(&full, b"\x04fo");
}

#[test]
fn a_writer_repeats_interrupted_calls_and_returns_other_errors() {
    let [interrupted, failed] = [io::ErrorKind::Interrupted, io::ErrorKind::Other];
    let hi = Body::new(b"hi").unwrap();
    for (writes, flushes) in [
        (vec![interrupted, interrupted], vec![]),
        (vec![], vec![interrupted]),
    ] {
        let mut writer = Writer::new(Refusing {
            writes,
            flushes,
            ..Refusing::default()
        });
        writer.send(hi).unwrap();
        assert_eq!(writer.stream().written, b"\x02hi");
    }
    for (writes, flushes) in [(vec![failed], vec![]), (vec![], vec![failed])] {
        let mut writer = Writer::new(Refusing {
            writes,
            flushes,
            ..Refusing::default()
        });
        assert_eq!(writer.send(hi).unwrap_err().kind(), failed);
        writer.flush().unwrap();
        assert_eq!(
            writer.stream().written,
            b"\x02hi",
            "nothing is lost or repeated"
        );
    }
}

/// A sink that refuses the first writes and flushes with these errors, and then takes all.
#[derive(Debug, Default)]
struct Refusing {
    writes: Vec<io::ErrorKind>,
    flushes: Vec<io::ErrorKind>,
    written: Vec<u8>,
}

impl io::Write for Refusing {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.writes.pop() {
            Some(kind) => Err(kind.into()),
            None => self.written.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes.pop().map_or(Ok(()), |kind| Err(kind.into()))
    }
}

#[test]
fn a_message_that_was_sent_is_written_and_flushed() {
    let mut writer = Writer::new(Counting::default());
    writer.feed(Body::new(b"fed").unwrap()).unwrap();
    assert_eq!(writer.stream().write_count, 0);
    writer.send(Body::new(b"sent").unwrap()).unwrap();
    assert_eq!(
        (writer.stream().write_count, writer.stream().flush_count),
        (1, 1)
    );
}

#[test]
fn a_reader_reads_nothing_after_an_unfinished_message() {
    // A stream that goes on after it said that it ended: a terminal, or a file that grows.
    let mut reader = Reader::new(Ending {
        pieces: vec![b"\x01l\x02o\0", b"", b"\x01x\x05he"],
    });
    assert_eq!(reader.next_body().unwrap(), Some(Body::new(b"x").unwrap()));
    assert!(matches!(
        reader.next_body(),
        Err(ReadError::Unfinished(Unfinished {
            received: 3,
            expected: 6
        }))
    ));
    assert_eq!(reader.next_body().unwrap(), None);
    assert!(reader.next_messages().unwrap().is_empty());
}

/// A reader that gives these pieces, the last one first; an empty one is an end.
struct Ending {
    pieces: Vec<&'static [u8]>,
}

impl io::Read for Ending {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let piece = self.pieces.pop().unwrap_or_default();
        buf[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

#[test]
fn errors_become_errors_of_io() {
    assert_eq!(
        io::Error::from(Body::new(&[0; 256]).unwrap_err()).kind(),
        io::ErrorKind::InvalidInput
    );
    assert_eq!(
        io::Error::from(Unfinished::check(b"\x01").unwrap_err()).kind(),
        io::ErrorKind::UnexpectedEof
    );
}

/// A sink that counts the calls it gets.
#[derive(Debug, Default)]
struct Counting {
    write_count: usize,
    flush_count: usize,
}

impl io::Write for Counting {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_count += 1;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_count += 1;
        Ok(())
    }
}

#[test]
fn many_messages_go_out_in_one_write() {
    let body = Body::new(&[7; 63]).unwrap();
    let mut writer = Writer::new(Counting::default());
    for _ in 0..100 {
        writer.feed(body).unwrap();
    }
    assert_eq!(
        (writer.stream().write_count, writer.stream().flush_count),
        (0, 0)
    );
    writer.flush().unwrap();
    assert_eq!(
        (writer.stream().write_count, writer.stream().flush_count),
        (1, 1)
    );
}

#[cfg(feature = "futures")]
#[test]
fn many_messages_go_out_in_one_write_of_a_future() {
    use futures::{SinkExt, executor::block_on};

    let body = Body::new(&[7; 63]).unwrap();
    let mut writer =
        chat_proto::futures_io::Writer::new(futures::io::AllowStdIo::new(Counting::default()));
    for _ in 0..100 {
        block_on(writer.feed(body)).unwrap();
    }
    assert_eq!(
        (
            writer.stream().get_ref().write_count,
            writer.stream().get_ref().flush_count
        ),
        (0, 0)
    );
    block_on(writer.flush()).unwrap();
    assert_eq!(
        (
            writer.stream().get_ref().write_count,
            writer.stream().get_ref().flush_count
        ),
        (1, 1)
    );
}

#[cfg(feature = "futures")]
#[test]
fn a_stream_reads_nothing_after_an_unfinished_message() {
    use futures::{TryStreamExt, executor::block_on};

    let ending = Ending {
        pieces: vec![b"\x01l\x02o\0", b"", b"\x01x\x05he"],
    };
    let mut reader = chat_proto::futures_io::Reader::new(futures::io::AllowStdIo::new(ending));
    assert_eq!(
        block_on(reader.try_next()).unwrap().unwrap().as_bytes(),
        b"x"
    );
    assert!(matches!(
        block_on(reader.try_next()),
        Err(ReadError::Unfinished(Unfinished {
            received: 3,
            expected: 6
        }))
    ));
    assert_eq!(block_on(reader.try_next()).unwrap(), None);
    assert!(block_on(reader.next_messages()).unwrap().is_empty());
}

#[cfg(feature = "futures")]
#[test]
fn a_stream_reads_into_the_block_that_was_asked_for() {
    use futures::{TryStreamExt, executor::block_on};

    // The longest messages. The first read cuts the last one of them.
    let stream = &[255; 512];
    for (block_len, cut, room_lens) in [(300, 250_usize, [300, 50]), (766, 510, [766, 256])] {
        let noting = Noting {
            room_lens: Vec::new(),
            then: Ending {
                pieces: vec![&stream[cut..cut.next_multiple_of(256)], &stream[..cut]],
            },
        };
        let mut reader = chat_proto::futures_io::Reader::with_buf_len(
            futures::io::AllowStdIo::new(noting),
            block_len,
        );
        while block_on(reader.try_next()).unwrap().is_some() {}
        assert_eq!(reader.stream().get_ref().room_lens[..2], room_lens);
    }
}

/// A reader that notes how many bytes it may read each time.
#[cfg(feature = "futures")]
struct Noting<R> {
    room_lens: Vec<usize>,
    then: R,
}

#[cfg(feature = "futures")]
impl<R: io::Read> io::Read for Noting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.room_lens.push(buf.len());
        self.then.read(buf)
    }
}

/// A reader that fails with each of `kinds`, and then reads.
struct Failing<R> {
    kinds: Vec<io::ErrorKind>,
    then: R,
}

impl<R: io::Read> io::Read for Failing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.kinds.pop() {
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
