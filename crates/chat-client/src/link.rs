//! A connection that comes back.

mod connection;
mod event;

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chat_proto::{Body, Messages};

use crate::link::connection::Connection;
use crate::{Address, Backoff, ConnectError, Outstanding};

pub use event::{Event, LinkError, Received};

/// A connection to a server that connects again when it was lost.
///
/// Two threads serve it. One reads, always and at full speed, so that the client is never the one
/// that does not keep up; it hands everything to a function as [`Event`]s. The other writes what
/// [`send`](Self::send) left for it, so that nobody waits for the socket.
///
/// What is under way is bounded by [`UNDER_WAY_LEN_MAX`](Self::UNDER_WAY_LEN_MAX); received messages are
/// kept nowhere.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpListener;
/// use std::sync::mpsc;
/// use std::time::Duration;
/// use chat_client::{Address, Event, Link, LinkOptions};
/// use chat_proto::Body;
///
/// // A server that gives back the first message.
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = Address::from(listener.local_addr()?);
/// std::thread::spawn(move || -> std::io::Result<()> {
///     let (mut stream, _) = listener.accept()?;
///     let mut message = [0; 6];
///     stream.read_exact(&mut message)?;
///     stream.write_all(&message)
/// });
///
/// let (sender, receiver) = mpsc::channel();
/// let link = Link::connect(&address, LinkOptions::default(), move |event| {
///     if let Event::Received(received) = event {
///         for (body, echo) in &received {
///             let _ = sender.send((body.as_bytes().to_vec(), echo.is_some()));
///         }
///     }
/// })?;
/// link.send(Body::new(b"hello")?)?;
/// assert_eq!(receiver.recv()?, (b"hello".to_vec(), true));
/// assert_eq!(link.finish(Duration::from_secs(1)), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
}

/// How a [`Link`] connects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkOptions {
    /// How long one try to connect may take.
    pub connect_timeout: Duration,
    /// How long to wait between tries.
    pub backoff: Backoff,
    /// Whether to connect again.
    pub reconnect: Reconnect,
}

/// Whether to connect again after a connection was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reconnect {
    /// Until it succeeds.
    #[default]
    Always,
    /// The first connection is the only one.
    Never,
}

/// Says why there is no [`Link`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No connection came about.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no thread to read in.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// Says why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection now.
    #[error("not connected")]
    NotConnected,
    /// The server has taken or returned nothing for long.
    #[error("too much is under way")]
    Full,
}

impl Link {
    /// How many bytes of one's own may be under way, waiting for the socket included. A judgement:
    /// more than anybody types, and what a pipe holds.
    pub const UNDER_WAY_LEN_MAX: usize = 64 * 1024;

    /// Connects, and hands everything that happens to `on_event`, which is called in a thread of the
    /// link and delays reading for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the first try to connect fails: an address may be wrong then.
    pub fn connect(
        address: &Address,
        options: LinkOptions,
        on_event: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<Self, StartError> {
        let stream = address.connect(options.connect_timeout)?;
        let shared = Arc::new(Shared::new(address.clone(), options));
        // From now on there is something to send on.
        let connection = shared.attach(stream);
        let serving = Arc::clone(&shared);
        thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || serving.serve(connection, on_event))
            .map_err(StartError::Thread)?;
        Ok(Self { shared })
    }

    /// Sends a message as soon as the socket takes it, without waiting for that.
    ///
    /// # Errors
    ///
    /// [`SendError`] when it will not be sent.
    pub fn send(&self, body: Body<'_>) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        if !matches!(state.phase, Phase::Connected(_)) {
            return Err(SendError::NotConnected);
        }
        let message = body.to_message();
        let message = message.as_bytes();
        if state.outstanding.wire_len() + message.len() > Self::UNDER_WAY_LEN_MAX {
            return Err(SendError::Full);
        }
        let (messages, _) = Messages::split(message);
        state.outstanding.send(messages, Instant::now());
        state.queue.extend_from_slice(message);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Returns whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Connected(_))
    }

    /// Returns how many messages are under way, and the bodies of the oldest `limit` of them.
    pub fn under_way(&self, limit: usize) -> (u64, Vec<Vec<u8>>) {
        let state = self.shared.lock();
        let bodies = state.outstanding.bodies().take(limit);
        let bodies = bodies.map(|body| body.as_bytes().to_vec()).collect();
        (state.outstanding.count(), bodies)
    }

    /// Ends the connection, if there is one, and connects again at once.
    pub fn reconnect(&self) {
        let mut state = self.shared.lock();
        state.is_asked = true;
        if let Phase::Connected(connection) = &state.phase {
            connection.break_off();
        }
        self.shared.changed.notify_all();
    }

    /// Waits until everything that was sent has come back or `timeout` is over; then it is time to
    /// drop the link. Returns how many messages did not come back.
    pub fn finish(&self, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_connected = matches!(state.phase, Phase::Connected(_));
            if state.outstanding.count() == 0 || left.is_zero() || !is_connected {
                return state.outstanding.count();
            }
            state = self.shared.wait(state, left);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Phase::Connected(connection) = &state.phase {
            connection.break_off();
        }
        state.phase = Phase::Closed;
        self.shared.changed.notify_all();
    }
}

impl Default for LinkOptions {
    /// Ten seconds for a try, waits from a quarter of a second up to 30 seconds.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(30)),
            reconnect: Reconnect::default(),
        }
    }
}

/// What the threads and the owner of a link share.
#[derive(Debug)]
struct Shared {
    address: Address,
    options: LinkOptions,
    /// Guards everything that changes.
    state: Mutex<State>,
    /// Tells that the state has changed: something to send, a message back, another phase.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    outstanding: Outstanding,
    /// Messages that wait for the socket. They are outstanding too, and so bounded.
    queue: Vec<u8>,
    phase: Phase,
    /// Whether the owner wants a new connection.
    is_asked: bool,
    /// How many missing messages have been told of.
    told_count: u64,
    /// Since when more than that are missing.
    missing_since: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Connected(Arc<Connection>),
    Waiting,
    Closed,
}

impl Shared {
    fn new(address: Address, options: LinkOptions) -> Self {
        let state = State {
            outstanding: Outstanding::default(),
            queue: Vec::new(),
            phase: Phase::Waiting,
            is_asked: false,
            told_count: 0,
            missing_since: None,
        };
        Self {
            address,
            options,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        let result = self.changed.wait_timeout(state, timeout);
        result.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Serves one connection after the other, until the owner has enough.
    fn serve(&self, first: Option<Arc<Connection>>, mut on_event: impl FnMut(Event<'_>)) {
        let mut backoff = self.options.backoff.clone();
        let mut next = first;
        while let Some(connection) = next {
            let start = Instant::now();
            let served = self.serve_connection(&connection, &mut on_event);
            let Some((error, unreturned)) = served else {
                return;
            };
            // A server that is full accepts and closes: that is no success.
            if start.elapsed() > LASTING {
                backoff.reset();
            }
            let retry_in = self.retry_in(&mut backoff, &error);
            on_event(Event::Disconnected {
                error: &error,
                unreturned,
                retry_in,
            });
            next = retry_in.and_then(|wait| self.connect(wait, &mut backoff, &mut on_event));
        }
    }

    /// Makes a stream the connection, unless the owner has enough.
    fn attach(&self, stream: TcpStream) -> Option<Arc<Connection>> {
        let connection = Arc::new(Connection::new(stream));
        let mut state = self.lock();
        if matches!(state.phase, Phase::Closed) {
            return None;
        }
        state.phase = Phase::Connected(Arc::clone(&connection));
        state.is_asked = false;
        Some(connection)
    }

    /// Serves a connection to its end. Returns why it ended and the bodies that have not come back,
    /// or nothing when the owner ended it.
    fn serve_connection(
        &self,
        connection: &Arc<Connection>,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Option<(LinkError, Vec<Vec<u8>>)> {
        on_event(Event::Connected {
            address: &self.address,
        });
        let error = self.run(connection, on_event);
        let mut state = self.lock();
        if matches!(state.phase, Phase::Closed) {
            return None;
        }
        state.phase = Phase::Waiting;
        state.queue.clear();
        let bodies = state.outstanding.bodies();
        let unreturned = bodies.map(|body| body.as_bytes().to_vec()).collect();
        state.outstanding.give_up();
        // They are named, so they need not be told of.
        state.told_count = state.outstanding.missing_count();
        state.missing_since = None;
        let error = if state.is_asked {
            LinkError::Asked
        } else {
            error
        };
        self.changed.notify_all();
        Some((error, unreturned))
    }

    fn retry_in(&self, backoff: &mut Backoff, error: &LinkError) -> Option<Duration> {
        match (self.options.reconnect, error) {
            (_, LinkError::Asked) => Some(Duration::ZERO),
            (Reconnect::Always, _) => Some(backoff.next_wait()),
            (Reconnect::Never, _) => None,
        }
    }

    /// Tries to connect until it succeeds, or the owner has enough.
    fn connect(
        &self,
        mut wait: Duration,
        backoff: &mut Backoff,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Option<Arc<Connection>> {
        loop {
            if !self.pause(wait) {
                return None;
            }
            match self.address.connect(self.options.connect_timeout) {
                Ok(stream) => return self.attach(stream),
                Err(error) => {
                    wait = backoff.next_wait();
                    on_event(Event::Failed {
                        error: &error,
                        retry_in: wait,
                    });
                }
            }
        }
    }

    /// Waits, less long if the owner wants it. Returns whether to go on.
    fn pause(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            if matches!(state.phase, Phase::Closed) {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_asked {
                state.is_asked = false;
                return true;
            }
            state = self.wait(state, left);
        }
    }
}

/// A connection that lasts this long was a success. A judgement.
const LASTING: Duration = Duration::from_secs(5);
