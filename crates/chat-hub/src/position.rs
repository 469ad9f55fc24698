//! Places in the log.

use std::sync::atomic::{AtomicU64, Ordering};

/// A place in a hub's log, on a message boundary: how much was published before it.
///
/// Positions count from the hub's first message and only grow. A hub never reuses one, however
/// often it reuses the memory.
///
/// A position belongs to its hub. The positions of two hubs are never equal and have no order; a
/// hub that is given another hub's position refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    hub: HubId,
    place: Place,
}

impl Position {
    pub(crate) const fn new(hub: HubId, place: Place) -> Self {
        Self { hub, place }
    }

    /// Returns how many bytes of wire form were published before this place.
    pub const fn byte_pos(self) -> u64 {
        self.place.byte_pos
    }

    /// Returns how many messages were published before this place.
    pub const fn message_pos(self) -> u64 {
        self.place.message_pos
    }

    /// Returns the place, if it is one of the log of `hub`.
    pub(crate) fn place_in(self, hub: HubId) -> Option<Place> {
        (self.hub == hub).then_some(self.place)
    }
}

impl PartialOrd for Position {
    /// Compares two positions of one hub. Positions of two hubs have no order.
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self.hub == other.hub).then(|| self.place.cmp(&other.place))
    }
}

/// Tells the hubs of a process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HubId(u64);

impl HubId {
    /// Makes an id that no other hub of this process has.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: the ids only have to differ.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A place in one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) byte_pos: u64,
    pub(crate) message_pos: u64,
}

impl Place {
    /// After everything.
    pub(crate) const MAX: Self = Self {
        byte_pos: u64::MAX,
        message_pos: u64::MAX,
    };

    /// Returns the place `byte_len` bytes, which are `message_count` messages, further on.
    pub(crate) const fn after(self, byte_len: usize, message_count: usize) -> Self {
        Self {
            byte_pos: self.byte_pos + byte_len as u64,
            message_pos: self.message_pos + message_count as u64,
        }
    }
}
