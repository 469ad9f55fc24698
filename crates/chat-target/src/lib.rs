//! The server that is put under load, seen from outside.
//!
//! [`Server`] starts an executable in a process group of its own, waits for its ready line, keeps
//! the last lines it prints, and ends the whole group when it is dropped. [`Usage`] watches what
//! the group costs: processor time, memory, threads, open files. [`Interrupt`] takes the signals
//! that would end this process and leave the server behind. [`null`] is a server that does next to
//! nothing, to measure a load tester with.
//!
//! # What it does not do
//!
//! It sends no message and knows nothing of the chat but the ready line, rule 2 of the
//! specification. It is about time and processes: it reads clocks, waits and starts threads.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use chat_target::{Interrupt, Launch, Server};
//!
//! let launch = Launch {
//!     args: vec!["-c".into(), "echo listening on $0; sleep 600".into()],
//!     ..Launch::new("sh", "127.0.0.1:7".parse().unwrap())
//! };
//! let mut server = Server::start(&launch, &Interrupt::never()).unwrap();
//! assert_eq!(server.wait_ready(Duration::from_secs(30)).unwrap(), launch.addr);
//! drop(server); // Ends the shell and what it started.
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod descriptors;
mod environment;
pub mod guard;
mod interrupt;
pub mod null;
mod output;
mod process_group;
mod processor;
mod server;
mod usage;

pub use descriptors::raise_descriptor_limit;
pub use environment::environment;
pub use interrupt::{EXIT_INTERRUPTED, Interrupt};
pub use output::LastLines;
pub use processor::ProcessorTimes;
pub use server::{Ending, Launch, Server, ServerError};
pub use usage::{Usage, own_cpu};
