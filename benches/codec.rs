//! How fast messages are encoded, and split off and decoded from received bytes.

use std::hint::black_box;

use chat_proto::{Body, Decoder, MESSAGE_LEN_MAX, Messages};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// As many whole messages as fit in what one read takes.
fn wire(body_len: usize) -> Vec<u8> {
    let body = [b'x'; MESSAGE_LEN_MAX];
    let body = Body::new(&body[..body_len]).expect("a body is short enough");
    let mut message = [0; MESSAGE_LEN_MAX];
    let len = body.encode(&mut message).expect("the buffer takes any message");
    message[..len].repeat(READ_LEN / len)
}

fn throughput(wire: &[u8]) -> Throughput {
    Throughput::ElementsAndBytes { elements: Messages::split(wire).0.count() as u64, bytes: wire.len() as u64 }
}

fn split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("split_64KiB");
    for body_len in BODY_LENS {
        let wire = wire(body_len);
        group.throughput(throughput(&wire));
        group.bench_with_input(BenchmarkId::new("bodies_of", body_len), &wire, |bencher, wire| {
            bencher.iter(|| Messages::split(black_box(wire)).0.count());
        });
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode_64KiB");
    for body_len in BODY_LENS {
        let wire = wire(body_len);
        group.throughput(throughput(&wire));
        let mut decoder = Decoder::with_buf(vec![0; READ_LEN]).expect("the buffer takes any message");
        group.bench_with_input(BenchmarkId::new("bodies_of", body_len), &wire, |bencher, wire| {
            bencher.iter(|| {
                decoder.spare()[..wire.len()].copy_from_slice(black_box(wire));
                decoder.advance(wire.len());
                let mut byte_len = 0;
                while let Some(body) = decoder.next_body() {
                    byte_len += black_box(body.as_bytes()).len();
                }
                byte_len
            });
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode_64KiB");
    for body_len in BODY_LENS {
        let wire = wire(body_len);
        let (messages, _) = Messages::split(&wire);
        let mut buf = vec![0; wire.len()];
        group.throughput(throughput(&wire));
        group.bench_function(BenchmarkId::new("bodies_of", body_len), |bencher| {
            bencher.iter(|| {
                let mut end = 0;
                for body in black_box(messages) {
                    end += body.encode(&mut buf[end..]).expect("the buffer takes the whole run");
                }
                black_box(&buf[..end]).len()
            });
        });
        group.bench_function(BenchmarkId::new("memcpy_instead_of", body_len), |bencher| {
            bencher.iter(|| {
                buf.copy_from_slice(black_box(&wire));
                black_box(&buf[..]).len()
            });
        });
    }
}

criterion_group!(benches, split, decode, encode);
criterion_main!(benches);

const READ_LEN: usize = 64 * 1024;

const BODY_LENS: [usize; 3] = [8, 64, 255];
