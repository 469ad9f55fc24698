//! A chat server on async-std: for each client one task reads, and another one writes.
//!
//! `cargo run -p chat-hub --example tasks -- 127.0.0.1:8080`
//!
//! It shows the hub. To serve clients over any `futures-io` stream, take chat-session: one read
//! buffer a thread instead of a client, and no half of a client is polled for the other's sake. It
//! keeps the rules of chat-proto's SPEC.md but for the last: a signal ends it at once.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::{env, pin::Pin, process::ExitCode, time::Duration};

use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use chat_hub::{Config, Publisher, Subscriber, WriteError};
use chat_proto::futures_io::Reader;
use futures::io::AsyncWrite;

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

/// Serves every client that connects, for ever.
pub(crate) fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from(listener);
    let (hub, clock) = Config::default()
        .build_with_clock()
        .map_err(io::Error::other)?;
    task::spawn(clock.keep_time(task::sleep));
    task::block_on(async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    task::spawn(serve_client(stream, hub.subscribe(), hub.publisher()));
                }
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

/// Serves a client until it has all it is to get or is gone. What goes wrong with it ends this
/// client and no other.
async fn serve_client(
    stream: TcpStream,
    subscriber: Subscriber,
    mut publisher: Publisher,
) -> Result<(), WriteError> {
    stream.set_nodelay(true)?;
    let mut writer = subscriber.into_writer();
    let (ender, reading) = (writer.ender(), stream.clone());
    task::spawn(async move {
        read(&reading, &mut publisher).await;
        ender.end_at(publisher.position());
    });
    let written = writer
        .write(|cx, slices| Pin::new(&mut &stream).poll_write_vectored(cx, slices))
        .await;
    // The client sees the end; and if it was the writing that failed, this ends the reading.
    stream.shutdown(Shutdown::Both)?;
    written
}

/// Publishes what the client sends, until it ends or fails.
async fn read(stream: &TcpStream, publisher: &mut Publisher) {
    let (mut reader, mut turn_len) = (Reader::new(stream), 0);
    // An unfinished message at the end is an error, and discarded with it.
    while let Ok(mut messages) = reader.next_messages().await
        && !messages.is_empty()
    {
        turn_len += messages.as_bytes().len();
        if publisher.publish(&mut messages).await.is_err() {
            break;
        }
        if turn_len >= TURN_LEN {
            // A client that floods starves neither its own echo nor other clients.
            task::yield_now().await;
            turn_len = 0;
        }
    }
}

/// After how many bytes of a client it is others' turn. A judgement.
const TURN_LEN: usize = 64 * 1024;

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
