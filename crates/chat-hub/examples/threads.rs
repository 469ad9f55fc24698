//! A chat server on blocking sockets: for each client one thread reads and publishes, and another
//! one subscribes and writes.
//!
//! `cargo run -p chat-hub --example threads -- 127.0.0.1:8080`
//!
//! It keeps the rules of chat-proto's SPEC.md but for the last: a signal ends it at once.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::{env, process::ExitCode, time::Duration};

use chat_hub::{Hub, Position, Publisher, Subscriber};
use chat_proto::blocking::Reader;

fn main() -> ExitCode {
    let Some(Ok(address)) = env::args_os()
        .nth(1)
        .map(|address| address.to_string_lossy().parse())
    else {
        eprintln!("usage: threads ADDRESS");
        return ExitCode::from(2);
    };
    let Err(error) = listen(address).and_then(serve) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    io::stdout().flush()?;
    Ok(listener)
}

/// Serves whoever connects, for ever.
pub(crate) fn serve(listener: TcpListener) -> io::Result<()> {
    let hub = Hub::default();
    loop {
        let served = listener.accept().and_then(|(stream, _)| {
            let (subscriber, publisher) = (hub.subscribe(), hub.publisher());
            thread::Builder::new().spawn(move || serve_client(&stream, subscriber, publisher))
        });
        if let Err(error) = served {
            eprintln!("cannot serve a client: {error}");
            // There may be too many clients; it takes one to leave, and until then asking again at
            // once would fail again.
            thread::sleep(ACCEPT_PAUSE);
        }
    }
}

/// Serves a client until it has all it is to get or is gone. What goes wrong with it ends this
/// client and no other.
fn serve_client(
    stream: &TcpStream,
    subscriber: Subscriber,
    publisher: Publisher,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (start, end) = (subscriber.position(), OnceLock::new());
    thread::scope(|scope| {
        let writing = thread::Builder::new().spawn_scoped(scope, || {
            let written = write(stream, subscriber, &end);
            // The client sees the end; and if it was the writing that failed, this ends the
            // reading.
            stream.shutdown(Shutdown::Both).and(written)
        })?;
        end.get_or_init(|| read(stream, publisher, start));
        writing.thread().unpark();
        writing.join().expect("writing does not panic")
    })
}

/// Publishes what the client sends, until it ends or fails; returns the position behind its last
/// message.
fn read(stream: &TcpStream, mut publisher: Publisher, start: Position) -> Position {
    let (mut reader, mut end) = (Reader::new(stream), start);
    // An unfinished message at the end is an error, and discarded with it.
    while let Ok(messages) = reader.next_messages()
        && !messages.is_empty()
        && let Ok(pos) = publisher.publish_blocking(messages)
    {
        end = pos;
    }
    end
}

/// Writes what is published, up to `end` once that is known.
fn write(
    mut stream: &TcpStream,
    mut subscriber: Subscriber,
    end: &OnceLock<Position>,
) -> io::Result<()> {
    // `next_batch_blocking` would wait for messages alone; this wait is over when the client's
    // messages end, too.
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut buf = Vec::new();
    loop {
        if let Some(&end) = end.get() {
            subscriber.end_at(end);
        }
        match subscriber.poll_batch(&mut Context::from_waker(&waker)) {
            Poll::Pending => thread::park(),
            Poll::Ready(None) => return Ok(()),
            Poll::Ready(Some(batch)) => {
                // The write may wait, so it is of a copy: a batch that is held keeps the hub's
                // memory from being used again.
                buf.clear();
                for chunk in batch.chunks() {
                    buf.extend_from_slice(&chunk[..chunk.len().min(WRITE_LEN - buf.len())]);
                }
                let owed = batch.consume(buf.len());
                buf.extend(owed);
                // Nobody can ask a thread that is in a write; so nobody is to wait for it until it
                // reads again.
                subscriber.block_unasked();
                stream.write_all(&buf)?;
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// How many bytes are copied for one write, and at most 255 more. A judgement.
const WRITE_LEN: usize = 64 * 1024;

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
