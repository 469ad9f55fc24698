//! The public behaviour of commandline-client: the real binary against small servers on real
//! sockets.

/// What the command line takes.
mod arguments;
/// Runs the binary, with a deadline.
mod client;
/// Everything that goes wrong, and what the user is told.
mod failures;
/// Lines in, lines out.
mod messages;
/// Options for programs.
mod scripting;
/// Servers that serve one client and say what came of it.
mod server;
