//! Serves one client of a broadcast chat over any `futures-io` stream.
//!
//! A [`Session`] is a future. It reads the stream and publishes every message to a
//! [`Hub`](chat_hub::Hub); it subscribes to the hub and writes every message to the stream; it ends
//! the connection as the specification of [chat-proto](chat_proto) says. It is for any
//! runtime, since it needs nothing of one but to be polled; it opens no sockets, starts no tasks
//! and knows no clock.
//!
//! * **Turns.** A poll stops writing once it has written 256 KiB and reading once it has read half
//!   as much, and then lets other sessions go on. A client that floods starves neither them nor its
//!   own echo.
//! * **A waiting session is small.** It owns no buffer: it reads into one that belongs to the
//!   thread, and keeps only the beginning of a message whose end has not arrived (and what it read
//!   at the very moment when the hub had publishers wait, which it seldom does). It writes straight
//!   from the hub's log, and keeps only the rest of a message that the stream cut, at most 255
//!   bytes.
//! * **A blocked session costs nothing.** While the stream takes nothing, publishing does not wake
//!   it and the log does not wait for it.
//! * **Half-close.** When the client ends its sending side, it is written everything up to its own
//!   last message, then the session closes the stream. A message that the end of the stream cut is
//!   discarded.
//! * **Shutdown.** When the hub is closed, the session stops reading, writes what the log holds,
//!   closes its sending side and waits for the client to close. Whoever polls it sets the deadline,
//!   by dropping it.
//!
//! # Examples
//!
//! See [`Session`].
#![warn(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod error;
mod flag;
mod publish;
mod reader;
mod scratch;
mod session;
mod stall;

pub use error::{EndReason, SessionError, Summary};
pub use publish::Publish;
pub use session::Session;
pub use stall::StallLimit;
