//! One server under floods and faults for a long time: the order is proved all the time, and memory
//! and descriptors must stay what they were.
//!
//! ```text
//! cargo build --release -p chat-server
//! cargo run --release -p chat-faults --example soak -- target/release/chat-server --minutes 30
//! ```
//!
//! `--seed N` begins with another seed, `--rest SECONDS` leaves some time between rounds, where others
//! need the machine too. In each round some rooms are played beside each other, each
//! with a flood, joiners, leavers, stalled, slow and resetting clients, while others stay for all
//! the time: one that reads everything, and some that never read. Clients over TLS come and go
//! meanwhile.

mod tls;

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chat_faults::{Facts, Fault, Schedule, Target, judge, run};

use crate::tls::{Certificate, Visitor};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args = Args::parse()?;
    let certificate = Certificate::new()?;
    let server_args = [&["--log-bytes=1048576".to_owned()], &certificate.args()[..]].concat();
    let server_args: Vec<&str> = server_args.iter().map(String::as_str).collect();
    let mut server = Target::start(Path::new(&args.server), &server_args)?;
    let tls_addr = server.tls_addr()?;
    let _sleepers = (0..SLEEPER_COUNT)
        .map(|_| sleep(&server))
        .collect::<Result<Vec<_>, _>>()?;
    let (is_over, reader_len) = (AtomicBool::new(false), AtomicU64::new(0));
    let reader = TcpStream::connect(server.addr())?;
    thread::scope(|scope| {
        let reading = scope.spawn(|| read_all(&reader, &reader_len, &is_over));
        let visiting = (0..VISITOR_COUNT).map(|number| {
            let visitor = Visitor::new(number, tls_addr, certificate.client_config());
            scope.spawn(|| visitor.come_and_go(&is_over))
        });
        let visiting: Vec<_> = visiting.collect();
        let soaked = soak(&args, &server, &reader_len);
        is_over.store(true, Ordering::Relaxed);
        reading.join().expect("reading does not panic")?;
        for (number, visitor) in visiting.into_iter().enumerate() {
            let visits = visitor.join().expect("a visitor does not panic")?;
            println!("visitor {number} over TLS: {visits}");
        }
        soaked
    })
}

struct Args {
    server: String,
    time: Duration,
    rest: Duration,
    seed: u64,
}

impl Args {
    fn parse() -> Result<Self, Failure> {
        let mut args = std::env::args().skip(1);
        let server = args
            .next()
            .ok_or("the first argument is the server's executable")?;
        let (mut minutes, mut rest, mut seed) = (1.0, 0.0, 0);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--minutes" => minutes = value.parse()?,
                "--rest" => rest = value.parse()?,
                "--seed" => seed = value.parse()?,
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        Ok(Self {
            server,
            time: Duration::from_secs_f64(60.0 * minutes),
            rest: Duration::from_secs_f64(rest),
            seed,
        })
    }
}

/// What one round left behind.
struct Round {
    rss_kib: u64,
    descriptor_count: usize,
}

/// Plays rounds until the time is over.
fn soak(args: &Args, server: &Target, reader_len: &AtomicU64) -> Result<(), Failure> {
    let start = Instant::now();
    let mut told = start;
    let (mut total, mut seed) = (Facts::default(), args.seed);
    let mut rounds: Vec<Round> = Vec::new();
    while start.elapsed() < args.time || rounds.len() < ROUND_COUNT_MIN {
        let descriptor_count = server.descriptor_count()?;
        for facts in play(server, seed)? {
            total.delivered += facts.delivered;
            total.missed += facts.missed;
            total.resets += facts.resets;
            total.closed += facts.closed;
        }
        seed += ROOM_COUNT;
        thread::sleep(args.rest);
        rounds.push(Round {
            rss_kib: server.rss_kib()?,
            descriptor_count: server.wait_for_descriptors(descriptor_count)?,
        });
        if told.elapsed() > TELL_PERIOD || start.elapsed() >= args.time {
            told = Instant::now();
            tell(
                start.elapsed(),
                &rounds,
                total,
                reader_len.load(Ordering::Relaxed),
            );
        }
    }
    judge_rounds(&rounds)
}

/// Plays rooms beside each other.
fn play(server: &Target, first: u64) -> Result<Vec<Facts>, Failure> {
    let play = |seed| -> Result<Facts, (u64, Fault)> {
        let schedule = Schedule::draw(seed)
            .with_floods(1)
            .on_shared_server(RATE_MIN);
        let reports = run(&schedule, server.addr(), || {});
        judge(&schedule, &reports).map_err(|fault| (seed, fault))
    };
    thread::scope(|scope| {
        let rooms: Vec<_> = (first..first + ROOM_COUNT)
            .map(|seed| scope.spawn(move || play(seed)))
            .collect();
        let rooms = rooms
            .into_iter()
            .map(|room| room.join().expect("a room does not panic"));
        rooms
            .map(|facts| facts.map_err(|(seed, fault)| format!("seed {seed}: {fault}").into()))
            .collect()
    })
}

fn tell(elapsed: Duration, rounds: &[Round], total: Facts, reader_len: u64) {
    if let Some(Round {
        rss_kib,
        descriptor_count,
    }) = rounds.last()
    {
        println!(
            "{:.0?}: {} rounds, {rss_kib} KiB, {descriptor_count} descriptors, {} delivered, \
             {} missed, {} reset, {} closed in order; the reader took {} MiB",
            elapsed,
            rounds.len(),
            total.delivered,
            total.missed,
            total.resets,
            total.closed,
            reader_len >> 20,
        );
    }
}

/// Holds the later rounds to the earlier ones.
fn judge_rounds(rounds: &[Round]) -> Result<(), Failure> {
    let (early, late) = rounds.split_at(rounds.len() / 4);
    let first = early.first().map_or(0, |round| round.descriptor_count);
    // Each visitor is away for a moment now and then, or there again before it has been forgotten.
    let is_other = |round: &&Round| round.descriptor_count.abs_diff(first) > 2 * VISITOR_COUNT;
    if let Some(round) = rounds.iter().find(is_other) {
        return Err(format!("{} descriptors instead of {first}", round.descriptor_count).into());
    }
    let peak = |rounds: &[Round]| rounds.iter().map(|round| round.rss_kib).max().unwrap_or(0);
    let (early, late) = (peak(early), peak(late));
    println!("memory: {early} KiB in the first quarter of the rounds, {late} KiB after it");
    if late > early + GROWTH_KIB_MAX {
        return Err("memory is not flat".into());
    }
    println!("memory and descriptors are flat, and the order was kept");
    Ok(())
}

/// Connects a client that never reads.
fn sleep(server: &Target) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(server.addr())?;
    stream.write_all(&[0])?;
    Ok(stream)
}

/// Reads everything, as whole messages, until it is over.
fn read_all(mut stream: &TcpStream, len: &AtomicU64, is_over: &AtomicBool) -> Result<(), Failure> {
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut buf = vec![0; 1 << 16];
    while !is_over.load(Ordering::Relaxed) {
        match stream.read(&mut buf) {
            Ok(0) => return Err("the server closed the one that reads everything".into()),
            Ok(read) => _ = len.fetch_add(read as u64, Ordering::Relaxed),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// How many never read.
const SLEEPER_COUNT: usize = 10;

/// How many come and go over TLS.
const VISITOR_COUNT: usize = 3;

/// How many rooms there are at a time.
const ROOM_COUNT: u64 = 4;

/// How many rounds there are at least, so that there is something to compare.
const ROUND_COUNT_MIN: usize = 8;

/// What a room's clients take in a second at least: the log in ten seconds.
const RATE_MIN: NonZeroU64 = NonZeroU64::new(100_000).expect("it is not 0");

/// How much more memory may be resident later: what allocators keep. A judgement; a leak of a
/// hundred bytes a client would be more in half an hour.
const GROWTH_KIB_MAX: u64 = 2048;

const TELL_PERIOD: Duration = Duration::from_secs(15);
