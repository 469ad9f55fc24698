//! A chat server of actors: one is the room, and each client is one. What actors tell each other waits
//! in their mailboxes, and each handles one message after another.
//!
//! - **Order.** There is one room. It tells all clients of a message before it handles the next one.
//! - **A slow client** lets its mailbox fill. The room waits for it, and so do senders, whose messages
//!   wait for the room; if it does not take half of that within [`GRACE`], it lags, and is told nothing
//!   more until its mailbox is empty.
//! - **Cost.** Two tasks a client, a box for each delivery, and a wake-up for each that finds the client
//!   waiting.
//! - **End.** An actor whose references are gone handles what is in its mailbox and stops. So a client that
//!   leaves the room, and all when the room stops, write what is left and close their connections.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kameo::Actor;
use kameo::actor::{ActorId, ActorRef, Spawn, WeakActorRef};
use kameo::error::{ActorStopReason, Infallible};
use kameo::mailbox;
use kameo::message::{Context, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Sender};
use tokio::time;

fn main() -> ExitCode {
    stage::run(|listener| Runtime::new()?.block_on(serve(listener)))
}

async fn serve(listener: TcpListener) -> io::Result<()> {
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
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Room::spawn_with_mailbox(Room::default(), mailbox::bounded(MAILBOX_LEN));
    // It is closed when nobody accepts any more, and the last client is gone.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let accepting = tokio::spawn(accept_all(listener, room.clone(), alive));
    next_signal().await;
    accepting.abort();
    let end = async {
        // It handles what is in its mailbox before.
        _ = room.stop_gracefully().await;
        gone.recv().await
    };
    tokio::select! {
        _ = end => Ok(()),
        () = time::sleep(DEADLINE) => Ok(()),
        () = next_signal() => Err(io::Error::other("a second signal: clients were cut off")),
    }
}

/// Serves every client that connects.
async fn accept_all(listener: tokio::net::TcpListener, room: ActorRef<Room>, alive: Sender<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => _ = tokio::spawn(serve_client(stream, room.clone(), alive.clone())),
            Err(error) => {
                stage::tell(format_args!("cannot accept a client: {error}"));
                // There may be too many, and it takes one to leave.
                time::sleep(GRACE).await;
            }
        }
    }
}

/// Has a client join the room, and reads for it. What goes wrong with it ends this client and no other.
async fn serve_client(stream: TcpStream, room: ActorRef<Room>, alive: Sender<()>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (mut reader, writer) = stream.into_split();
    let client = Client {
        writer: BufWriter::with_capacity(BATCH_LEN, writer),
        _alive: alive.clone(),
    };
    let client = Client::spawn_with_mailbox(client, mailbox::bounded(MAILBOX_LEN));
    let id = client.id();
    // The room handles this before anything that is read: the client gets all from its own first message on.
    if room.tell(Join(client)).send().await.is_ok() {
        // An unfinished message at the end is discarded.
        _ = read_all(&mut reader, &room).await;
        _ = room.tell(Leave(id)).send().await;
    }
    // What comes when the room is gone, until the client closes, too.
    _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
    drop(alive);
}

/// Tells the room what a client sends, until it ends or fails, or the room is gone.
async fn read_all(reader: &mut OwnedReadHalf, room: &ActorRef<Room>) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    loop {
        let mut message = [0; 256];
        reader.read_exact(&mut message[..1]).await?;
        let len = usize::from(message[0]) + 1;
        reader.read_exact(&mut message[1..len]).await?;
        let broadcast = Broadcast(message[..len].into());
        room.tell(broadcast)
            .send()
            .await
            .map_err(io::Error::other)?;
    }
}

/// The clients that get messages.
#[derive(Actor, Default)]
struct Room {
    members: HashMap<ActorId, Member>,
}

struct Join(ActorRef<Client>);

struct Leave(ActorId);

/// A message as it travels: the length of its body, and the body.
struct Broadcast(Arc<[u8]>);

impl Message<Join> for Room {
    type Reply = ();

    async fn handle(&mut self, Join(client): Join, _: &mut Context<Self, ()>) {
        let member = Member {
            lags: false,
            client,
        };
        self.members.insert(member.client.id(), member);
    }
}

impl Message<Leave> for Room {
    type Reply = ();

    async fn handle(&mut self, Leave(id): Leave, _: &mut Context<Self, ()>) {
        self.members.remove(&id);
    }
}

impl Message<Broadcast> for Room {
    type Reply = ();

    /// This is the one order: the room handles nothing else meanwhile.
    async fn handle(&mut self, Broadcast(message): Broadcast, _: &mut Context<Self, ()>) {
        for member in self.members.values_mut() {
            if member.keeps_up().await {
                // A client that is gone leaves the room when its reader finds out.
                let delivery = Deliver(Arc::clone(&message));
                _ = member.client.tell(delivery).try_send();
            }
        }
    }
}

/// A client, as the room knows it.
struct Member {
    client: ActorRef<Client>,
    /// Whether it is told nothing until its mailbox is empty.
    lags: bool,
}

impl Member {
    /// Waits until there is room in its mailbox, but no longer than for the grace. Tells whether it keeps up.
    async fn keeps_up(&mut self) -> bool {
        if self.lags {
            self.lags = self.room() < MAILBOX_LEN;
        } else if self.room() == 0 {
            let start = Instant::now();
            while self.room() < MAILBOX_LEN / 2 && start.elapsed() < GRACE {
                time::sleep(RETRY_PAUSE).await;
            }
            self.lags = self.room() < MAILBOX_LEN / 2;
        }
        !self.lags
    }

    fn room(&self) -> usize {
        room_of(&self.client)
    }
}

/// Writes to a client.
struct Client {
    writer: BufWriter<OwnedWriteHalf>,
    _alive: Sender<()>,
}

struct Deliver(Arc<[u8]>);

impl Actor for Client {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(client: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(client)
    }

    async fn on_stop(
        &mut self,
        _: WeakActorRef<Self>,
        _: ActorStopReason,
    ) -> Result<(), Infallible> {
        // The client sees the end, unless it is gone.
        _ = self.writer.shutdown().await;
        Ok(())
    }
}

impl Message<Deliver> for Client {
    type Reply = ();

    async fn handle(&mut self, Deliver(message): Deliver, context: &mut Context<Self, ()>) {
        let is_last = room_of(context.actor_ref()) == MAILBOX_LEN;
        let mut written = self.writer.write_all(&message).await;
        if is_last && written.is_ok() {
            written = self.writer.flush().await;
        }
        if written.is_err() {
            context.stop();
        }
    }
}

/// Returns for how many messages there is room in a client's mailbox.
fn room_of(client: &ActorRef<Client>) -> usize {
    let capacity = client.mailbox_sender().capacity();
    capacity.expect("its mailbox is bounded")
}

/// How many messages wait in a mailbox at most. A judgement: some milliseconds of a flood.
const MAILBOX_LEN: usize = 1024;

/// How long the room waits for a client until half of its mailbox is taken. A judgement.
const GRACE: Duration = Duration::from_millis(100);

/// How long to wait before a full mailbox is looked at again. A judgement: short beside the grace.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// How many bytes are written at once. A judgement: more at once is no faster.
const BATCH_LEN: usize = 64 * 1024;

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
