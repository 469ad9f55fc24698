//! A chat server on tokio, each client a task that runs a session of chat-session.
//!
//! - **Order.** The hub has one log; a session appends what one read brought, under the hub's lock.
//! - **A slow client** is a cursor into the log that stays behind. Senders wait for it as long as it
//!   takes 8 MiB a second; then it lags, and loses the oldest messages when the log is full.
//! - **Cost.** A task a client, which owns no buffer while it waits and may move between threads.
//! - **End.** Closing the hub has every session write what is left, and close its connection.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use chat_hub::{Config, Hub};
use chat_session::Session;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Sender};
use tokio::time;
use tokio_util::compat::TokioAsyncReadCompatExt;

fn main() -> ExitCode {
    stage::run(|listener| Runtime::new()?.block_on(serve(listener)))
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next_signal = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    stage::ready(&listener)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (hub, clock) = Config::default()
        .build_with_clock()
        .map_err(io::Error::other)?;
    tokio::spawn(clock.keep_time(time::sleep));
    // It is closed when nobody accepts any more, and the last client is gone.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let accepting = tokio::spawn(accept_all(listener, hub.clone(), alive));
    next_signal().await;
    hub.close();
    accepting.abort();
    tokio::select! {
        _ = gone.recv() => Ok(()),
        () = time::sleep(DEADLINE) => Ok(()),
        () = next_signal() => Err(io::Error::other("a second signal: clients were cut off")),
    }
}

/// Serves every client that connects.
async fn accept_all(listener: TcpListener, hub: Hub, alive: Sender<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => _ = tokio::spawn(serve_client(stream, hub.clone(), alive.clone())),
            Err(error) => {
                stage::tell(format_args!("cannot accept a client: {error}"));
                // There may be too many, and it takes one to leave.
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a client until it is gone. What goes wrong with it ends this client and no other.
async fn serve_client(stream: TcpStream, hub: Hub, _alive: Sender<()>) {
    if stream.set_nodelay(true).is_ok() {
        _ = Session::new(stream.compat(), &hub).await;
    }
}

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
