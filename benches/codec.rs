//! How fast messages are split off, decoded and encoded, on every path of chat-proto and beside the
//! length codecs of tokio-util and asynchronous-codec.

use std::{hint::black_box, io};

use bytes::{Bytes, BytesMut};
use chat_proto::{
    BODY_LEN_MAX, Body, BodyBytes, Codec, Decoder, Encoder, Messages, blocking, futures_io,
};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use futures::{FutureExt, SinkExt, StreamExt};

/// As many whole messages as fit in what one read takes, with bodies of the given lengths in turn.
fn wire(body_lens: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut wire = vec![0; READ_LEN];
    let mut end = 0;
    for body_len in body_lens {
        let body = Body::new(&BODY[..body_len]).expect("a body is short enough");
        match body.encode(&mut wire[end..]) {
            Ok(len) => end += len,
            Err(_full) => break,
        }
    }
    wire.truncate(end);
    wire
}

fn wire_of(body_len: usize) -> Vec<u8> {
    wire(std::iter::repeat(body_len))
}

/// The same messages for a codec that has a header of eight bytes.
fn wire_of_u64(body_len: usize) -> Vec<u8> {
    let message = [&(body_len as u64).to_be_bytes()[..], &vec![b'x'; body_len]].concat();
    message.repeat(Messages::split(&wire_of(body_len)).0.count())
}

/// Room for `len` bytes that no copy from a fresh allocation shares page offsets with: the
/// processor takes such a copy for one that overlaps, which is 20 times slower.
struct Apart {
    buf: Vec<u8>,
}

impl Apart {
    fn new(len: usize) -> Self {
        Self {
            buf: vec![0; len + PAGE_LEN],
        }
    }

    fn half_a_page_from(&mut self, from: &[u8]) -> &mut [u8] {
        let distance = (from.as_ptr() as usize).wrapping_sub(self.buf.as_ptr() as usize) % PAGE_LEN;
        &mut self.buf[(distance + PAGE_LEN / 2) % PAGE_LEN..]
    }
}

/// The bodies of `messages` as their codecs take them; to clone one of these costs next to nothing.
fn static_bodies(messages: Messages<'_>) -> Vec<Bytes> {
    messages
        .iter()
        .map(|body| Bytes::from_static(&BODY[..body.as_bytes().len()]))
        .collect()
}

/// Copies of some bytes that begin everywhere in a page, for readers that copy them into buffers of
/// their own: where those are is chance, and no row should have all the luck.
struct Placed {
    bytes: Vec<u8>,
    len: usize,
    next: usize,
}

impl Placed {
    fn new(bytes: &[u8]) -> Self {
        let mut copies = vec![0; PLACE_COUNT * (PLACE_LEN + PAGE_LEN / PLACE_COUNT)];
        for nth in 0..PLACE_COUNT {
            copies[Self::start(nth)..][..bytes.len()].copy_from_slice(bytes);
        }
        Self {
            bytes: copies,
            len: bytes.len(),
            next: 0,
        }
    }

    const fn start(nth: usize) -> usize {
        nth * (PLACE_LEN + PAGE_LEN / PLACE_COUNT)
    }

    fn next(&mut self) -> &[u8] {
        self.next = (self.next + 1) % PLACE_COUNT;
        &black_box(&self.bytes)[Self::start(self.next)..][..self.len]
    }
}

fn throughput(wire: &[u8]) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: Messages::split(wire).0.count() as u64,
        bytes: wire.len() as u64,
    }
}

/// The rows of one table: each measured over the same messages.
struct Rows<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    body_len: usize,
}

impl Rows<'_> {
    /// Measures `work`, which returns how many messages it saw.
    fn row(&mut self, name: &str, count: usize, mut work: impl FnMut() -> usize) {
        assert_eq!(work(), count, "{name} sees every message");
        self.group
            .bench_function(BenchmarkId::new(name, self.body_len), |bencher| {
                bencher.iter(&mut work)
            });
    }
}

fn tables(
    criterion: &mut Criterion,
    name: &str,
    mut table: impl FnMut(&mut Rows<'_>, &[u8], usize),
) {
    for body_len in BODY_LENS {
        let wire = wire_of(body_len);
        let mut group = criterion.benchmark_group(name);
        group.throughput(throughput(&wire));
        let count = Messages::split(&wire).0.count();
        table(&mut Rows { group, body_len }, &wire, count);
    }
}

/// The scan of headers alone.
fn split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split_64KiB");
    let lens = |lens: &[usize]| wire(lens.iter().copied().cycle().take(READ_LEN));
    let mut state = 1_u32;
    let random = wire(std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as usize
    }));
    for (name, wire) in [
        ("bodies_of/8", wire_of(8)),
        ("bodies_of/64", wire_of(64)),
        ("bodies_of/255", wire_of(255)),
        ("bodies_of/8_and_9_in_turn", lens(&[8, 9])),
        ("bodies_of/0_to_15_at_random", random),
    ] {
        group.throughput(throughput(&wire));
        group.bench_function(name, |bencher| {
            bencher.iter(|| Messages::split(black_box(&wire)).0.count())
        });
    }
}

/// From bytes in a buffer to bodies, without I/O.
fn decode(criterion: &mut Criterion) {
    tables(criterion, "decode_64KiB", |rows, wire, count| {
        rows.row("messages_iter", count, || {
            Messages::split(black_box(wire))
                .0
                .iter()
                .inspect(|body| _ = black_box(body))
                .count()
        });
        let mut apart = Apart::new(READ_LEN);
        let mut decoder =
            Decoder::with_buf(apart.half_a_page_from(wire)).expect("the buffer takes any message");
        rows.row("decoder", count, || {
            let spare = decoder.spare();
            spare[..wire.len()].copy_from_slice(black_box(wire));
            decoder.advance(wire.len());
            let mut count = 0;
            while let Some(body) = decoder.next_body() {
                black_box(body);
                count += 1;
            }
            count
        });
        // Copying the buffer is part of all that follow, as it is of a read.
        rows.row("body_bytes", count, || {
            let mut received = BytesMut::from(black_box(wire));
            std::iter::from_fn(|| BodyBytes::split_from(&mut received))
                .map(black_box)
                .count()
        });
        rows.row("tokio_util_codec_of_ours", count, || {
            drain(wire, |received| {
                tokio_util::codec::Decoder::decode(&mut Codec, received).expect("cannot fail")
            })
        });
        let mut theirs = length_delimited();
        rows.row("tokio_util_length_delimited", count, || {
            drain(wire, |received| {
                tokio_util::codec::Decoder::decode(&mut theirs, received)
                    .expect("no frame is too long")
            })
        });
        rows.row("asynchronous_codec_of_ours", count, || {
            drain(wire, |received| {
                asynchronous_codec::Decoder::decode(&mut Codec, received).expect("cannot fail")
            })
        });
        let wire_u64 = wire_of_u64(rows.body_len);
        rows.row("asynchronous_codec_length_u64", count, || {
            drain(&wire_u64, |received| {
                asynchronous_codec::Decoder::decode(&mut asynchronous_codec::LengthCodec, received)
                    .expect("cannot fail")
            })
        });
    });
}

fn drain<T>(wire: &[u8], mut decode: impl FnMut(&mut BytesMut) -> Option<T>) -> usize {
    let mut received = BytesMut::from(black_box(wire));
    std::iter::from_fn(|| decode(&mut received))
        .map(black_box)
        .count()
}

/// From a stream that has everything at once to bodies.
fn read(criterion: &mut Criterion) {
    tables(criterion, "read_64KiB", |rows, wire, count| {
        let (mut placed, mut placed_u64) =
            (Placed::new(wire), Placed::new(&wire_of_u64(rows.body_len)));
        rows.row("blocking_bodies", count, || {
            let mut reader = blocking::Reader::new(placed.next());
            let mut count = 0;
            while let Some(body) = reader.next_body().expect("memory does not fail") {
                black_box(body);
                count += 1;
            }
            count
        });
        rows.row("blocking_runs", count, || {
            let mut reader = blocking::Reader::new(placed.next());
            let mut count = 0;
            loop {
                let messages = reader.next_messages().expect("memory does not fail");
                if messages.is_empty() {
                    break count;
                }
                count += messages.iter().map(black_box).count();
            }
        });
        rows.row("futures_stream", count, || {
            drain_stream(futures_io::Reader::new(placed.next()))
        });
        rows.row("futures_runs", count, || {
            let mut reader = futures_io::Reader::new(placed.next());
            let mut count = 0;
            loop {
                let messages = ready(reader.next_messages()).expect("memory does not fail");
                if messages.is_empty() {
                    break count;
                }
                count += messages.iter().map(black_box).count();
            }
        });
        rows.row("tokio_util_framed_of_ours", count, || {
            drain_stream(tokio_util::codec::FramedRead::new(placed.next(), Codec))
        });
        rows.row("tokio_util_framed_length_delimited", count, || {
            drain_stream(tokio_util::codec::FramedRead::new(
                placed.next(),
                length_delimited(),
            ))
        });
        rows.row("asynchronous_codec_framed_of_ours", count, || {
            drain_stream(asynchronous_codec::FramedRead::new(placed.next(), Codec))
        });
        rows.row("asynchronous_codec_framed_length_u64", count, || {
            drain_stream(asynchronous_codec::FramedRead::new(
                placed_u64.next(),
                asynchronous_codec::LengthCodec,
            ))
        });
    });
}

/// Counts the items of a stream that is always ready.
fn drain_stream<T, E>(mut stream: impl StreamExt<Item = Result<T, E>> + Unpin) -> usize {
    let mut count = 0;
    while let Some(item) = ready(stream.next()) {
        black_box(item.is_ok());
        count += 1;
    }
    count
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("memory is always ready")
}

/// From bodies to bytes in a buffer, without I/O.
fn encode(criterion: &mut Criterion) {
    tables(criterion, "encode_64KiB", |rows, wire, count| {
        let (messages, _) = Messages::split(wire);
        let bodies: Vec<Body<'_>> = messages.iter().collect();
        let static_bodies = static_bodies(messages);
        let mut apart = Apart::new(wire.len());
        let buf = &mut apart.half_a_page_from(wire)[..wire.len()];
        rows.row("memcpy_instead", count, || {
            buf.copy_from_slice(black_box(wire));
            black_box(&buf[..]);
            count
        });
        rows.row("body", count, || {
            let mut end = 0;
            let mut count = 0;
            for &body in black_box(&bodies) {
                end += body
                    .encode(&mut buf[end..])
                    .expect("the buffer takes the whole run");
                count += 1;
            }
            black_box(&buf[..end]);
            count
        });
        let mut encoder = Encoder::with_buf(buf).expect("the buffer takes any message");
        rows.row("encoder", count, || {
            let mut count = 0;
            for &body in black_box(&bodies) {
                encoder.push(body).expect("the buffer takes the whole run");
                count += 1;
            }
            black_box(encoder.unsent());
            encoder.advance(encoder.unsent().len());
            count
        });
        let mut unsent = BytesMut::with_capacity(READ_LEN);
        rows.row("codec_of_ours", count, || {
            unsent.clear();
            let encode = |body| {
                tokio_util::codec::Encoder::encode(&mut Codec, body, &mut unsent)
                    .expect("memory does not fail")
            };
            let count = black_box(&bodies).iter().copied().map(encode).count();
            black_box(&unsent[..]);
            count
        });
        let mut theirs = length_delimited();
        rows.row("tokio_util_length_delimited", count, || {
            unsent.clear();
            let mut count = 0;
            for body in black_box(&static_bodies) {
                tokio_util::codec::Encoder::encode(&mut theirs, body.clone(), &mut unsent)
                    .expect("no frame is too long");
                count += 1;
            }
            black_box(&unsent[..]);
            count
        });
        rows.row("asynchronous_codec_length_u64", count, || {
            unsent.clear();
            let mut count = 0;
            for body in black_box(&static_bodies) {
                asynchronous_codec::Encoder::encode(
                    &mut asynchronous_codec::LengthCodec,
                    body.clone(),
                    &mut unsent,
                )
                .expect("memory does not fail");
                count += 1;
            }
            black_box(&unsent[..]);
            count
        });
    });
}

/// From bodies to a stream that takes everything at once.
fn write(criterion: &mut Criterion) {
    tables(criterion, "write_64KiB", |rows, wire, count| {
        let (messages, _) = Messages::split(wire);
        let bodies: Vec<Body<'_>> = messages.iter().collect();
        let static_bodies = static_bodies(messages);
        let mut blocking = blocking::Writer::new(io::sink());
        rows.row("blocking", count, || {
            let mut count = 0;
            for &body in black_box(&bodies) {
                blocking.feed(body).expect("a sink does not fail");
                count += 1;
            }
            blocking.flush().expect("a sink does not fail");
            count
        });
        let mut sink = futures_io::Writer::new(futures::io::sink());
        rows.row("futures_sink", count, || {
            let mut count = 0;
            for &body in black_box(&bodies) {
                ready(sink.feed(body)).expect("a sink does not fail");
                count += 1;
            }
            ready(sink.flush()).expect("a sink does not fail");
            count
        });
        let mut ours = tokio_util::codec::FramedWrite::new(tokio::io::sink(), Codec);
        rows.row("tokio_util_framed_of_ours", count, || {
            let mut count = 0;
            for &body in black_box(&bodies) {
                ready(ours.feed(body)).expect("a sink does not fail");
                count += 1;
            }
            ready(SinkExt::<Body<'_>>::flush(&mut ours)).expect("a sink does not fail");
            count
        });
        let mut theirs = tokio_util::codec::FramedWrite::new(tokio::io::sink(), length_delimited());
        rows.row("tokio_util_framed_length_delimited", count, || {
            let mut count = 0;
            for body in black_box(&static_bodies) {
                ready(theirs.feed(body.clone())).expect("a sink does not fail");
                count += 1;
            }
            ready(SinkExt::<Bytes>::flush(&mut theirs)).expect("a sink does not fail");
            count
        });
    });
}

/// tokio-util's codec, set to our wire format.
fn length_delimited() -> tokio_util::codec::LengthDelimitedCodec {
    tokio_util::codec::LengthDelimitedCodec::builder()
        .length_field_type::<u8>()
        .max_frame_length(255)
        .new_codec()
}

criterion_group!(benches, split, decode, read, encode, write);
criterion_main!(benches);

const READ_LEN: usize = 64 * 1024;

static BODY: [u8; BODY_LEN_MAX] = [b'x'; BODY_LEN_MAX];

const PAGE_LEN: usize = 4096;

const PLACE_COUNT: usize = 8;

/// Room for one placed copy, whole pages: bodies of 8 bytes behind headers of 8 take twice what
/// they take behind ours.
const PLACE_LEN: usize = 2 * READ_LEN;

const BODY_LENS: [usize; 3] = [8, 64, 255];
