//! What the clients of a broadcast chat server sent and received, and whether one order explains it.
//!
//! A [`Trace`] makes the messages that clients send, so that each proves what it is: [`Payloads`]
//! draws every body from a seed. It takes what arrives, checks it to the last byte, and records it.
//! It keeps a [`SentLog`], and how far the [`Receivers`] are. All that a verdict needs is the
//! [`Evidence`]: its verdict is that of `chat_check` on the records, told for people, how far the
//! promise was [`Kept`], or a [`Conviction`] with the story of how it was broken. What was recorded
//! can be written to a file and judged again, see [`recording`].
//!
//! # Which drops convict
//!
//! Rule 6 of the specification lets a server drop whole messages for a client that does not keep up,
//! at a rate that the server states. The clients here take all that there is whenever their process
//! runs, but the rate is not known, and a server may have dropped what the load was too fast for. So
//! drops are counted, and no number of them convicts by itself: whether a tenth of the messages is
//! missing or nine tenths, the verdict is the same.
//!
//! One thing has no excuse, and it is [`LeftOut`]: a client gets *none* of the messages of one sender
//! from some point on, while others get them. It is decided in one way, whenever that begins, and
//! whether the sender is the client itself or another:
//!
//! 1. It is suspected when a sender waits for the client in vain for the load's timeout.
//! 2. The sender sends 200 messages more, a few at a time, so that they are too slow for nobody. At
//!    least half of them have to reach somebody.
//! 3. If one of them reaches the client, or a later one, it is not left out. Of a server that drops
//!    nine of ten messages at random, a client misses all 200 once in a billion times.
//! 4. Otherwise the client ends its sending side. By rule 9 it is owed all up to its own last message,
//!    and then the end. If none comes until the end of its stream, it was left out.
//!
//! A client whose process did not run meanwhile may not have kept up: then step 2 begins again, and
//! after too many times the run is inconclusive. Slow clients are never said to be left out.
//! Apart from that, a publisher is left out if it lost all of its own load messages, which others got,
//! and none of others'; there have to be at least 20 of each.
//!
//! # What it does not do
//!
//! It opens no connection and reads no clock: whoever sends and receives says when. It sees bodies,
//! and knows nothing of how messages stand on a wire. It concludes
//! that a message was dropped from later messages of the same sender only.
//!
//! # Examples
//!
//! ```
//! use chat_results::{BodyLens, Check};
//! use chat_trace::{Arrived, Kept, Kind, Payloads, Strangers, Times, Topology, Trace};
//!
//! let topology = Topology { publishers: 1, subscribers: 1, slow: 0, publishers_read: true };
//! let payloads = Payloads::new(7, BodyLens::ALL);
//! let mut trace = Trace::new(payloads, topology, Check::Full, Strangers::None);
//! trace.begin(0);
//!
//! let mut sent = Vec::new();
//! let times = Times { intended: 0, sent: 0, is_measured: true };
//! trace.send(0, Kind::Load, 3, times, |body| sent.push(body.to_vec()));
//! let arrived = sent.iter().map(|body| Arrived { body, message_len: 1 + body.len() });
//! for client in 0..2 {
//!     let mut arrived = arrived.clone();
//!     while trace.receive(client, &mut arrived).is_some() {}
//! }
//! assert_eq!(trace.evidence().verdict().unwrap(), Kept::Proved { overtaken: 0 });
//!
//! // The first message a second time.
//! trace.receive(1, &mut arrived.clone());
//! assert_eq!(trace.evidence().verdict().unwrap_err().class, "duplicate");
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod arrival;
mod budget;
mod evidence;
mod excerpt;
mod history;
mod left_out;
mod payload;
mod real_time;
mod receivers;
mod recent;
pub mod recording;
mod sends;
mod sent_log;
mod story;
mod topology;
mod trace;

pub use arrival::{Arrival, Arrived, Run};
pub use budget::{LOAD_MAX, MEMORY_MAX, memory_len};
pub use evidence::Evidence;
pub use left_out::LeftOut;
pub use payload::{BODY_LEN_MAX, CLIENTS_MAX, Kind, Payloads, Reading, Tag, UNFINISHED_BYTE};
pub use receivers::Receivers;
pub use sends::{Burst, Nanos, Sends, Times};
pub use sent_log::SentLog;
pub use story::{Conviction, Kept, MessageName};
pub use topology::{Role, Topology};
pub use trace::{Sent, Strangers, Trace};
