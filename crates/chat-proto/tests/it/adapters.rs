//! Every way of reading and writing over a stream, driven to the end of it whatever it does on the
//! way.
//!
//! The fuzz targets include this file.

use std::io;

use chat_proto::{Body, ReadError};

use crate::{
    naive::{Decoded, decode_naively},
    scripted::{Scripted, Step},
};

/// One way of doing I/O.
pub(crate) struct Adapter {
    pub(crate) name: &'static str,
    /// Reads all bodies of a stream, and how it ended.
    pub(crate) read: fn(Scripted) -> Decoded,
    /// Writes all bodies to a stream.
    pub(crate) write: fn(&[Vec<u8>], Scripted) -> Vec<u8>,
}

/// The adapters that the enabled features give.
pub(crate) const ADAPTERS: &[Adapter] = &[
    #[cfg(feature = "std")]
    Adapter {
        name: "blocking",
        read: blocking::read,
        write: blocking::write,
    },
    #[cfg(feature = "std")]
    Adapter {
        name: "blocking, run by run",
        read: blocking::read_runs,
        write: blocking::write_small,
    },
    #[cfg(feature = "futures")]
    Adapter {
        name: "futures",
        read: futures_io::read,
        write: futures_io::write,
    },
    #[cfg(feature = "futures")]
    Adapter {
        name: "futures, run by run",
        read: futures_io::read_runs,
        write: futures_io::write_each,
    },
    #[cfg(feature = "tokio-util")]
    Adapter {
        name: "tokio-util",
        read: tokio_util::read,
        write: tokio_util::write,
    },
    #[cfg(feature = "asynchronous-codec")]
    Adapter {
        name: "asynchronous-codec",
        read: asynchronous_codec::read,
        write: asynchronous_codec::write,
    },
];

/// Checks that the adapters whose name starts with `name` read and write `stream` as the naive
/// decoder does, over streams that follow `script`.
#[track_caller]
pub(crate) fn check(name: &str, stream: &[u8], script: &[Step]) {
    let expected = decode_naively(stream);
    let whole_len: usize = expected.0.iter().map(|body| 1 + body.len()).sum();
    for adapter in ADAPTERS
        .iter()
        .filter(|adapter| adapter.name.starts_with(name))
    {
        let name = adapter.name;
        assert_eq!(
            (adapter.read)(Scripted::reader(stream, script)),
            expected,
            "{name} reads, script {script:?}"
        );
        let written = (adapter.write)(&expected.0, Scripted::writer(script));
        assert!(
            written == stream[..whole_len],
            "{name} writes, script {script:?}: {written:?}"
        );
    }
}

/// Checks one input of the fuzzer: `| count: u8 | script: count % 16 bytes | stream |`.
pub(crate) fn check_input(name: &str, input: &[u8]) {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let (script, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let script: Vec<Step> = script.iter().map(|&byte| Step::from_byte(byte)).collect();
    check(name, stream, &script);
}

/// Reads with `next` until it says that the stream ended, and that it still does. Passing errors
/// lose nothing.
fn read_all(mut next: impl FnMut(&mut Vec<Vec<u8>>) -> Result<bool, ReadError>) -> Decoded {
    let mut bodies = Vec::new();
    loop {
        match next(&mut bodies) {
            Ok(true) => {}
            Ok(false) => break,
            Err(ReadError::Io(error)) => {
                let kinds = [
                    io::ErrorKind::WouldBlock,
                    io::ErrorKind::Other,
                    io::ErrorKind::Interrupted,
                ];
                assert!(kinds.contains(&error.kind()), "{error}");
            }
            Err(ReadError::Unfinished(unfinished)) => {
                read_end(next);
                return (bodies, Err(unfinished));
            }
        }
    }
    read_end(next);
    (bodies, Ok(()))
}

/// Checks that nothing comes after the end.
fn read_end(mut next: impl FnMut(&mut Vec<Vec<u8>>) -> Result<bool, ReadError>) {
    let mut bodies = Vec::new();
    for _ in 0..2 {
        while let Err(error) = next(&mut bodies) {
            assert!(matches!(error, ReadError::Io(_)), "{error}");
        }
    }
    assert_eq!(bodies, [[0; 0]; 0]);
}

/// Repeats `write` until no error is in its way.
fn insist(mut write: impl FnMut() -> io::Result<()>) {
    while let Err(error) = write() {
        use io::ErrorKind::{Interrupted, Other, UnexpectedEof, WouldBlock, WriteZero};
        assert!(
            matches!(
                error.kind(),
                Interrupted | Other | UnexpectedEof | WouldBlock | WriteZero
            ),
            "{error}"
        );
    }
}

fn body(bytes: &[u8]) -> Body<'_> {
    Body::new(bytes).expect("the naive decoder returns bodies")
}

/// Adds the result of a read to `bodies`, and tells whether the stream goes on.
#[cfg(any(
    feature = "futures",
    feature = "tokio-util",
    feature = "asynchronous-codec"
))]
fn push_next(
    bodies: &mut Vec<Vec<u8>>,
    next: Result<Option<chat_proto::BodyBytes>, ReadError>,
) -> Result<bool, ReadError> {
    let body = next?;
    bodies.extend(body.iter().map(|body| body.as_bytes().to_vec()));
    Ok(body.is_some())
}

/// Feeds all bodies to a sink, whatever it says in between.
#[cfg(any(
    feature = "futures",
    feature = "tokio-util",
    feature = "asynchronous-codec"
))]
fn feed_all(
    bodies: &[Vec<u8>],
    sink: &mut (impl for<'a> futures::Sink<Body<'a>, Error = io::Error> + Unpin),
) {
    for bytes in bodies {
        insist(|| futures::executor::block_on(futures::SinkExt::feed(sink, body(bytes))));
    }
}

#[cfg(feature = "std")]
mod blocking {
    use chat_proto::blocking::{Reader, Writer};

    use super::*;

    pub(super) fn read(stream: Scripted) -> Decoded {
        let mut reader = Reader::new(stream);
        read_all(|bodies| {
            let body = reader.next_body()?;
            bodies.extend(body.map(|body| body.as_bytes().to_vec()));
            Ok(body.is_some())
        })
    }

    pub(super) fn read_runs(stream: Scripted) -> Decoded {
        let mut reader = Reader::with_buf_len(stream, 0);
        read_all(|bodies| {
            let messages = reader.next_messages()?;
            bodies.extend(messages.iter().map(|body| body.as_bytes().to_vec()));
            Ok(!messages.is_empty())
        })
    }

    pub(super) fn write(bodies: &[Vec<u8>], stream: Scripted) -> Vec<u8> {
        write_all(bodies, Writer::new(stream))
    }

    pub(super) fn write_small(bodies: &[Vec<u8>], stream: Scripted) -> Vec<u8> {
        write_all(bodies, Writer::with_buf_len(stream, 0))
    }

    fn write_all(bodies: &[Vec<u8>], mut writer: Writer<Scripted>) -> Vec<u8> {
        for (nth, bytes) in bodies.iter().enumerate() {
            insist(|| writer.feed(body(bytes)));
            if nth % 7 == 0 {
                insist(|| writer.flush());
            }
        }
        insist(|| writer.flush());
        writer.into_inner().into_bytes()
    }
}

#[cfg(feature = "futures")]
mod futures_io {
    use chat_proto::futures_io::{Reader, Writer};
    use futures::{SinkExt, TryStreamExt, executor::block_on};

    use super::*;

    pub(super) fn read(stream: Scripted) -> Decoded {
        let mut reader = Reader::new(stream);
        // Bodies that live on while more arrive must not change.
        let mut shared = Vec::new();
        let (copied, end) = read_all(|bodies| {
            let Some(body) = block_on(reader.try_next())? else {
                return Ok(false);
            };
            bodies.push(body.as_ref().to_vec());
            if bodies.len() % 3 == 0 {
                shared.push((bodies.len() - 1, body));
            }
            Ok(true)
        });
        for (nth, body) in shared {
            assert_eq!(body.as_ref(), copied[nth]);
        }
        (copied, end)
    }

    pub(super) fn read_runs(stream: Scripted) -> Decoded {
        let mut reader = Reader::new(stream);
        let mut turn = 0;
        read_all(|bodies| {
            turn += 1;
            if turn % 4 == 0 {
                return push_next(bodies, block_on(reader.try_next()));
            }
            let messages = block_on(reader.next_messages())?;
            bodies.extend(messages.iter().map(|body| body.as_bytes().to_vec()));
            Ok(!messages.is_empty())
        })
    }

    pub(super) fn write(bodies: &[Vec<u8>], stream: Scripted) -> Vec<u8> {
        let mut writer = Writer::new(stream);
        feed_all(bodies, &mut writer);
        insist(|| block_on(writer.close()));
        writer.into_inner().into_bytes()
    }

    pub(super) fn write_each(bodies: &[Vec<u8>], stream: Scripted) -> Vec<u8> {
        let mut writer = Writer::new(stream);
        for bytes in bodies {
            insist(|| block_on(writer.feed(body(bytes))));
            insist(|| block_on(writer.flush()));
        }
        writer.into_inner().into_bytes()
    }
}

#[cfg(feature = "tokio-util")]
mod tokio_util {
    use ::tokio_util::codec::{FramedRead, FramedWrite};
    use chat_proto::Codec;
    use futures::{SinkExt, TryStreamExt, executor::block_on};

    use super::*;

    pub(super) fn read(stream: Scripted) -> Decoded {
        let mut reader = FramedRead::new(stream, Codec);
        read_all(|bodies| {
            let next = block_on(reader.try_next());
            if next.is_err() {
                // It says that the stream ended after any error, and then goes on.
                assert!(matches!(block_on(reader.try_next()), Ok(None)));
            }
            push_next(bodies, next)
        })
    }

    pub(super) fn write(bodies: &[Vec<u8>], stream: Scripted) -> Vec<u8> {
        let mut writer = FramedWrite::new(stream, Codec);
        feed_all(bodies, &mut writer);
        insist(|| block_on(writer.flush()));
        writer.into_inner().into_bytes()
    }
}

#[cfg(feature = "asynchronous-codec")]
mod asynchronous_codec {
    use ::asynchronous_codec::{FramedRead, FramedWrite};
    use chat_proto::Codec;
    use futures::{SinkExt, TryStreamExt, executor::block_on};

    use super::*;

    pub(super) fn read(stream: Scripted) -> Decoded {
        let mut reader = FramedRead::new(stream, Codec);
        read_all(|bodies| push_next(bodies, block_on(reader.try_next())))
    }

    pub(super) fn write(bodies: &[Vec<u8>], stream: Scripted) -> Vec<u8> {
        let mut writer = FramedWrite::new(stream, Codec);
        feed_all(bodies, &mut writer);
        insist(|| block_on(writer.flush()));
        writer.into_inner().into_bytes()
    }
}
