//! A chat server on stackful coroutines: for each client one reads and broadcasts, and another one writes
//! what comes out of the client's channel. It reads like one on threads; a call that would block gives the
//! thread to another coroutine.
//!
//! - **Order.** The room is behind a lock, and a coroutine that broadcasts has it until the message is in
//!   all channels. So all channels have all messages in the same order.
//! - **A slow client** lets its channel fill. Senders wait for it, with the lock, so that nobody can
//!   overtake; if it does not take half of that within [`GRACE`], it lags, and gets nothing more until it
//!   has taken all that is in its channel.
//! - **Cost.** Two coroutines a client, each a stack of 32 KiB, of which it uses some pages. A switch is a
//!   few dozen instructions, without the kernel.
//! - **End.** A client that leaves the room, and all when the room is closed, lose the sending end of their
//!   channel; the writer takes what is left, and closes the connection.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::iter;
use std::net::Shutdown;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as threads;
use std::time::{Duration, Instant};

use may::net::{TcpListener, TcpStream};
use may::sync::Mutex;
use may::sync::mpsc::{self, Receiver, Sender};
use may::{coroutine, go};

/// A message as it travels: the length of its body, and the body.
type Message = Arc<[u8]>;

fn main() -> ExitCode {
    stage::run(serve)
}

fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let wait_for_signal = stage::ending()?;
    // may makes its own listener; meanwhile the address is free, but nobody knows it yet.
    let address = listener.local_addr()?;
    drop(listener);
    let listener = TcpListener::bind(address)?;
    // It is disconnected when the room is closed, and the last of its clients is gone.
    let (alive, gone) = threads::channel();
    let clients = HashMap::new();
    let room = Arc::new(Mutex::new(Some(Room { clients, alive })));
    let accepting = Arc::clone(&room);
    stage::ready(listener.inner())?;
    go!(move || accept_all(&listener, &accepting));
    wait_for_signal();
    // Nobody is in the room any more: writers write what is left, and readers read for nothing.
    room.lock().expect(NO_PANIC).take();
    while gone.recv_timeout(DEADLINE).is_ok() {}
    Ok(())
}

/// Serves every client that connects, until the room is closed.
fn accept_all(listener: &TcpListener, room: &Arc<Shared>) {
    for key in 0.. {
        match listener.accept() {
            Ok((stream, _)) => {
                let room = Arc::clone(room);
                // What goes wrong with a client ends this client and no other.
                go!(move || _ = serve_client(key, stream, &room));
            }
            Err(error) => {
                stage::tell(format_args!("cannot accept a client: {error}"));
                // There may be too many, and it takes one to leave.
                coroutine::sleep(GRACE);
            }
        }
    }
}

/// Has one coroutine write and this one read, until both are done.
fn serve_client(key: u64, stream: TcpStream, room: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (channel, messages) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let client = Client {
        channel,
        waiting: Arc::clone(&waiting),
        lags: false,
    };
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    // Before anything of it is read: it gets all from its own first message on.
    let mut joining = room.lock().expect(NO_PANIC);
    let Some(_alive) = joining.as_mut().map(|room| room.join(key, client)) else {
        return Ok(());
    };
    drop(joining);
    let writing = go!(move || {
        let written = write_all(&mut writer, &messages, &waiting);
        // The client sees the end; and if the writing failed, this ends the reading.
        let how = if written.is_ok() {
            Shutdown::Write
        } else {
            Shutdown::Both
        };
        _ = writer.shutdown(how);
    });
    // An unfinished message at the end is discarded.
    _ = read_all(&mut reader, room);
    if let Some(room) = &mut *room.lock().expect(NO_PANIC) {
        room.clients.remove(&key);
    }
    _ = writing.join();
    Ok(())
}

/// Broadcasts what a client sends, until it ends or fails. When the room is closed it reads on for nothing:
/// closing a socket with unread bytes would reset the connection.
fn read_all(reader: &mut BufReader<TcpStream>, room: &Shared) -> io::Result<()> {
    loop {
        let mut message = [0; 256];
        reader.read_exact(&mut message[..1])?;
        let len = usize::from(message[0]) + 1;
        reader.read_exact(&mut message[1..len])?;
        if let Some(room) = &mut *room.lock().expect(NO_PANIC) {
            room.broadcast(&message[..len]);
        }
    }
}

/// Writes what comes out of a channel, as much at once as is there, until nobody can put more into it.
fn write_all(
    stream: &mut TcpStream,
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
type Shared = Mutex<Option<Room>>;

/// The clients that get messages.
struct Room {
    clients: HashMap<u64, Client>,
    /// Each client has one of these as long as it is served.
    alive: threads::Sender<()>,
}

impl Room {
    fn join(&mut self, key: u64, client: Client) -> threads::Sender<()> {
        self.clients.insert(key, client);
        self.alive.clone()
    }

    /// Puts a message into the channel of each client that keeps up. This is the one order: nobody else
    /// can do so meanwhile.
    fn broadcast(&mut self, message: &[u8]) {
        let message = Message::from(message);
        for client in self.clients.values_mut().filter_map(Client::keeping_up) {
            client.waiting.fetch_add(1, Ordering::Relaxed);
            // A client that is gone leaves the room when its reader finds out.
            _ = client.channel.send(Arc::clone(&message));
        }
    }
}

struct Client {
    channel: Sender<Message>,
    /// How many messages it was sent that are not written.
    waiting: Arc<AtomicUsize>,
    /// Whether it gets nothing until all of these are written.
    lags: bool,
}

impl Client {
    /// Waits until its channel has room, but no longer than for the grace. Returns the client if it
    /// keeps up.
    fn keeping_up(&mut self) -> Option<&mut Self> {
        // Pairs with the writer's release: what it has written is out of the channel.
        let waiting = || self.waiting.load(Ordering::Acquire);
        if self.lags {
            self.lags = waiting() > 0;
        } else if waiting() >= CHANNEL_LEN {
            let start = Instant::now();
            while waiting() > CHANNEL_LEN / 2 && start.elapsed() < GRACE {
                coroutine::sleep(RETRY_PAUSE);
            }
            self.lags = waiting() > CHANNEL_LEN / 2;
        }
        (!self.lags).then_some(self)
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
