//! The threads of a link, and what they share with its owner.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::rota::Rota;
use super::{Event, LinkError, LinkOptions, Reconnect};
use crate::{Address, ConnectError, Outstanding, Stream};

/// What the threads and the owner of a link share.
#[derive(Debug)]
pub(super) struct Shared {
    options: LinkOptions,
    /// Guards everything that changes.
    state: Mutex<State>,
    /// Tells that the state has changed: something to send, a message back, another phase.
    pub(super) changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) outstanding: Outstanding,
    /// Messages that wait for the socket. They are outstanding too, and so bounded.
    pub(super) queue: Vec<u8>,
    pub(super) phase: Phase,
    /// Whether the owner wants a new connection.
    pub(super) is_asked: bool,
    /// How many missing messages have been told of.
    pub(super) told_count: u64,
    /// Since when more than that are missing.
    pub(super) missing_since: Option<Instant>,
    /// Whether it was said that messages have been under way for long.
    pub(super) is_overdue: bool,
}

#[derive(Debug)]
pub(super) enum Phase {
    Connected(Arc<Connection>),
    Waiting,
    Closed,
}

impl Shared {
    pub(super) fn new(options: LinkOptions) -> Self {
        let state = State {
            outstanding: Outstanding::default(),
            queue: Vec::new(),
            phase: Phase::Waiting,
            is_asked: false,
            told_count: 0,
            missing_since: None,
            is_overdue: false,
        };
        Self {
            options,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        timeout: Duration,
    ) -> MutexGuard<'a, State> {
        let result = self.changed.wait_timeout(state, timeout);
        result.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tries the addresses until one answers, each once. Returns the failures of the others, too.
    pub(super) fn start(&self, rota: &mut Rota) -> (Option<Stream>, Vec<ConnectError>) {
        let mut failures = Vec::new();
        loop {
            match self.options.open(rota.address()) {
                Ok(stream) => return (Some(stream), failures),
                Err(error) => failures.push(error),
            }
            rota.fail();
            if rota.is_round() {
                return (None, failures);
            }
        }
    }

    /// Serves one connection after the other, until the owner has enough.
    pub(super) fn serve(
        &self,
        first: Option<Arc<Connection>>,
        rota: &mut Rota,
        mut on_event: impl FnMut(Event<'_>),
    ) {
        let mut next = first;
        while let Some(connection) = next {
            let start = Instant::now();
            let served = self.serve_connection(&connection, rota.address(), &mut on_event);
            let Some((error, unreturned)) = served else {
                return;
            };
            // A server that is full accepts and closes: that is no success.
            let has_lasted = start.elapsed() > LASTING;
            let retry_in = self.retry_in(rota, has_lasted, &error);
            on_event(Event::Disconnected {
                error: &error,
                unreturned,
                retry_in,
            });
            next = retry_in.and_then(|wait| self.connect(wait, rota, &mut on_event));
        }
    }

    /// Makes a stream the connection, unless the owner has enough.
    pub(super) fn attach(&self, stream: Stream) -> Option<Arc<Connection>> {
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
        address: &Address,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Option<(LinkError, Vec<Vec<u8>>)> {
        on_event(Event::Connected { address });
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

    fn retry_in(&self, rota: &mut Rota, has_lasted: bool, error: &LinkError) -> Option<Duration> {
        match (self.options.reconnect, error) {
            (_, LinkError::Asked) => Some(Duration::ZERO),
            (Reconnect::Always, _) if has_lasted => Some(rota.lose()),
            (Reconnect::Always, _) => Some(rota.fail()),
            (Reconnect::Never, _) => None,
        }
    }

    /// Tries to connect until it succeeds, or the owner has enough.
    fn connect(
        &self,
        mut wait: Duration,
        rota: &mut Rota,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Option<Arc<Connection>> {
        loop {
            if !self.pause(wait) {
                return None;
            }
            match self.options.open(rota.address()) {
                Ok(stream) => return self.attach(stream),
                Err(error) => {
                    wait = rota.fail();
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
