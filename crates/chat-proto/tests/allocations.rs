//! No path allocates per message. This is a test binary of its own, because it counts the
//! allocations of the whole process.

#![cfg(all(
    feature = "std",
    feature = "futures",
    feature = "tokio-util",
    feature = "asynchronous-codec"
))]

use std::{hint::black_box, io};

use allocation_counter::measure;
use bytes::BytesMut;
use chat_proto::{
    Body, BodyBytes, Codec, Decoder, Encoder, MESSAGE_LEN_MAX, Messages, Partial, blocking,
    boundary_from, futures_io,
};
use futures::{SinkExt, TryStreamExt, executor::block_on};

/// How many bytes go through each path: enough that one allocation per message would stand out.
const STREAM_LEN: usize = 1 << 20;

/// A block for every 8 KiB of a stream, twice as many again for the counts of its users, and some
/// for the start.
const BLOCKS: u64 = 3 * (STREAM_LEN as u64 / (8 * 1024)) + 16;

fn stream(body_len: u8) -> Vec<u8> {
    let message = [&[body_len][..], &vec![b'x'; usize::from(body_len)]].concat();
    message.repeat(STREAM_LEN / message.len())
}

/// Runs `path` over streams of short and of long messages and checks how often it allocates.
#[track_caller]
fn check(allocations_max: u64, mut path: impl FnMut(&[u8]) -> usize) {
    // The executor allocates once per thread.
    block_on(async {});
    for body_len in [0, 8, 255] {
        let stream = stream(body_len);
        let expected = stream.len() / (1 + usize::from(body_len));
        let mut count = 0;
        let allocated = measure(|| count = path(&stream));
        assert_eq!(count, expected, "the path saw every message");
        assert!(
            allocated.count_total <= allocations_max,
            "{} allocations for {count} messages",
            allocated.count_total
        );
    }
}

#[test]
fn the_core_allocates_nothing() {
    check(0, |stream| {
        Messages::split(stream)
            .0
            .iter()
            .inspect(|body| _ = black_box(body))
            .count()
    });
    check(0, |stream| {
        boundary_from(stream, stream.len()).unwrap().count
    });
    check(0, |stream| {
        each_body(stream, |body| {
            _ = black_box(body.to_message().as_messages())
        })
    });
    check(0, |stream| {
        let (mut decoder, mut encoder) = (Decoder::new(), Encoder::new());
        let mut count = 0;
        for piece in stream.chunks(200) {
            decoder.spare()[..piece.len()].copy_from_slice(piece);
            decoder.advance(piece.len());
            while let Some(body) = decoder.next_body() {
                encoder.push(body).unwrap();
                encoder.advance(encoder.unsent().len());
                count += 1;
            }
        }
        count
    });
}

#[test]
fn a_carried_rest_allocates_while_there_is_one() {
    const REST: [u8; MESSAGE_LEN_MAX - 1] = [255; MESSAGE_LEN_MAX - 1];
    let after_two_reads = || {
        let mut partial = Partial::new();
        _ = black_box(partial.split(b"\x05hel"));
        _ = black_box(partial.split(b"\x05hello"));
        partial
    };
    assert_eq!(measure(|| drop(after_two_reads())).bytes_total, 4);
    assert_eq!(
        measure(|| std::mem::forget(after_two_reads())).bytes_current,
        0
    );
    assert_eq!(measure(|| drop(black_box(Partial::new()))).count_total, 0);
    let allocated = measure(|| {
        let mut partial = Partial::new();
        for round in 0..1000 {
            partial.carry(&REST[..1 + round % REST.len()]);
        }
        std::mem::forget(partial);
    });
    assert_eq!(
        allocated.bytes_current,
        REST.len() as i64,
        "no more than the longest rest"
    );
    assert_eq!(
        allocated.count_total,
        REST.len() as u64,
        "one for each rest longer than all before"
    );
}

#[test]
fn blocking_ends_allocate_their_buffers() {
    check(1, |stream| {
        let mut reader = blocking::Reader::new(stream);
        let mut count = 0;
        while reader.next_body().unwrap().is_some() {
            count += 1;
        }
        count
    });
    check(1, |stream| {
        let mut writer = blocking::Writer::new(io::sink());
        each_body(stream, |body| writer.feed(body).unwrap())
    });
}

#[test]
fn a_stream_of_bodies_allocates_only_for_blocks() {
    check(BLOCKS, |stream| {
        let mut reader = futures_io::Reader::new(stream);
        let mut count = 0;
        while block_on(reader.try_next()).unwrap().is_some() {
            count += 1;
        }
        count
    });
    check(BLOCKS, |stream| {
        let mut reader = futures_io::Reader::new(stream);
        let mut last = BodyBytes::default();
        let mut count = 0;
        while let Some(body) = block_on(reader.try_next()).unwrap() {
            last = body;
            count += 1;
        }
        black_box(last);
        count
    });
    check(BLOCKS, |stream| {
        let mut reader = futures_io::Reader::new(stream);
        let mut count = 0;
        loop {
            let messages = block_on(reader.next_messages()).unwrap();
            if messages.is_empty() {
                break count;
            }
            count += messages.count();
        }
    });
}

#[test]
fn a_sink_of_bodies_allocates_its_buffer() {
    check(1, |stream| {
        let mut writer = futures_io::Writer::new(futures::io::sink());
        each_body(stream, |body| block_on(writer.feed(body)).unwrap())
    });
}

#[test]
fn the_codec_allocates_for_blocks() {
    check(BLOCKS, |stream| {
        let mut reader = tokio_util::codec::FramedRead::new(stream, Codec);
        let mut count = 0;
        while block_on(reader.try_next()).unwrap().is_some() {
            count += 1;
        }
        count
    });
    check(BLOCKS, |stream| {
        let mut reader = asynchronous_codec::FramedRead::new(stream, Codec);
        let mut count = 0;
        while block_on(reader.try_next()).unwrap().is_some() {
            count += 1;
        }
        count
    });
    check(1, |stream| {
        let mut unsent = BytesMut::new();
        each_body(stream, |body| {
            tokio_util::codec::Encoder::encode(&mut Codec, body, &mut unsent).unwrap();
            unsent.clear();
        })
    });
}

fn each_body(stream: &[u8], mut write: impl FnMut(Body<'_>)) -> usize {
    Messages::split(stream).0.iter().map(&mut write).count()
}
