//! A chat server on one thread of tokio: tasks that share by `Rc` and `RefCell`, without a lock.
//!
//! - **Order.** Whoever broadcasts adds the message to the buffers of all clients, in a loop that awaits
//!   nothing. No other task runs meanwhile.
//! - **A slow client** lets its buffer fill, and senders wait. If its socket takes too little for
//!   [`GRACE`], it lags, and gets nothing more until its socket has taken what it was given.
//! - **Cost.** A task a client, with a buffer to read into and two to write from.
//! - **End.** All stop reading, write what is in their buffers, and close.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time;

fn main() -> ExitCode {
    stage::run(|listener| {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, serve(listener))
    })
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
    let accepting = spawn_local(accept_all(listener, ending, alive));
    next_signal().await;
    accepting.abort();
    drop(end);
    tokio::select! {
        _ = gone.recv() => Ok(()),
        () = time::sleep(DEADLINE) => Ok(()),
        () = next_signal() => Err(io::Error::other("a second signal: clients were cut off")),
    }
}

/// Serves every client that connects.
async fn accept_all(listener: TcpListener, ending: watch::Receiver<()>, alive: mpsc::Sender<()>) {
    let room = Rc::new(Room::default());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (room, ending, alive) = (Rc::clone(&room), ending.clone(), alive.clone());
                // It is in the room before anything of it is read, and misses nothing from then on.
                let client = room.join();
                spawn_local(async move {
                    // What goes wrong with a client ends this client and no other.
                    _ = serve_client(stream, &room, &client, ending).await;
                    room.leave(&client);
                    drop(alive);
                });
            }
            Err(error) => {
                stage::tell(format_args!("cannot accept a client: {error}"));
                // There may be too many, and it takes one to leave.
                time::sleep(GRACE).await;
            }
        }
    }
}

/// Reads and writes, until both are done.
async fn serve_client(
    mut stream: TcpStream,
    room: &Room,
    client: &Client,
    mut ending: watch::Receiver<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = stream.split();
    let reading = async {
        tokio::select! {
            // An unfinished message at the end is discarded.
            _ = room.broadcast_all(&mut input) => {}
            _ = ending.changed() => {}
        }
        room.leave(client);
        client.has_left.set(true);
        client.changed.notify_one();
        // Closing a socket with unread bytes would reset the connection.
        tokio::io::copy(&mut input, &mut tokio::io::sink()).await
    };
    let writing = async {
        client.write_all(&mut output).await?;
        output.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}

/// The clients that get messages.
#[derive(Default)]
struct Room(RefCell<Vec<Rc<Client>>>);

impl Room {
    fn join(&self) -> Rc<Client> {
        let client = Rc::<Client>::default();
        self.0.borrow_mut().push(Rc::clone(&client));
        client
    }

    fn leave(&self, client: &Client) {
        self.0
            .borrow_mut()
            .retain(|it| !std::ptr::eq(&raw const **it, client));
    }

    /// Broadcasts what a client sends, until it ends or fails.
    async fn broadcast_all(&self, input: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut input = BufReader::new(input);
        loop {
            let mut message = [0; 256];
            input.read_exact(&mut message[..1]).await?;
            let len = usize::from(message[0]) + 1;
            input.read_exact(&mut message[1..len]).await?;
            while self.0.borrow().iter().any(|client| client.is_full()) {
                time::sleep(RETRY_PAUSE).await;
            }
            self.broadcast(&message[..len]);
        }
    }

    /// Gives a message to all clients that keep up. Nothing is awaited here: this is the one order.
    fn broadcast(&self, message: &[u8]) {
        for client in self.0.borrow().iter().filter(|client| !client.lags.get()) {
            client.buffer.borrow_mut().extend_from_slice(message);
            client.changed.notify_one();
        }
    }
}

#[derive(Default)]
struct Client {
    /// The messages that its socket was not given yet.
    buffer: RefCell<Vec<u8>>,
    /// Whether it gets no more, until its socket has taken what it was given.
    lags: Cell<bool>,
    /// Whether it is no longer in the room.
    has_left: Cell<bool>,
    /// Wakes its writer.
    changed: Notify,
}

impl Client {
    /// Tells whether senders are to wait for it.
    fn is_full(&self) -> bool {
        !self.lags.get() && self.buffer.borrow().len() > BUFFER_LEN
    }

    /// Writes what is in the buffer, until the client has left the room and has all.
    async fn write_all(&self, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
        loop {
            let batch = self.buffer.take();
            if !batch.is_empty() {
                let mut writing = pin!(output.write_all(&batch));
                if let Ok(written) = time::timeout(GRACE, &mut writing).await {
                    written?;
                } else {
                    self.lags.set(true);
                    writing.await?;
                    self.lags.set(false);
                }
            } else if self.has_left.get() {
                return Ok(());
            } else {
                self.changed.notified().await;
            }
        }
    }
}

/// From how many bytes on senders wait for a client. A judgement: some milliseconds of a flood.
const BUFFER_LEN: usize = 64 * 1024;

/// How long a client's socket may take too little until nobody waits for the client any more. A
/// judgement.
const GRACE: Duration = Duration::from_millis(100);

/// How long to wait before a full buffer is looked at again. A judgement: short beside the grace.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// How long clients have at the end to take what is left. A judgement.
const DEADLINE: Duration = Duration::from_secs(3);
