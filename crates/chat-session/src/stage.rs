//! How far a session is.

use crate::reader::ReadEnd;

/// The stages of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Reading and writing.
    Serving,
    /// Nothing more is read; what is still to be delivered is written. It is not yet known where
    /// the client's last message stands.
    Settling,
    /// As before, and it is known where to end.
    Draining(ReadEnd),
    /// Everything is written; the sending side is being closed.
    Closing(ReadEnd),
    /// The sending side is closed. Everything the client sends is thrown away until it closes too:
    /// closing a socket that has bytes to read would make the system reset it, and the client could
    /// lose what is on its way to it.
    Lingering,
    /// Nothing more is read, and nothing written but the rest of a message that the stream cut.
    Parting,
    /// The client got all it was to get and both sides are closed, or the session has failed.
    Closed,
}
