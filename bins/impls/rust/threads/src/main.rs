//! A chat server on threads and channels: for each client one thread reads and broadcasts, and another
//! one writes what comes out of the client's channel.
//!
//! - **Order.** The room is behind a lock, and whoever broadcasts has it until the message is in all
//!   channels. So all channels have all messages in the same order.
//! - **A slow client** lets its channel fill. Senders wait for it, with the lock, so that nobody can
//!   overtake; if it does not take half of that within [`GRACE`], it lags, and gets nothing more until it has taken all
//!   that is in its channel.
//! - **Cost.** Two threads a client, and a wake-up of one of them for each message to a client that
//!   waits.
//! - **End.** Whoever leaves the room drops the sending end of its channel; the writer takes what is
//!   left, and closes the connection.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use std::{iter, thread};

/// A message as it travels: the length of its body, and the body.
type Message = Arc<[u8]>;

fn main() -> ExitCode {
    stage::run(serve)
}

fn serve(listener: TcpListener) -> io::Result<()> {
    let wait_for_signal = stage::ending()?;
    stage::ready(&listener)?;
    // It is disconnected when the room is closed, and the last of its clients is gone.
    let (alive, gone) = mpsc::channel();
    let clients = HashMap::new();
    let room = Arc::new(RwLock::new(Some(Room { clients, alive })));
    let accepting = Arc::clone(&room);
    thread::Builder::new().spawn(move || accept_all(&listener, &accepting))?;
    wait_for_signal();
    // Nobody is in the room any more: writers write what is left, and readers read for nothing.
    room.write().expect(NO_PANIC).take();
    while gone.recv_timeout(DEADLINE).is_ok() {}
    Ok(())
}

/// Serves every client that connects, until the room is closed.
fn accept_all(listener: &TcpListener, room: &Arc<Shared>) {
    for key in 0.. {
        let room = Arc::clone(room);
        let served = listener.accept().and_then(|(stream, _)| {
            thread::Builder::new().spawn(move || serve_client(key, &stream, &room))
        });
        if let Err(error) = served {
            stage::tell(format_args!("cannot serve a client: {error}"));
            // There may be too many, and it takes one to leave.
            thread::sleep(GRACE);
        }
    }
}

/// Has one thread read and this one write, until both are done. What goes wrong with a client ends this
/// client and no other.
fn serve_client(key: u64, stream: &TcpStream, room: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (channel, messages) = mpsc::sync_channel(CHANNEL_LEN);
    let waiting = Arc::new(AtomicUsize::new(0));
    let client = Client {
        channel,
        waiting: Arc::clone(&waiting),
        lags: AtomicBool::new(false),
    };
    // Before anything of it is read: it gets all from its own first message on.
    let joined = room
        .write()
        .expect(NO_PANIC)
        .as_mut()
        .map(|room| room.join(key, client));
    let Some(_alive) = joined else {
        return Ok(());
    };
    thread::scope(|scope| {
        thread::Builder::new().spawn_scoped(scope, || {
            // An unfinished message at the end is discarded.
            _ = read_all(stream, room);
            if let Some(room) = &mut *room.write().expect(NO_PANIC) {
                room.clients.remove(&key);
            }
        })?;
        let written = write_all(stream, &messages, &waiting);
        // The client sees the end; and if the writing failed, this ends the reading.
        let how = if written.is_ok() {
            Shutdown::Write
        } else {
            Shutdown::Both
        };
        stream.shutdown(how)
    })
}

/// Broadcasts what a client sends, until it ends or fails.
fn read_all(stream: &TcpStream, room: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut message = [0; 256];
        stream.read_exact(&mut message[..1])?;
        let len = usize::from(message[0]) + 1;
        stream.read_exact(&mut message[1..len])?;
        // Nobody changes the room here, and yet others have to wait: this is the one order.
        if let Some(room) = &*room.write().expect(NO_PANIC) {
            room.broadcast(&message[..len]);
        }
    }
}

/// Writes what comes out of a channel, as much at once as is there, until nobody can put more into it.
fn write_all(
    mut stream: &TcpStream,
    messages: &Receiver<Message>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    let mut batch = Vec::new();
    while let Ok(first) = messages.recv() {
        batch.clear();
        let mut count = 0;
        for message in iter::once(first).chain(messages.try_iter()) {
            batch.extend_from_slice(&message);
            count += 1;
            if batch.len() > BATCH_LEN {
                break;
            }
        }
        stream.write_all(&batch)?;
        waiting.fetch_sub(count, Ordering::Release);
    }
    Ok(())
}

/// The room, until the server ends.
type Shared = RwLock<Option<Room>>;

/// The clients that get messages.
struct Room {
    clients: HashMap<u64, Client>,
    /// Each client has one of these as long as it is served.
    alive: Sender<()>,
}

impl Room {
    fn join(&mut self, key: u64, client: Client) -> Sender<()> {
        self.clients.insert(key, client);
        self.alive.clone()
    }

    /// Puts a message into the channel of each client that keeps up.
    fn broadcast(&self, message: &[u8]) {
        let message = Message::from(message);
        for client in self.clients.values().filter(|client| client.keeps_up()) {
            client.waiting.fetch_add(1, Ordering::Relaxed);
            // A client that is gone leaves the room when its reader finds out.
            _ = client.channel.try_send(Arc::clone(&message));
        }
    }
}

struct Client {
    channel: SyncSender<Message>,
    /// How many messages it was sent that are not written.
    waiting: Arc<AtomicUsize>,
    /// Whether it gets nothing until all of these are written. Only whoever has the lock uses it.
    lags: AtomicBool,
}

impl Client {
    /// Waits until its channel has room, but no longer than for the grace, and tells whether it keeps up.
    fn keeps_up(&self) -> bool {
        // Pairs with the writer's release: what it has written is out of the channel.
        let waiting = || self.waiting.load(Ordering::Acquire);
        let mut lags = self.lags.load(Ordering::Relaxed);
        if lags {
            lags = waiting() > 0;
        } else if waiting() >= CHANNEL_LEN {
            let start = Instant::now();
            while waiting() > CHANNEL_LEN / 2 && start.elapsed() < GRACE {
                thread::sleep(RETRY_PAUSE);
            }
            lags = waiting() > CHANNEL_LEN / 2;
        }
        self.lags.store(lags, Ordering::Relaxed);
        !lags
    }
}

/// How many messages wait for a client at most. A judgement: some milliseconds of a flood.
const CHANNEL_LEN: usize = 1024;

/// How long senders wait for a client until half of its channel is taken. A judgement.
const GRACE: Duration = Duration::from_millis(100);

/// How long to wait before a full channel is looked at again. A judgement: short beside the grace.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// How many bytes are written at once, or a message more. A judgement: larger ones are no faster.
const BATCH_LEN: usize = 64 * 1024;

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);

/// Why the lock is not poisoned.
const NO_PANIC: &str = "nothing panics with the room";
