//! The public behaviour of chat-session, over in-memory streams.

/// How a session ends.
mod ending;
/// What a session that failed leaves behind, and what its error tells.
mod failing;
/// What a session may not do to others.
mod fairness;
/// Streams in which reading writes and writing reads.
mod layered;
/// What a client sends while its session waits for it to close.
mod lingering;
/// Clients that are not to get all there is for them.
mod parting;
/// The public API is the one in `public_api.txt`, which was reviewed.
#[path = "../../../chat-proto/tests/it/public_api.rs"]
mod public_api;
/// Publishing to something that takes its time.
mod publishing;
/// Any schedule of sending, receiving and stalling.
mod schedule;
/// Messages from everybody to everybody.
mod serving;
/// What becomes of what was read when the hub is closed.
mod shutdown;
/// Something to publish to that takes its time.
mod source;
/// Clients that take nothing.
mod stalled;
/// Tasks on one thread, polled in a known order.
mod tasks;
/// Time that passes when the test says so.
mod time;
/// Whose turn it is, with sessions that flood.
mod turns;
/// What is told of a message that is not finished.
mod unfinished;
/// Sessions whose far end is the test.
mod util;
/// A stream whose far end is the test.
mod wire;
