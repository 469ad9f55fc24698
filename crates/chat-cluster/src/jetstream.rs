//! A node over a stream of NATS JetStream.
//!
//! [`join`] starts a thread with a runtime of its own, which runs a [`Node`](crate::Node) against a
//! stream: it creates the stream or checks that it keeps the promise, reads its entries, publishes
//! one batch at a time, and comes back by itself after the stream or the network was away. Nothing
//! of that runtime is seen outside: a [`Member`] makes a [`Sender`] for each client, and
//! [`Deliveries`] are the messages of all clients of all nodes in their order. All of them can be
//! polled on any runtime.
//!
//! What is held is bounded: what was accepted and has not come back by
//! [`Settings::outbox_len_max`], what came and was not taken by
//! [`DELIVERY_COUNT_MAX`] batches. Where those who take deliveries stop, the node stops reading; it
//! goes on with publishing.
//!
//! # The stream
//!
//! It has two subjects: `chat-cluster.NAME.entries` with openings and batches, and
//! `chat-cluster.NAME.snapshots`. A stream whose settings would break the promise is refused, and
//! the reason says which one: see [`RefuseError`].
//!
//! # Away
//!
//! The stream is [away](State::Away) when there is no connection, when it does not answer, or when it
//! takes nothing, as without a leader. Nothing is delivered then, not even to the clients of the same
//! node. The outbox fills, and then [`Sender::poll_ready`] is pending. Everything goes on when the
//! stream is back.

mod connect;
mod delivery;
mod driver;
mod figures;
mod member;
mod reading;
mod settings;
mod shared;
mod state;
mod stream;

pub use delivery::{DELIVERY_COUNT_MAX, Deliveries, Delivery};
pub use figures::{BATCH_LEN_BOUNDS, Figures, ROUND_TRIP_BOUNDS};
pub use member::{Gone, Member, Sender};
pub use settings::{
    Login, OUTBOX_LEN_MIN, Secret, SecretError, Server, ServerError, Settings, Storage, StreamName,
    StreamNameError, TlsFiles,
};
pub use state::{End, State};
pub use stream::{MAX_BYTES_MIN, RefuseError};

use std::io;
use std::thread;

/// Starts to join a cluster, on a thread of its own. The thread ends when the member has left, when
/// its life is over, or when the deliveries are dropped.
///
/// # Errors
///
/// When the system starts no thread. All else is a [`State`] of the member.
pub fn join(settings: Settings) -> io::Result<(Member, Deliveries)> {
    let (sender, deliveries) = delivery::channel();
    let member = Member::new();
    let shared = member.shared();
    thread::Builder::new()
        .name("cluster".to_owned())
        .spawn(move || driver::run(settings, &shared, sender))?;
    Ok((member, deliveries))
}
