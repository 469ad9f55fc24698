//! A chat server on smol, each client a task that runs a session of chat-session.
//!
//! - **Order.** The hub has one log; a session appends what one read brought, under the hub's lock.
//! - **A slow client** is a cursor into the log that stays behind. Senders wait for it as long as it
//!   takes 8 MiB a second; then it lags, and loses the oldest messages when the log is full.
//! - **Cost.** A task a client, which owns no buffer while it waits.
//! - **End.** Closing the hub has every session write what is left, and close its connection.

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use chat_hub::{Config, Hub};
use chat_session::Session;
use smol::channel::{self, Sender};
use smol::future::FutureExt;
use smol::net::TcpStream;
use smol::{Async, Timer};

fn main() -> ExitCode {
    stage::run(|listener| smol::block_on(serve(listener)))
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let wait_for_signal = stage::ending()?;
    stage::ready(&listener)?;
    let listener = Async::new(listener)?.into();
    let (hub, clock) = Config::default()
        .build_with_clock()
        .map_err(io::Error::other)?;
    smol::spawn(clock.keep_time(Timer::after)).detach();
    // It is closed when nobody accepts any more, and the last client is gone.
    let (alive, gone) = channel::bounded::<()>(1);
    let accepting = smol::spawn(accept_all(listener, hub.clone(), alive));
    smol::unblock(wait_for_signal).await;
    hub.close();
    accepting.cancel().await;
    let all_gone = async { _ = gone.recv().await };
    all_gone
        .or(async { _ = Timer::after(DEADLINE).await })
        .await;
    Ok(())
}

/// Serves every client that connects.
async fn accept_all(listener: smol::net::TcpListener, hub: Hub, alive: Sender<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                smol::spawn(serve_client(stream, hub.clone(), alive.clone())).detach()
            }
            Err(error) => {
                stage::tell(format_args!("cannot accept a client: {error}"));
                // There may be too many, and it takes one to leave.
                Timer::after(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a client until it is gone. What goes wrong with it ends this client and no other.
async fn serve_client(stream: TcpStream, hub: Hub, _alive: Sender<()>) {
    if stream.set_nodelay(true).is_ok() {
        _ = Session::new(stream, &hub).await;
    }
}

/// How long to wait before accepting again after an error. A judgement.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
