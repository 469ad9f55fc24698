//! The public behaviour of commandline-client: the real binary against small servers on real
//! sockets.

/// What the command line takes.
mod arguments;
/// A server for several clients, which can hold back messages and begin again.
mod broadcast;
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
/// Runs the binary on a terminal, and looks at the screen.
mod terminal;
/// What is shown on a terminal.
mod terminal_display;
/// Beginnings and ends on a terminal.
mod terminal_life;
/// Connections that come back, on a terminal.
mod terminal_link;
/// Typing and sending on a terminal.
mod terminal_typing;
/// Over TLS.
mod tls;
