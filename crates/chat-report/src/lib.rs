//! Shows and writes what a load on a broadcast chat server found.
//!
//! Everything here is made from [`chat_results::Results`], and from what a run tells of itself
//! while it goes on:
//!
//! - [`Lines`] prints the classic result lines, [`Screen`] shows how far a run is, and [`table`]
//!   prints all of the results for people.
//! - [`json`], [`csv`] and [`hdr`] write files for other programs. `schema.json`, beside the manifest, describes the
//!   JSON.
//! - [`Baseline`] keeps results, to compare later runs with.
//! - [`atomic_file`] writes files that are there as a whole or not at all.
//!
//! # What it does not do
//!
//! It knows nothing of servers, connections and messages, and it does not judge: what results come
//! to is decided by [`chat_results::judge`].
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

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod atomic_file;
mod baseline;
pub mod csv;
pub mod hdr;
pub mod json;
mod lines;
mod progress;
pub mod table;

pub use baseline::{Baseline, BaselineError, BaselineName, NameError};
pub use lines::{Lines, WhileRead, is_closed_pipe, tell};
pub use progress::Screen;
