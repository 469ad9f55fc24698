//! Loads a broadcast chat server, and proves that it keeps its order promise.
//!
//! A [`Target`] and a [`Load`] go in, [`Results`] come out. [`run`] is all that a test needs; a
//! [`Run`] can be watched by an [`Observer`], ended by a signal and recorded; a [`Campaign`] has
//! more than one run. The verdict is a trace: one order of all messages explains what every client
//! received, and every message that did not arrive was dropped, which later messages of the same
//! sender show. Otherwise there is a story of who received what.
//!
//! # For tests of your own server
//!
//! The server is an executable that takes an address as its last argument and prints `listening on
//! ADDRESS` when it is ready, or a closure that serves a listener:
//!
//! ```
//! use chat_stress::{Load, Target, run};
//! # mod my_server {
//! #     use std::io::Write;
//! #     use std::net::{Shutdown, TcpListener};
//! #     use std::sync::{Arc, Mutex};
//! #     pub fn serve(listener: TcpListener) {
//! #         let clients = Arc::new(Mutex::new(Vec::new()));
//! #         for stream in listener.incoming().map(Result::unwrap) {
//! #             clients.lock().unwrap().push(stream.try_clone().unwrap());
//! #             let clients = Arc::clone(&clients);
//! #             std::thread::spawn(move || {
//! #                 let mut reader = chat_proto::blocking::Reader::new(&stream);
//! #                 while let Ok(messages) = reader.next_messages() && !messages.is_empty() {
//! #                     for mut client in clients.lock().unwrap().iter() {
//! #                         let _ = client.write_all(messages.as_bytes());
//! #                     }
//! #                 }
//! #                 let _ = stream.shutdown(Shutdown::Both);
//! #             });
//! #         }
//! #     }
//! # }
//!
//! // #[test]
//! fn every_client_sees_one_order() {
//!     let target = Target::serve(my_server::serve).unwrap();
//!     let load = Load {
//!         publishers: 4,
//!         messages: Some(100),
//!         ..Load::default()
//!     };
//!     run(target, load).unwrap().assert_kept();
//! }
//! # every_client_sees_one_order();
//! ```
//!
//! Async servers take the same listener, see [`Target::serve`] and the example `async_server`.
//!
//! # What it does not do
//!
//! It parses no arguments, prints nothing and takes no signal unless it is asked to: see
//! [`Interrupt`]. A test's process is the load tester too, so figures of a server in the same
//! process are a mixture; only its order is proved. It is about time and processes: it reads clocks,
//! waits, and starts what it is told to start.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod campaign;
mod chronicle;
mod conduct;
mod failure;
mod known;
mod limits;
mod measured;
mod monitor;
mod recheck;
mod recorder;
mod repetitions;
mod run;
mod subject;
mod target;
mod totals;
mod whereabouts;

pub use campaign::{Campaign, Findings, Stage};
pub use chat_load::{Latencies, Stop, Unresolved};
pub use chat_results::{
    BodyLens, Check, Count, Distribution, Load, Observer, Order, Pacing, Phase, Results, Slow,
    Tick, Verdict, Violation,
};
pub use chat_target::{Convention, Interrupt, Launch, ServerError, guard, null};
pub use chat_tls::Tls;
pub use chat_trace::{Conviction, Kept, recording::RecordingError};
pub use failure::Failure;
pub use known::{KnownServer, ProtocolName};
pub use limits::{LoadError, REPETITIONS_MAX, WINDOW_MAX, check_load};
pub use measured::Measured;
pub use recheck::{RecheckError, Rechecked, recheck, recheck_file};
pub use run::{Run, run};
pub use target::{Served, Target};
