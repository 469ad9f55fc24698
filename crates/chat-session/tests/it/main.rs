//! The public behaviour of chat-session, over in-memory streams.

/// How a session ends.
mod ending;
/// What a session may not do to others.
mod fairness;
/// Any schedule of sending, receiving and stalling.
mod schedule;
/// Messages from everybody to everybody.
mod serving;
/// A stream whose far end is the test.
mod util;
