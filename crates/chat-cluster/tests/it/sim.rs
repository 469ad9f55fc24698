//! A stream, a network and servers, with all their faults, in steps that a story tells.

mod server;
mod story;
mod stream;
mod truth;
mod world;

pub(crate) use story::{Op, Story};
pub(crate) use world::{Seen, run};

/// How a server is built: right, or wrong in one way that the simulator must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Design {
    Right,
    /// Several publishes are under way at a time.
    Pipelined,
    /// A publish that may have failed is repeated as another one.
    RetriesWithNewId,
    /// The filter counts numbers, and begins again at each opening, of whatever epoch.
    NoEpochs,
    /// The filter takes what was published twice for two.
    NoDuplicates,
    /// A node that joins knows nothing of the entries before.
    NoWarmUp,
    /// A client's messages are delivered to the server's own clients at once.
    DeliversLocally,
    /// A message is acknowledged when the stream has confirmed the publish.
    AcknowledgesEarly,
}
