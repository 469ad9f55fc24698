//! A connection that comes back.

mod connection;
mod event;
mod rota;
mod shared;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chat_proto::{Body, Messages};

use self::rota::Rota;
use self::shared::{Phase, Shared};
use crate::{Address, Backoff, ConnectError, Stream};

pub use event::{Event, LinkError, Received};

/// A connection to a server that connects again when it was lost.
///
/// Two threads serve it. One reads, always and at full speed, so that the client is never the one
/// that does not keep up; it hands everything to a function as [`Event`]s. The other writes the
/// messages that [`send`](Self::send) left for it, so that nobody waits for the socket.
///
/// The messages under way are bounded by [`UNDER_WAY_LEN_MAX`](Self::UNDER_WAY_LEN_MAX); received messages are
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
/// let link = Link::connect(&[address], LinkOptions::default(), move |event| {
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
    /// How to connect over TLS; without it, connections are plain.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::Tls>,
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
    /// No address answered. These are the failures of all of them, in order.
    #[error("{}", join(.0))]
    Connect(Vec<ConnectError>),
    /// There is no thread to read in.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

fn join(errors: &[ConnectError]) -> String {
    let texts: Vec<_> = errors.iter().map(ConnectError::to_string).collect();
    texts.join("; ")
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
    /// more than anybody pastes.
    pub const UNDER_WAY_LEN_MAX: usize = 1024 * 1024;

    /// Connects to the first of the addresses that answers, and hands everything that happens to
    /// `on_event`, which is called in a thread of the link and delays reading for as long as it
    /// takes.
    ///
    /// When the connection is lost, the same address is tried again, and the others in turn if that
    /// fails. A server that closes within five seconds, as one does that is full, counts as one that
    /// failed.
    ///
    /// # Errors
    ///
    /// [`StartError`] when no address answers at first: they may be wrong then.
    ///
    /// # Panics
    ///
    /// If there is no address.
    pub fn connect(
        addresses: &[Address],
        options: LinkOptions,
        mut on_event: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<Self, StartError> {
        let mut rota = Rota::new(addresses, options.backoff.clone());
        let shared = Arc::new(Shared::new(options));
        let (stream, failures) = shared.start(&mut rota);
        let Some(stream) = stream else {
            return Err(StartError::Connect(failures));
        };
        // From now on there is something to send on.
        let connection = shared.attach(stream);
        let serving = Arc::clone(&shared);
        let serve = move || {
            for error in &failures {
                let retry_in = Duration::ZERO;
                on_event(Event::Failed { error, retry_in });
            }
            serving.serve(connection, &mut rota, on_event);
        };
        thread::Builder::new()
            .name("link".to_owned())
            .spawn(serve)
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
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl LinkOptions {
    fn open(&self, address: &Address) -> Result<Stream, ConnectError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return address.connect_over(tls, self.connect_timeout);
        }
        address.connect(self.connect_timeout).map(Stream::from)
    }
}
