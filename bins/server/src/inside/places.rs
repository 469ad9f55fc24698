//! The connections to the admin socket, so that those which are silent keep nobody out.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CONNECTIONS_MAX;

/// A bounded number of places for connections. They are shared by their clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Guards who has a place.
    taken: Arc<Mutex<Taken>>,
}

/// The connections that have a place.
#[derive(Debug, Default)]
struct Taken {
    /// By the turn in which each spoke last, so the first one has been silent for longest.
    ///
    /// Invariant: at most [`CONNECTIONS_MAX`].
    connections: BTreeMap<u64, Arc<UnixStream>>,
    turn_count: u64,
}

/// A connection that has a place, until this is dropped or another connection needs it.
#[derive(Debug)]
pub(super) struct Place {
    stream: Arc<UnixStream>,
    places: Places,
    turn: u64,
}

impl Places {
    /// Gives a connection a place. Where none is left, the connection that has been silent for longest
    /// is closed.
    pub(super) fn take(&self, stream: UnixStream) -> Place {
        let stream = Arc::new(stream);
        let mut taken = self.lock();
        if taken.connections.len() >= CONNECTIONS_MAX
            && let Some((_, silent)) = taken.connections.pop_first()
        {
            // Who waits for its next line finds its end. It may have left by itself.
            let _ = silent.shutdown(Shutdown::Both);
        }
        let turn = taken.add(Arc::clone(&stream));
        drop(taken);
        let places = self.clone();
        Place {
            stream,
            places,
            turn,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn add(&mut self, stream: Arc<UnixStream>) -> u64 {
        self.turn_count += 1;
        self.connections.insert(self.turn_count, stream);
        debug_assert!(self.connections.len() <= CONNECTIONS_MAX);
        self.turn_count
    }
}

impl Place {
    /// Notes that the connection is not silent.
    pub(super) fn note_line(&mut self) {
        let mut taken = self.places.lock();
        // It may have lost its place at this moment.
        if let Some(stream) = taken.connections.remove(&self.turn) {
            self.turn = taken.add(stream);
        }
    }

    /// Returns the connection.
    pub(super) fn stream(&self) -> Arc<UnixStream> {
        Arc::clone(&self.stream)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().connections.remove(&self.turn);
    }
}
