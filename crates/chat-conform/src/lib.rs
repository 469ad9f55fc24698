//! Tells whether a broadcast chat server keeps its specification.
//!
//! The specification is taken apart into cases, each with an id like `rule-3/empty-message`. A
//! [`Suite`] runs them on any executable, each on a server of its own, and returns a [`Report`]: a
//! text for people, JUnit XML for CI, JSON for programs. A case that failed tells the bytes that
//! were sent, expected and received, the server's last lines on standard error, and what usually
//! causes such a thing.
//!
//! A case has a [`Level`]: a server that fails a *must* breaks the specification, one that fails a
//! *should* keeps it and disappoints, and *info* never counts. Cases never decide by short times, so
//! a slow machine does not fail a right server: everything has a deadline of many seconds, and what
//! must not arrive is told from something else that arrives after it.
//!
//! # What it does not do
//!
//! It does not measure. It knows the chat's wire format and nothing of how a server is written; the
//! cases about processor time, memory and descriptors look into `/proc` and are skipped where there
//! is none. A server that passes is not proved right, but it is not wrong in any of these ways.
//!
//! # Examples
//!
//! A test of your own server, in ten lines. Put it into `tests/` of the package with the server, where
//! cargo knows the executable, and put the server's name in place of `my-server`:
//!
//! ```ignore
//! #[test]
//! fn my_server_conforms() {
//!     let report = chat_conform::Suite::new(env!("CARGO_BIN_EXE_my-server"))
//!         .strict(true)
//!         .run()
//!         .unwrap();
//!     assert!(report.has_passed(), "{report}");
//! }
//! ```
//!
//! `bins/server/tests/it/conforms.rs` is that test for this repository's server, and
//! `cargo run -p chat-conform --example conform -- SERVER` runs the cases on any.
//!
//! A server that is no chat server fails, and the report says how:
//!
//! ```
//! use chat_conform::{Outcome, Suite};
//!
//! let suite = Suite::new("sh").args(["-c", "echo good morning; exit 1"]);
//! let report = suite.only(["rule-2/*", "rule-3/empty-message"])?.run()?;
//! assert!(!report.has_passed());
//!
//! let first = &report.results()[0];
//! assert_eq!(first.case.id(), "rule-2/ready-line");
//! assert!(matches!(&first.outcome, Outcome::Failed(failure)
//!     if failure.what.starts_with("the server ended before it was ready")));
//! # Ok::<(), chat_conform::SuiteError>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod case;
mod cases;
mod client;
mod glob;
mod report;
mod rules;
mod runner;
mod story;
mod suite;
mod trial;
mod watch;
mod wire;
mod wrong;

pub use case::{Case, Level, Place};
pub use cases::all as cases;
pub use report::{CaseResult, Counts, Failure, Outcome, Report};
pub use rules::Rule;
pub use story::Sent;
pub use suite::{Suite, SuiteError};
