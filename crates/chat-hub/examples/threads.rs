//! A chat server on blocking sockets: for each client one thread reads and publishes, and another
//! one subscribes and writes.
//!
//! `cargo run -p chat-hub --example threads -- 127.0.0.1:8080`
//!
//! It keeps the rules of chat-proto's SPEC.md but for the last: a signal ends it at once.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::{env, process::ExitCode, thread, time::Duration};

use chat_hub::{Config, Publisher, Subscriber, WriteError};
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

/// Serves every client that connects, for ever.
pub(crate) fn serve(listener: TcpListener) -> io::Result<()> {
    let (hub, clock) = Config::default()
        .build_with_clock()
        .map_err(io::Error::other)?;
    thread::Builder::new().spawn(|| clock.keep_time_blocking(thread::sleep))?;
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
    mut stream: &TcpStream,
    subscriber: Subscriber,
    mut publisher: Publisher,
) -> Result<(), WriteError> {
    stream.set_nodelay(true)?;
    let mut writer = subscriber.into_writer();
    let ender = writer.ender();
    thread::scope(|scope| {
        thread::Builder::new().spawn_scoped(scope, move || {
            read(stream, &mut publisher);
            ender.end_at(publisher.position());
        })?;
        let written = writer.write_blocking(&mut stream);
        // The client sees the end; and if it was the writing that failed, this ends the reading.
        stream.shutdown(Shutdown::Both)?;
        written
    })
}

/// Publishes what the client sends, until it ends or fails.
fn read(stream: &TcpStream, publisher: &mut Publisher) {
    let mut reader = Reader::new(stream);
    // An unfinished message at the end is an error, and discarded with it.
    while let Ok(mut messages) = reader.next_messages()
        && !messages.is_empty()
        && publisher.publish_blocking(&mut messages).is_ok()
    {}
}

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
