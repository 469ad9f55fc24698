//! Nodes over a real NATS server. Where there is none, the tests pass by, unless `CI` is set.

/// Faults of the server and of the stream.
mod faults;
/// A NATS server.
mod nats;
/// Nodes that join, chat and leave.
mod order;
/// What ends a node before it serves.
mod refused;
/// Nodes for the tests.
mod util;
