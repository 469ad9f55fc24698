//! A chat server on blocking threads: for each client one reads and publishes to chat-hub, and another
//! one subscribes and writes.
//!
//! - **Order.** The hub has one log; a reader appends what one read brought, under the hub's lock.
//! - **A slow client** is a cursor into the log that stays behind. Senders wait for it as long as it
//!   takes 8 MiB a second; then it lags, and loses the oldest messages when the log is full.
//! - **Cost.** Two threads a client. Nothing is queued for it.
//! - **End.** Closing the hub has writers write what is left; readers read on for nothing until the
//!   client closes, too: closing a socket with unread bytes would reset the connection.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chat_hub::{Config, Hub, Publisher};
use chat_proto::blocking::Reader;

fn main() -> ExitCode {
    stage::run(serve)
}

fn serve(listener: TcpListener) -> io::Result<()> {
    let wait_for_signal = stage::ending()?;
    stage::ready(&listener)?;
    let (hub, clock) = Config::default()
        .build_with_clock()
        .map_err(io::Error::other)?;
    thread::Builder::new().spawn(|| clock.keep_time_blocking(thread::sleep))?;
    // It is disconnected when nobody is served any more, and the last client is gone.
    let (alive, gone) = mpsc::channel();
    let alive = Arc::new(Mutex::new(Some(alive)));
    let (accepting, serving) = (hub.clone(), Arc::clone(&alive));
    thread::Builder::new().spawn(move || accept_all(&listener, &accepting, &serving))?;
    wait_for_signal();
    hub.close();
    alive.lock().expect(NO_PANIC).take();
    while gone.recv_timeout(DEADLINE).is_ok() {}
    Ok(())
}

/// Serves every client that connects, as long as there is something that it can keep to tell that it
/// is alive.
fn accept_all(listener: &TcpListener, hub: &Hub, alive: &Mutex<Option<Sender<()>>>) {
    loop {
        let accepted = listener.accept();
        let Some(alive) = alive.lock().expect(NO_PANIC).clone() else {
            return;
        };
        let hub = hub.clone();
        let served = accepted.and_then(|(stream, _)| {
            thread::Builder::new().spawn(move || serve_client(&stream, &hub, &alive))
        });
        if let Err(error) = served {
            stage::tell(format_args!("cannot serve a client: {error}"));
            // There may be too many, and it takes one to leave.
            thread::sleep(ACCEPT_PAUSE);
        }
    }
}

/// Has one thread read and this one write, until both are done. What goes wrong with a client ends this
/// client and no other.
fn serve_client(mut stream: &TcpStream, hub: &Hub, _alive: &Sender<()>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = hub.subscribe().into_writer();
    let (ender, mut publisher) = (writer.ender(), hub.publisher());
    thread::scope(|scope| {
        thread::Builder::new().spawn_scoped(scope, move || {
            publish_all(stream, &mut publisher);
            ender.end_at(publisher.position());
            // What comes when the hub is closed.
            _ = io::copy(&mut stream, &mut io::sink());
        })?;
        let written = writer.write_blocking(&mut stream);
        // The client sees the end; and if the writing failed, this ends the reading.
        let how = if written.is_ok() {
            Shutdown::Write
        } else {
            Shutdown::Both
        };
        stream.shutdown(how)
    })
}

/// Publishes what a client sends, until it ends or fails, or the hub is closed.
fn publish_all(stream: &TcpStream, publisher: &mut Publisher) {
    let mut reader = Reader::new(stream);
    // An unfinished message at the end is an error, and discarded with it.
    while let Ok(mut messages) = reader.next_messages()
        && !messages.is_empty()
        && publisher.publish_blocking(&mut messages).is_ok()
    {}
}

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);

/// Why the lock is not poisoned.
const NO_PANIC: &str = "nothing panics with it";
