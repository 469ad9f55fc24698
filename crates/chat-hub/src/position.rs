//! Places in the log.

/// A place in the log, on a message boundary: how much was published before it.
///
/// Positions are absolute: they count from the hub's first message, only grow, and are never
/// reused, however often the memory behind them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub(crate) byte_pos: u64,
    pub(crate) message_pos: u64,
}

impl Position {
    /// Behind everything.
    pub(crate) const MAX: Self = Self {
        byte_pos: u64::MAX,
        message_pos: u64::MAX,
    };

    /// Returns how many bytes of wire form were published before this place.
    pub const fn byte_pos(self) -> u64 {
        self.byte_pos
    }

    /// Returns how many messages were published before this place.
    pub const fn message_pos(self) -> u64 {
        self.message_pos
    }

    /// Returns the place `byte_len` bytes, which are `message_count` messages, further on.
    pub(crate) const fn after(self, byte_len: usize, message_count: usize) -> Self {
        Self {
            byte_pos: self.byte_pos + byte_len as u64,
            message_pos: self.message_pos + message_count as u64,
        }
    }
}
