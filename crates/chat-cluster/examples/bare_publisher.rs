//! What a stream takes of publishers that do nothing else: the measure for the nodes of a cluster.
//!
//! ```text
//! bare_publisher URL,… STREAM --bytes 65000 --publishers 2 --readers 2 --seconds 3 --beside ROOM
//! ```
//!
//! Each publisher has a thread and a connection of its own, as a node has: the first to the first server, and so
//! on. It publishes entries of the given length one at a time, the next when the stream has acknowledged the last
//! one. Each reader reads all entries and makes nothing of them. The stream is created if there is none, in memory
//! with three replicas (`--replicas`). With `--beside` it is deleted and created until the same server leads it as
//! another stream.
//!
//! Printed is one line of JSON: the entries and bytes that were acknowledged, the seconds that this took, and the
//! median and the 99th percentile of the time until an acknowledgement came, in microseconds.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args = Args::parse()?;
    block_on(prepare_stream(&args))??;
    let readers: Vec<_> = (0..args.reader_count)
        .map(|number| spawn(&args, move |args| block_on(read(args, number))?))
        .collect();
    let start = Instant::now();
    let publishers: Vec<_> = (0..args.publisher_count)
        .map(|number| spawn(&args, move |args| block_on(publish(args, number))?))
        .collect();
    let mut times = Vec::new();
    for publisher in publishers {
        times.extend(publisher.join().map_err(|_| "a publisher panicked")??);
    }
    let seconds = start.elapsed().as_secs_f64();
    for reader in readers {
        reader.join().map_err(|_| "a reader panicked")??;
    }
    times.sort_unstable();
    let micros = |rank: usize| times.get(rank).map_or(0, Duration::as_micros);
    let entries = times.len();
    println!(
        r#"{{"entries":{entries},"bytes":{},"seconds":{seconds:.3},"p50_us":{},"p99_us":{}}}"#,
        entries * args.len,
        micros(entries / 2),
        micros(entries * 99 / 100),
    );
    Ok(())
}

#[derive(Clone)]
struct Args {
    urls: Vec<String>,
    stream: String,
    beside: Option<String>,
    len: usize,
    publisher_count: usize,
    reader_count: usize,
    replicas: usize,
    time: Duration,
}

impl Args {
    fn parse() -> Result<Self, Failure> {
        let mut words = std::env::args().skip(1);
        let (urls, stream) = words
            .next()
            .zip(words.next())
            .ok_or("the first arguments are the URLs of NATS and the name of the stream")?;
        let mut args = Self {
            urls: urls.split(',').map(str::to_owned).collect(),
            stream,
            beside: None,
            len: 65_000,
            publisher_count: 1,
            reader_count: 0,
            replicas: 3,
            time: Duration::from_secs(3),
        };
        while let Some(name) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--bytes" => args.len = value.parse()?,
                "--publishers" => args.publisher_count = value.parse()?,
                "--readers" => args.reader_count = value.parse()?,
                "--replicas" => args.replicas = value.parse()?,
                "--beside" => args.beside = Some(value),
                "--seconds" => args.time = Duration::try_from_secs_f64(value.parse()?)?,
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        Ok(args)
    }
}

fn spawn<T: Send + 'static>(
    args: &Args,
    run: impl FnOnce(&Args) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let args = args.clone();
    thread::spawn(move || run(&args))
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

/// Connects as the publisher or the reader of that number.
async fn connect(args: &Args, number: usize) -> Result<Context, Failure> {
    let url = &args.urls[number % args.urls.len()];
    Ok(jetstream::new(async_nats::connect(url).await?))
}

async fn prepare_stream(args: &Args) -> Result<(), Failure> {
    let config = Config {
        name: args.stream.clone(),
        subjects: vec![args.stream.clone()],
        storage: StorageType::Memory,
        num_replicas: args.replicas,
        max_bytes: 128 << 20,
        duplicate_window: Duration::from_secs(120),
        ..Config::default()
    };
    let context = connect(args, 0).await?;
    context.get_or_create_stream(config.clone()).await?;
    let Some(beside) = &args.beside else {
        return Ok(());
    };
    for _ in 0..LOOK_COUNT_MAX {
        let wanted = leader(&context, beside).await?;
        match leader(&context, &args.stream).await? {
            led_by if led_by == wanted && led_by.is_some() => return Ok(()),
            Some(_) => {
                context.delete_stream(&args.stream).await?;
                context.create_stream(config.clone()).await?;
            }
            // There is an election.
            None => {}
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Err(format!(
        "the server that leads {beside} does not lead {}",
        args.stream
    )
    .into())
}

/// Returns the name of the server that leads a stream, which may be none now.
async fn leader(context: &Context, stream: &str) -> Result<Option<String>, Failure> {
    let mut stream = context.get_stream(stream).await?;
    let cluster = stream.info().await?.cluster.clone();
    Ok(cluster.and_then(|it| it.leader))
}

/// Publishes until the time is over; returns how long each acknowledgement took.
async fn publish(args: &Args, number: usize) -> Result<Vec<Duration>, Failure> {
    let context = connect(args, number).await?;
    let payload = Bytes::from(vec![0; args.len]);
    let life = std::process::id();
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < args.time {
        let id = format!("{life}-{number}-{}", times.len());
        let message = PublishMessage::build().payload(payload.clone());
        let sent = Instant::now();
        let message = message.message_id(id);
        context
            .send_publish(args.stream.clone(), message)
            .await?
            .await?;
        times.push(sent.elapsed());
    }
    Ok(times)
}

/// Reads what comes while others publish.
async fn read(args: &Args, number: usize) -> Result<(), Failure> {
    let context = connect(args, number).await?;
    let stream = context.get_stream(&args.stream).await?;
    let config = pull::Config {
        deliver_policy: jetstream::consumer::DeliverPolicy::New,
        ack_policy: AckPolicy::None,
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let entries = consumer.stream().max_messages_per_batch(64).messages();
    let mut entries = entries.await?;
    let reading = async { while entries.next().await.is_some() {} };
    // That the time is over is how it ends.
    let _ = tokio::time::timeout(args.time, reading).await;
    Ok(())
}

/// How often it is looked at who leads. Chance decides who leads a stream that is created.
const LOOK_COUNT_MAX: usize = 100;

/// How long to wait before the next look.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
