//! Fault schedules for a chat server, from seeds, with the proof that the order was kept.
//!
//! A [`Schedule`] is drawn from a seed: how the server is started, who joins when and through which
//! toxics, who talks, answers, stalls, leaves or resets, and what happens to the server meanwhile.
//! [`run`] plays it against a server and returns a [`Report`] for each member. [`judge`] says
//! whether all that they saw keeps the specification: one causal order (chat-check), whole messages
//! with the content that was sent, nothing from unfinished ones, and the end that each was owed.
//! Where the server may drop nothing, it also holds that nobody missed anything.
//!
//! [`Target`] is the real server as a process, with its memory and descriptors. [`Crowd`] is many
//! clients that are connected at once.
//!
//! # What it does not do
//!
//! It measures no speed: all loads are small. The same seed draws the same schedule, but threads
//! and the network decide which bytes meet; a failure may need its seed more than once.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod body;
mod crowd;
mod draw;
mod judge;
mod member;
mod run;
mod schedule;
mod target;

pub use crowd::{Crowd, socket_memory};
pub use judge::{Facts, Fault, judge};
pub use member::{Ended, Report};
pub use run::{Proof, RunError, Trial, prove, run};
pub use schedule::{Event, Leave, Member, Reading, STRANGER, Schedule, Stay};
pub use target::{Target, TargetError};
