//! Loads a broadcast chat server, and proves that it keeps its order promise.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod campaign;
mod failure;
mod limits;
mod monitor;
mod recheck;
mod run;
mod subject;
mod target;
mod totals;

pub use campaign::{Campaign, Findings, Stage};
pub use chat_load::{Latencies, Stop, Unresolved};
pub use chat_results::{
    BodyLens, Check, Count, Load, Observer, Order, Pacing, Phase, Results, Slow, Tick, Verdict,
};
pub use chat_target::{Interrupt, Launch, ServerError, null};
pub use chat_trace::{Conviction, Kept, recording::RecordingError};
pub use failure::Failure;
pub use limits::{LoadError, REPETITIONS_MAX, WINDOW_MAX, check_load};
pub use recheck::{RecheckError, Rechecked, recheck};
pub use run::{Measured, Run, run};
pub use target::{Served, Target};
