//! Serves one client of a broadcast chat over any `futures-io` stream.
//!
//! A [`Session`] is a future. It reads the stream and publishes every message to a
//! [`Hub`](chat_hub::Hub). It subscribes to the hub and writes every message to the stream. It ends
//! the connection as the specification of [chat-proto](chat_proto) says. It runs on any runtime,
//! since it only has to be polled: it opens no sockets, starts no tasks and reads no clock.
//!
//! * **Any stream.** A stream may have a single waker for each direction, and may read in order to
//!   write or write in order to read, as TLS does. Every wake of the stream lets both halves of the
//!   session try again.
//! * **Any log.** A session publishes to a hub in this process, or to anything that implements
//!   [`Publish`]: for example a log that several machines share, which tells the position of a
//!   message only after a round trip.
//! * **Turns.** A poll stops writing once it has written 256 KiB, and reading once it has read half
//!   as much, and then lets other sessions go on. While publishers wait, a session reads only when
//!   it is its turn to publish. A client that floods starves neither the others nor its own echo.
//! * **A waiting session is small.** It owns no buffer: it reads into one that belongs to the
//!   thread, and keeps only the beginning of a message whose end has not arrived. It writes
//!   straight from the hub's log, and keeps only the rest of a message that the stream cut, at most
//!   255 bytes.
//! * **A stalled session costs nothing.** While the stream takes nothing, publishing does not wake
//!   the session. The hub waits for its client only as long as the client keeps up; see
//!   [`Policy`](chat_hub::Policy). [`Session::with_stall_timeout`] ends a session whose client
//!   takes nothing for too long.
//! * **Half-close.** When the client ends its sending side, it still receives everything up to its
//!   own last message. Then the session closes the stream. A message that the end of the stream cut
//!   is discarded.
//! * **Shutdown.** When the hub is closed, the session stops reading. It delivers everything that
//!   sessions had read by then, closes its sending side and waits for the client to close. The
//!   caller sets the deadline, by dropping the session.
//! * **Parting.** A session that fails because its client takes too little may leave it inside a
//!   message. [`Session::part`] has it finish that message and end the stream, for a client that
//!   goes on taking bytes.
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
mod stage;
mod stall;

pub use error::{EndReason, SessionError, Summary};
pub use publish::Publish;
pub use session::Session;
pub use stall::StallLimit;
