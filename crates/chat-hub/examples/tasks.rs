//! A chat server on async-std: for each client one task reads and publishes, and another one
//! subscribes and writes.
//!
//! `cargo run -p chat-hub --example tasks -- 127.0.0.1:8080`
//!
//! It shows the hub. To serve clients over any `futures-io` stream, take chat-session: a single
//! task a client, fair turns, no copy on the way out, little memory for an idle client. It keeps
//! the rules of chat-proto's SPEC.md but for the last: a signal ends it at once.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::{env, pin::Pin, process::ExitCode, task::Poll, time::Duration};

use async_std::{io::WriteExt, net, task};
use chat_hub::{Batch, Hub, Position, Publisher, Subscriber};
use chat_proto::futures_io::Reader;
use futures::{FutureExt, channel::oneshot};

fn main() -> ExitCode {
    let Some(Ok(address)) = env::args_os()
        .nth(1)
        .map(|address| address.to_string_lossy().parse())
    else {
        eprintln!("usage: tasks ADDRESS");
        return ExitCode::from(2);
    };
    let Err(error) = listen(address).and_then(serve) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    io::stdout().flush()?;
    Ok(listener)
}

/// Serves whoever connects, for ever.
pub(crate) fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let (listener, hub) = (net::TcpListener::from(listener), Hub::default());
    task::block_on(async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => serve_client(stream, hub.subscribe(), hub.publisher()),
                Err(error) => {
                    eprintln!("cannot accept a client: {error}");
                    // There may be too many clients; it takes one to leave, and until then asking
                    // again at once would fail again.
                    task::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// Starts to serve a client, until it has all it is to get or is gone. What goes wrong with it ends
/// this client and no other.
fn serve_client(stream: net::TcpStream, subscriber: Subscriber, publisher: Publisher) {
    let (start, (ended, end)) = (subscriber.position(), oneshot::channel());
    let writing = stream.clone();
    task::spawn(async move { ended.send(read(&stream, publisher, start).await) });
    task::spawn(async move {
        let written = write(&writing, subscriber, end).await;
        // The client sees the end; and if it was the writing that failed, this ends the reading.
        writing.shutdown(Shutdown::Both).and(written)
    });
}

/// Publishes what the client sends, until it ends or fails; returns the position behind its last
/// message.
async fn read(stream: &net::TcpStream, mut publisher: Publisher, start: Position) -> Position {
    let (mut reader, mut end) = (Reader::new(stream), start);
    // An unfinished message at the end is an error, and discarded with it.
    while let Ok(messages) = reader.next_messages().await
        && !messages.is_empty()
        && let Ok(pos) = publisher.publish(messages).await
    {
        end = pos;
    }
    end
}

/// Writes what is published, up to `end` once that is known.
async fn write(
    mut stream: &net::TcpStream,
    mut subscriber: Subscriber,
    mut end: oneshot::Receiver<Position>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = Vec::new();
    loop {
        // `next_batch` would wait for messages alone; this wait is over when the client's messages
        // end, too.
        let copied = poll_fn(|cx| {
            if let Poll::Ready(Ok(end)) = end.poll_unpin(cx) {
                subscriber.end_at(end);
            }
            subscriber
                .poll_batch(cx)
                .map(|batch| batch.map(|batch| copy(batch, &mut buf)))
        });
        let Some(()) = copied.await else {
            return Ok(());
        };
        let mut writing = stream.write_all(&buf);
        poll_fn(|cx| {
            let poll = Pin::new(&mut writing).poll(cx);
            if poll.is_pending() {
                // The hub may ask by the same waker whether the socket is still full: then this is
                // tried again, which answers it.
                subscriber.block(cx);
            }
            poll
        })
        .await?;
    }
}

/// Copies what is to be written next, for the write may wait: a batch that is held keeps the hub's
/// memory from being used again.
fn copy(batch: Batch<'_>, buf: &mut Vec<u8>) {
    buf.clear();
    for chunk in batch.chunks() {
        buf.extend_from_slice(&chunk[..chunk.len().min(WRITE_LEN - buf.len())]);
    }
    let owed = batch.consume(buf.len());
    buf.extend(owed);
}

/// How many bytes are copied for one write, and at most 255 more. A judgement.
const WRITE_LEN: usize = 64 * 1024;

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
