//! The hub's protocol, proved: loom runs each of these small programs once for every order in which
//! its threads can take their steps. A thread that sleeps for ever in one of them is reported as a
//! deadlock, a handle that is never freed as a leak.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p chat-hub --test loom --release` runs them; with `--
//! --nocapture` it tells how many orders there were. Where there are too many, a bound on
//! preemptions cuts them: on switches away from a thread that could have gone on, while those
//! away from a thread that waits stay free. A lost wake-up takes one, between looking and
//! registering; each bound is above that.
#![cfg(loom)]

/// Who keeps up, and for how long others are waited for.
mod clock;
/// How the hub and its users end.
mod ending;
/// Runs a model in every order of its steps.
mod explore;
/// What the other policies change in all that.
mod policies;
/// Who waits and who is woken, under `Oldest`.
mod protocol;
/// Who is served, and so waited for.
mod serving;
/// Streams that are full for a while.
mod socket;
/// What the threads of a model do.
mod steps;
/// Who publishes when.
mod turns;
/// What the tests share with the other test crates.
#[expect(dead_code, reason = "the other test crates use the rest")]
#[path = "../it/util.rs"]
mod util;
/// What wakers may do when they are dropped.
mod wakers;
/// What wakers may do when they are woken.
mod waking;
