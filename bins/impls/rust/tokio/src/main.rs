//! A chat server on tokio and its broadcast channel.
//!
//! - **Order.** `send` of the channel has one lock: all receivers get messages in the order in which
//!   senders had it.
//! - **A slow client** does not take from the channel, so that it fills; senders wait while it is half
//!   full. If the client's socket takes nothing for [`GRACE`], the client leaves the channel, and is
//!   back when its socket has taken what it was given: what was sent meanwhile it never gets.
//! - **Cost.** A task a client, with a buffer to read into and one to write from.
//! - **End.** All stop reading, write what is in the channel for them, and close.

use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{mpsc, watch};
use tokio::time;

/// A message as it travels: the length of its body, and the body.
type Message = Arc<[u8]>;

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
    let (end, ending) = watch::channel(());
    // It is closed when nobody accepts any more, and the last client is gone.
    let (alive, mut gone) = mpsc::channel(1);
    let room = Room {
        messages: broadcast::Sender::new(CHANNEL_LEN),
        ending,
        _alive: alive,
    };
    let accepting = tokio::spawn(accept_all(listener, room));
    next_signal().await;
    accepting.abort();
    drop(end);
    tokio::select! {
        _ = gone.recv() => Ok(()),
        () = time::sleep(DEADLINE) => Ok(()),
        () = next_signal() => Err(io::Error::other("a second signal: clients were cut off")),
    }
}

/// What clients share.
#[derive(Clone)]
struct Room {
    messages: broadcast::Sender<Message>,
    /// Its sender is dropped when the server ends.
    ending: watch::Receiver<()>,
    _alive: mpsc::Sender<()>,
}

/// Serves every client that connects.
async fn accept_all(listener: TcpListener, room: Room) {
    loop {
        match listener.accept().await {
            // It is in the room before anything of it is read, and misses nothing from then on.
            Ok((stream, _)) => {
                let messages = room.messages.subscribe();
                tokio::spawn(serve_client(stream, room.clone(), messages));
            }
            Err(error) => {
                stage::tell(format_args!("cannot accept a client: {error}"));
                // There may be too many, and it takes one to leave.
                time::sleep(GRACE).await;
            }
        }
    }
}

/// Reads and writes, until both are done. What goes wrong with a client ends this client and no other.
async fn serve_client(
    mut stream: TcpStream,
    mut room: Room,
    messages: broadcast::Receiver<Message>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = stream.split();
    let sender = room.messages.clone();
    let (has_ended, at_end) = watch::channel(());
    let reading = async {
        tokio::select! {
            // An unfinished message at the end is discarded.
            _ = broadcast_all(&mut input, &sender) => {}
            _ = room.ending.changed() => {}
        }
        drop(has_ended);
        // Closing a socket with unread bytes would reset the connection.
        tokio::io::copy(&mut input, &mut tokio::io::sink()).await
    };
    let writing = async {
        write_all(&mut output, &sender, messages, at_end).await?;
        output.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}

/// Broadcasts what a client sends, until it ends or fails.
async fn broadcast_all(
    input: impl AsyncRead + Unpin,
    messages: &broadcast::Sender<Message>,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    loop {
        let mut message = [0; 256];
        input.read_exact(&mut message[..1]).await?;
        let len = usize::from(message[0]) + 1;
        input.read_exact(&mut message[1..len]).await?;
        while messages.len() > CHANNEL_LEN / 2 {
            time::sleep(RETRY_PAUSE).await;
        }
        // There is a receiver, or nobody is left to be told.
        _ = messages.send(message[..len].into());
    }
}

/// Writes what the channel has, as much at once as is there, until the client has ended and has all
/// that was sent before.
async fn write_all(
    mut output: impl AsyncWrite + Unpin,
    sender: &broadcast::Sender<Message>,
    mut messages: broadcast::Receiver<Message>,
    mut at_end: watch::Receiver<()>,
) -> io::Result<()> {
    let mut batch = Vec::new();
    loop {
        let is_next = tokio::select! {
            biased;
            message = messages.recv() => match message {
                Ok(message) => { batch.extend_from_slice(&message); true }
                // Only whoever does not keep up gets here. It goes on behind the gap.
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => false,
            },
            _ = at_end.changed() => false,
        };
        if !is_next {
            return Ok(());
        }
        while batch.len() < BATCH_LEN
            && let Ok(message) = messages.try_recv()
        {
            batch.extend_from_slice(&message);
        }
        let mut writing = pin!(output.write_all(&batch));
        if let Ok(written) = time::timeout(GRACE, &mut writing).await {
            written?;
        } else {
            // It does not keep up, and nobody is to wait for it.
            drop(messages);
            writing.await?;
            messages = sender.subscribe();
        }
        batch.clear();
    }
}

/// How many messages the channel holds. A judgement: 16 MiB at most.
const CHANNEL_LEN: usize = 65_536;

/// How long a client's socket may take nothing, or too little, until nobody waits for the client any
/// more. A judgement.
const GRACE: Duration = Duration::from_millis(100);

/// How long to wait before a full channel is looked at again. A judgement: short beside the grace.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// How many bytes are written at once, or a message more. A judgement.
const BATCH_LEN: usize = 64 * 1024;

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
