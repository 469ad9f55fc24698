//! A chat server on compio: one thread accepts clients and has the room, and a few others, one a processor,
//! do what clients need. The kernel is asked for an operation, and tells when it is complete.
//!
//! - **Order.** The room is one task. It gives a message to the channels of all clients before it takes the
//!   next one; no thread gives a message to its own clients first.
//! - **A slow client** lets its channel fill. The room waits for it, and so do senders, whose messages wait
//!   for the room; if it does not take half of that within [`GRACE`], it lags, and gets nothing more until
//!   its channel is empty.
//! - **Cost.** Two tasks a client, with two buffers of their own: one that the kernel reads into, and one
//!   that it writes from.
//! - **End.** The room drops the sending ends of all channels; writers take what is left, and close the
//!   connections.

use std::collections::HashMap;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::dispatcher::Dispatcher;
use compio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{self, Runtime, time};
use flume::{Receiver, Sender};

/// A message as it travels: the length of its body, and the body.
type Message = Arc<[u8]>;

fn main() -> ExitCode {
    stage::run(|listener| Runtime::new()?.block_on(serve(listener)))
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let wait_for_signal = stage::ending()?;
    // Its threads end with it, and so do the clients that they serve.
    let dispatcher = Rc::new(Dispatcher::new()?);
    stage::ready(&listener)?;
    let listener = TcpListener::from_std(listener)?;
    let (room, events) = flume::bounded(CHANNEL_LEN);
    runtime::spawn(serve_room(events)).detach();
    // It is disconnected when nobody accepts any more, and the last client is gone.
    let (alive, gone) = flume::bounded::<()>(0);
    let threads = Rc::clone(&dispatcher);
    let accepting = runtime::spawn(accept_all(listener, threads, room.clone(), alive));
    _ = runtime::spawn_blocking(wait_for_signal).await;
    accepting.cancel().await;
    let end = async {
        // It takes what is in its channel before.
        _ = room.send_async(Event::End).await;
        gone.recv_async().await
    };
    // Clients that do not take what is left are left.
    _ = time::timeout(DEADLINE, end).await;
    Ok(())
}

/// Has every client that connects served by one of the threads.
async fn accept_all(
    listener: TcpListener,
    dispatcher: Rc<Dispatcher>,
    room: Sender<Event>,
    alive: Sender<()>,
) {
    for key in 0.. {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (room, alive) = (room.clone(), alive.clone());
                // It fails only without threads.
                _ = dispatcher.dispatch(move || serve_client(key, stream, room, alive));
            }
            Err(error) => {
                stage::tell(format_args!("cannot accept a client: {error}"));
                // There may be too many, and it takes one to leave.
                time::sleep(GRACE).await;
            }
        }
    }
}

/// Has one task write and this one read, until both are done. What goes wrong with a client ends this
/// client and no other.
async fn serve_client(key: u64, stream: TcpStream, room: Sender<Event>, alive: Sender<()>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (channel, messages) = flume::bounded(CHANNEL_LEN);
    // The room takes this before anything that is read: the client gets all from its own first message on.
    if room.send_async(Event::Join(key, channel)).await.is_err() {
        return;
    }
    let writing = runtime::spawn(write_all(stream.clone(), messages));
    // An unfinished message at the end is discarded.
    _ = read_all(&stream, &room).await;
    _ = room.send_async(Event::Leave(key)).await;
    read_for_nothing(&stream).await;
    _ = writing.await;
    drop(alive);
}

/// Tells the room what a client sends, until it ends or fails, or the room is gone.
async fn read_all(stream: &TcpStream, room: &Sender<Event>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let BufResult(read, [len]) = reader.read_exact([0]).await;
        read?;
        let mut message = vec![len];
        if len > 0 {
            let body = [0; 255].slice(..usize::from(len));
            let BufResult(read, body) = reader.read_exact(body).await;
            read?;
            message.extend_from_slice(&body.into_inner()[..usize::from(len)]);
        }
        let broadcast = Event::Broadcast(message.into());
        room.send_async(broadcast).await.map_err(io::Error::other)?;
    }
}

/// Reads what comes when the room is gone, until the client closes, too: closing a socket with unread bytes
/// would reset the connection.
async fn read_for_nothing(mut stream: &TcpStream) {
    let mut buf = vec![0; 4096];
    loop {
        let BufResult(read, returned) = stream.read(buf).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        buf = returned;
    }
}

/// Writes what comes out of a channel, as much at once as is there, until nobody can put more into it.
async fn write_all(mut stream: TcpStream, messages: Receiver<Message>) {
    let mut batch = Vec::new();
    while let Ok(first) = messages.recv_async().await {
        batch.clear();
        batch.extend_from_slice(&first);
        while batch.len() < BATCH_LEN
            && let Ok(message) = messages.try_recv()
        {
            batch.extend_from_slice(&message);
        }
        let BufResult(written, returned) = stream.write_all(batch).await;
        if written.is_err() {
            return;
        }
        batch = returned;
    }
    // The client sees the end, unless it is gone.
    _ = stream.shutdown().await;
}

/// What the room is told.
enum Event {
    Join(u64, Sender<Message>),
    Leave(u64),
    Broadcast(Message),
    End,
}

/// Gives each message to all clients. This is the one order: nobody else does.
async fn serve_room(events: Receiver<Event>) {
    let mut members = HashMap::new();
    while let Ok(event) = events.recv_async().await {
        match event {
            Event::Join(key, channel) => {
                let member = Member {
                    channel,
                    lags: false,
                };
                members.insert(key, member);
            }
            Event::Leave(key) => _ = members.remove(&key),
            Event::Broadcast(message) => {
                for member in members.values_mut() {
                    if member.keeps_up().await {
                        // A client that is gone leaves the room when its reader finds out.
                        _ = member.channel.try_send(Arc::clone(&message));
                    }
                }
            }
            Event::End => return,
        }
    }
}

/// A client, as the room knows it.
struct Member {
    channel: Sender<Message>,
    /// Whether it gets nothing until its channel is empty.
    lags: bool,
}

impl Member {
    /// Waits until its channel has room, but no longer than for the grace. Tells whether it keeps up.
    async fn keeps_up(&mut self) -> bool {
        if self.lags {
            self.lags = !self.channel.is_empty();
        } else if self.channel.is_full() {
            let start = Instant::now();
            while self.channel.len() > CHANNEL_LEN / 2 && start.elapsed() < GRACE {
                time::sleep(RETRY_PAUSE).await;
            }
            self.lags = self.channel.len() > CHANNEL_LEN / 2;
        }
        !self.lags
    }
}

/// How many messages wait in a channel at most. A judgement: some milliseconds of a flood.
const CHANNEL_LEN: usize = 1024;

/// How long the room waits for a client until half of its channel is taken. A judgement.
const GRACE: Duration = Duration::from_millis(100);

/// How long to wait before a full channel is looked at again. A judgement: short beside the grace.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// How many bytes are written at once, or a message more. A judgement: larger ones are no faster.
const BATCH_LEN: usize = 64 * 1024;

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
