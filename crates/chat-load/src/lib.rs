//! Puts a broadcast chat server under load, from many connections on one thread.
//!
//! [`run`] plays one repetition of a [`Load`](chat_results::Load): everybody joins, publishers send
//! as its pacing has it, a closing round finds out what became of every message, everybody leaves.
//! What is sent and received goes through the [`Trace`](chat_trace::Trace) of the [`Bench`], times
//! go into its [`Latencies`]. A repetition ends early with a [`Stop`].
//!
//! The load sends bodies and is given bodies. How they travel is a [`Protocol`]: [`Chat`] is that of
//! the chat, and [`Nats`], [`Redis`] and [`Mqtt`] have all clients subscribe to one subject and
//! publish to it.
//!
//! # What it does not do
//!
//! It starts no server and takes no signal: it is told an address, or those of several servers that
//! promise one order together, over which it spreads the clients in turn ([`Addrs`]). And whoever is told how far it
//! is can end it. It judges nothing: whether the promise was kept, the trace knows. It is about
//! time, and reads the clock. `chat-stress` puts all of this together.
//!
//! # Examples
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use chat_load::{Bench, Chat, run};
//! use chat_results::Load;
//! use chat_trace::{Payloads, Strangers, Topology, Trace};
//!
//! let load = Load::default();
//! let payloads = Payloads::new(load.seed, load.size);
//! let trace = Trace::new(payloads, Topology::of(&load), load.check, Strangers::None);
//! let mut bench = Bench::new("127.0.0.1:8080".parse::<SocketAddr>()?, Chat, trace)?;
//! bench.trace.begin(0);
//! let ended = run(&load, &mut bench, &mut |_tick| Ok(()));
//! assert!(ended.stop.is_none() && bench.trace.evidence().verdict().is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod addrs;
mod antagonists;
mod bench;
mod conduct;
mod connection;
mod cuts;
mod engine;
mod inquiry;
mod intake;
mod latency;
mod outbox;
mod pacing;
mod pauses;
mod phases;
mod poller;
mod protocol;
mod quitters;
mod settle;
mod stop;
mod timeout;
mod tls;
mod wiring;

pub use addrs::Addrs;
pub use bench::{Bench, Ended, OnTick, run};
pub use conduct::Conduct;
pub use latency::Latencies;
pub use pacing::burst_len_min;
pub use protocol::{Chat, Content, Frame, Mqtt, Nats, Protocol, Redis, Refusal};
pub use stop::{Stop, Unresolved};
