//! The public behaviour of chat-stress: loads on servers in this process, and on executables.

/// Servers that break the promise, or stop being servers.
mod broken;
/// Executables that are started for a run.
mod executable;
/// Servers that keep the promise.
mod kept;
/// Clients that a server leaves out, and others that it drops much for.
mod left_out;
/// Loads that there cannot be.
mod limits;
/// What an observer is told.
mod observed;
/// Servers of other protocols.
mod protocols;
/// Every public item, as the last review saw it.
#[path = "../../../chat-proto/tests/it/public_api.rs"]
mod public_api;
/// What is recorded and judged again.
mod recorded;

/// Several servers that promise one order together, or say so.
mod several;

/// Small servers for all tests.
mod servers;
