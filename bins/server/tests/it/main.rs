//! The real server over real sockets.

/// What goes wrong outside, and what must not go wrong inside.
mod bad_input;
/// The examples of chat-proto against the server.
mod examples;
/// Quiet clients beside some that flood.
mod flooded;
/// What happens to clients that do not keep up, by policy.
mod policies;
/// Each numbered line of the specification.
mod specification;
/// The three binaries together.
mod together;
/// Servers and clients for the tests.
mod util;
