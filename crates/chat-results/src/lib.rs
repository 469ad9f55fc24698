//! What a load on a broadcast chat server is, and what it found: plain data.
//!
//! [`Load`] is what is asked of a server. [`Results`] is all that a run has found. Everything that is printed, stored, judged and compared
//! afterwards is derived from it, and from nothing else. [`Tick`] is how far a run is while it goes
//! on. [`Quantity`] reads and writes figures in the units of people. [`judge`] decides what results
//! come to: against thresholds, against the results of an earlier run, and against the limits of
//! the load tester itself.
//!
//! # What it does not do
//!
//! It does no I/O, reads no clock, and opens no connection. How results look on paper is the
//! business of `chat-report`.
//!
//! # Examples
//!
//! ```
//! use chat_results::judge::Thresholds;
//! use chat_results::{Quantity, sample};
//!
//! let results = sample::results();
//! let thresholds: Thresholds = "drop>1%,p99>5ms".parse().unwrap();
//! assert_eq!(thresholds.crossed(&results).all(), ["`drop>1%` holds: drop is 2 %"]);
//!
//! assert_eq!(Quantity::Time.show(7215.0), "7.215 ms");
//! assert_eq!(Quantity::Time.read(1.0, "furlong"), None);
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

pub mod comparison;
mod distribution;
mod environment;
pub mod gallery;
mod health;
pub mod judge;
mod load;
mod progress;
mod results;
/// Results to test with.
pub mod sample;
pub mod statistics;
mod text;
mod timeline;
mod units;

pub use distribution::{Distribution, Latency, Quantile, Summary};
pub use environment::Environment;
pub use health::{Health, Limit, ProcessorWait};
pub use load::{BodyLens, BodyLensError, Check, Load, Pacing, Slow, SlowError, random_seed};
pub use progress::{Count, Observer, Phase, Tick};
pub use results::{
    Asked, Counts, Drops, Isolation, Order, Repetition, Results, ServerSeen, VERSION, Verdict,
    Violation,
};
pub use text::{
    TextError, parse_count, parse_per_second, parse_rate, parse_some_time, parse_time,
    parse_timeout,
};
pub use timeline::{CurvePoint, INTERVAL_S, MOMENT_COUNT_MAX, Moment, Timeline};
pub use units::Quantity;
