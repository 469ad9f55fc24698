//! Shows and writes what a load on a broadcast chat server found.
//!
//! Everything here is made from [`chat_results::Results`], and from what a run tells of itself
//! while it goes on:
//!
//! - [`Lines`] prints the classic result lines, [`Screen`] shows how far a run is, and [`table`]
//!   prints all of the results for people.
//! - [`json`], [`csv`] and [`hdr`] write files for other programs. `schema/results.json` of chat-results
//!   describes the JSON.
//! - [`Terminal`] is an observer of a run: it has the lines and the progress.
//! - [`Outputs`] writes all files that were asked for.
//! - [`Baseline`] keeps results, to compare later runs with.
//! - [`Standard`] is what results are held to, besides the promise.
//! - [`atomic_file`] writes files that are there as a whole or not at all.
//!
//! # What it does not do
//!
//! It knows nothing of servers, connections and messages, and it decides nothing by itself: what
//! results come to is the business of [`chat_results::judge`].
//!
//! # Examples
//!
//! ```
//! use chat_results::sample;
//!
//! let mut out = Vec::new();
//! chat_report::table::print(&sample::results(), false, &mut out).unwrap();
//! assert!(String::from_utf8(out).unwrap().contains("drops          2 %"));
//! ```
//!

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

pub mod atomic_file;
mod baseline;
pub mod csv;
pub mod hdr;
pub mod json;
mod lines;
mod outputs;
mod progress;
mod standard;
pub mod table;
mod terminal;

pub use baseline::{Baseline, BaselineError, BaselineName, NameError};
pub use lines::{Lines, WhileRead, is_closed_pipe, tell, tell_verdict};
pub use outputs::{OutputError, Outputs, parse_output, tell_later};
pub use progress::Screen;
pub use standard::Standard;
pub use terminal::{LinesTo, Progress, Terminal};
