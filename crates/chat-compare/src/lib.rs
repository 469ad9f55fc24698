//! Compares broadcast chat servers under the same loads.
//!
//! A [`Plan`] has [`Candidate`]s, [`Job`]s and a number of rounds. [`Plan::run`] has every candidate
//! do every job once in each round, and returns a [`Comparison`]. The modules of [`report`]
//! are the forms in which it is shown and kept.
//!
//! # What may be concluded
//!
//! In a round, all servers have their turn, in an order that chance decides. The next round has the
//! reverse order (ABBA): what a machine gains or loses steadily cancels. A server is compared with
//! the first by the ratios of pairs of one round, with the exact interval of Wilcoxon's signed-rank
//! test ([`chat_results::statistics::paired_ratio`]). The intervals of all decided figures hold together at the stated
//! confidence, by Bonferroni's correction. So of 20 comparisons of a server with itself at 0.95, at
//! most one on average tells of any difference. That is about this server on this machine at this
//! time, and says nothing of others.
//!
//! # What it does not do
//!
//! It prints nothing and takes no signal. It changes which processors its thread may use while it
//! runs a job on one processor.
//!
//! # Examples
//!
//! ```
//! use chat_compare::Candidate;
//!
//! let candidate: Candidate = "mine=./server --threads 4".parse().unwrap();
//! assert_eq!(candidate.name(), "mine");
//! assert!("mine=@nowhere".parse::<Candidate>().is_err());
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod candidate;
mod job;
mod order;
mod outcome;
mod placement;
mod plan;
pub mod report;

pub use candidate::{Candidate, CandidateError};
pub use chat_results::comparison::Comparison;
pub use job::{Job, Preset, SWEEP_MAX, SweepError, sweep_rates, sweep_windows};
pub use plan::{Plan, Turn};
