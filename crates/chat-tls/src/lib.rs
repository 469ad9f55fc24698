//! The client's side of TLS for a broadcast chat.
//!
//! [`Tls`] says how a client connects: which servers it accepts, and its own certificate, read from
//! the files that [`TlsOptions`] names. [`Tls::session`] is the state of one connection, and
//! [`shake`] is a step of its handshake. [`explain`] and the other functions say in sentences what
//! went wrong. `TlsArgs`, with the feature `clap`, is all of that on a command line.
//!
//! # What it does not do
//!
//! It has no sockets: a session is fed by whoever has the connection, blocking or not. It is no server.
//!
//! # Examples
//!
//! ```
//! use chat_tls::{Tls, TlsOptions, Trust};
//!
//! let options = TlsOptions { trust: Trust::Anybody, ..Default::default() };
//! let session = Tls::new(&options)?.session("chat.example").unwrap();
//! // It has something to say at once.
//! assert!(session.is_handshaking() && session.wants_write());
//! # Ok::<(), chat_tls::TlsError>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

#[cfg(feature = "clap")]
mod args;
mod failure;
mod files;
mod handshake;
mod tls;

pub use rustls::ClientConnection;

#[cfg(feature = "clap")]
pub use args::TlsArgs;
pub use failure::{cut, explain, late, refused};
pub use files::{TlsError, read_certs, read_key};
pub use handshake::shake;
pub use tls::{Tls, TlsOptions, Trust};
