//! The crate as its users see it.

/// The public API is the one in `public_api.txt`, which was reviewed.
#[path = "../../../chat-proto/tests/it/public_api.rs"]
mod public_api;

/// Wrong designs break a promise, which the simulator shows in a few steps.
mod broken;
/// The form of entries, and what is none.
mod envelope;
/// One node, and what it accepts, publishes and refuses.
mod node;
/// Replicas of a stream that differ are noticed.
mod replicas;
/// Thousands of random stories break none.
mod seeds;
/// The simulator.
mod sim;
