//! A TCP proxy for tests that does to a connection what networks and peers do.
//!
//! Each direction of a connection has its [`Toxics`]: delay, slices of a few bytes, a limited rate,
//! stalls, and an end by half-close or reset at a byte that is chosen before. A [`Plan`] has those
//! of both directions and a seed. [`link`] connects through a proxy of its own with a plan of its
//! own; [`Proxy`] listens, for programs that connect by themselves.
//!
//! The same plan does the same at the same bytes: [`Course`] decides, and reads neither clock nor
//! socket. Only the times are those of the machine.
//!
//! # What it does not do
//!
//! It knows nothing of what it forwards. It changes, loses and reorders no byte: TCP would not
//! either. It keeps at most one buffer for each direction, and reads no more while that is not
//! forwarded. So a stall in the proxy is a stall for the one who sends.
//!
//! # Examples
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{Shutdown, TcpListener};
//! use std::thread;
//!
//! use chat_toxic::{End, Plan, Toxics, link};
//!
//! // A server that sends back all that it gets.
//! let listener = TcpListener::bind("127.0.0.1:0").unwrap();
//! let addr = listener.local_addr().unwrap();
//! thread::spawn(move || {
//!     let (stream, _) = listener.accept().unwrap();
//!     std::io::copy(&mut &stream, &mut &stream).unwrap();
//!     stream.shutdown(Shutdown::Write).unwrap();
//! });
//!
//! // Whatever is sent through this proxy ends after five bytes.
//! let to_server = Toxics { end: End::HalfClose { at: 5 }, ..Toxics::default() };
//! let plan = Plan { seed: 1, to_server, to_client: Toxics::default() };
//! let (mut stream, _link) = link(addr, &plan).unwrap();
//! stream.write_all(b"hello, world").unwrap();
//! let mut received = Vec::new();
//! stream.read_to_end(&mut received).unwrap();
//! assert_eq!(received, b"hello");
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod course;
mod link;
mod proxy;
mod pump;
mod toxics;

pub use course::{Course, Piece};
pub use link::{Link, link};
pub use proxy::Proxy;
pub use toxics::{End, Plan, Stall, Toxics};
