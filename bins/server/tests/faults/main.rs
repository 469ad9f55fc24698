//! The real server under seeded fault schedules, and under each fault by itself.

/// Clients that are closed, and those that the end does not wait for.
mod closed;
/// Floods of messages and of connections.
mod floods;
/// Resets at every byte.
mod resets;
/// Hundreds of schedules, each with the proof of the order.
mod schedules;
/// Clients that send or read a byte now and then, and a server that does not run for a while.
mod slow;
/// Clients for the tests.
mod util;
