//! A client of a broadcast chat.
//!
//! The parts can be used alone:
//!
//! * [`Outstanding`] tells which received messages are one's own, how long they were under way, and
//!   which of one's own never came back.
//! * [`Lines`] turns input, chunk by chunk, into messages, and [`Form`] turns messages into output.
//! * [`escape`] shows text of others without letting it control the terminal.
//! * [`Address`] connects by name, to the first of several addresses that answers; [`Backoff`] says
//!   how long to wait until the next try.
//! * [`Stream`] is a connection, plain or, with the feature `tls`, over TLS.
//! * [`Link`] is a connection that comes back, with everything that happens on it as [`Event`]s.
//! * [`pipe`] connects an input and an output to a server, and is exact: it says when a message of
//!   its own did not come back.
//! * [`patient`] reads and writes, and waits for files that do not block.
//! * `terminal`, with the feature of that name, is a client for people.
//!
//! # Examples
//!
//! ```
//! use chat_client::{Batch, Framing, Lines};
//!
//! let mut batch = Batch::default();
//! let mut lines = Lines::new(Framing::Newline);
//! lines.push(b"hello\nwor", &mut batch);
//! lines.finish(&mut batch);
//! assert_eq!(batch.wire, b"\x05hello\x03wor");
//! ```

mod address;
mod backoff;
mod escape;
mod form;
mod lines;
mod link;
mod outstanding;
pub mod patient;
pub mod pipe;
mod stream;
#[cfg(feature = "terminal")]
pub mod terminal;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tls")]
pub use chat_tls::{Tls, TlsError, TlsOptions, Trust};

pub use address::{Address, AddressError, ConnectError};
pub use backoff::Backoff;
pub use escape::{append_escaped, escape};
pub use form::Form;
pub use lines::{Batch, Framing, LineError, Lines, RefusedLine};
pub use link::{Event, Link, LinkError, LinkOptions, Received, Reconnect, SendError, StartError};
pub use outstanding::{Echo, Outstanding};
pub use stream::Stream;
