//! One order over several chat servers.
//!
//! Several servers serve one room with one total order of messages: that of a replicated stream,
//! such as one of NATS JetStream. This crate is the logic of one node, without I/O: what it
//! publishes to the stream, and what it makes of what it reads there. Time-outs, connections and
//! the log that clients read from are its user's. With the feature `jetstream`, the module of that
//! name runs a node against a stream of NATS.
//!
//! - A [`Node`] delivers nothing but what it reads from the stream, in the stream's order. So no
//!   client sees a message before the message has its place, and a reply stands after what it
//!   replies to.
//! - What clients send is collected in batches of up to [`BATCH_LEN_MAX`] bytes, and *one* publish
//!   is under way at a time. One that may have failed is repeated under the same id. Two under way
//!   would change places when the first fails.
//! - A [`Filter`] decides which entries count, by nothing but the entries before it: repeated ones,
//!   and those of a node's earlier runs, are skipped on all nodes alike. So all logs are equal.
//! - A node that joins begins with a snapshot of the filter that stands in the stream, and with the
//!   entries after it. That is exact, however late a publish of a run long gone arrives; a filter
//!   from the last minute of history would not be.
//! - A message is *acknowledged* when its batch comes back and counts, not when the stream has
//!   confirmed the publish: a batch of a superseded run is confirmed, too, and is skipped.
//! - A batch tells what its node had read before it. A node that has read something else ends: the
//!   replicas of the stream differ, and two orders would be worse than none. See [`Fingerprint`].
//!
//! Not promised: the order of a client's messages across a reconnect, and those that were accepted
//! and not acknowledged when a node dies or the stream is lost. There may be as many of them as the
//! outbox holds.
//!
//! # Examples
//!
//! ```
//! use chat_cluster::{Config, Node, Read, StreamInfo, Token};
//! use chat_proto::Messages;
//!
//! let config = Config { id: "left".parse()?, token: Token(7), outbox_len_max: 1 << 20 };
//! let stream = StreamInfo { id: 1, first: 1, last: 0 };
//! let mut node = Node::join(config, stream, None)?;
//!
//! // Nothing is accepted before the node's opening has come back.
//! let opening = node.next_publish().unwrap().bytes.to_vec();
//! assert!(!node.is_serving());
//! assert_eq!(node.read(1, &opening)?, Read::Serve);
//!
//! // One that joins next finds a snapshot.
//! let snapshot = node.next_publish().unwrap();
//! let (id, bytes) = (snapshot.id, snapshot.bytes.to_vec());
//! node.acknowledged(id, 2);
//! assert_eq!(node.read(2, &bytes)?, Read::Quiet);
//!
//! let mark = node.accept(&mut Messages::split(b"\x02hi").0).unwrap();
//! let batch = node.next_publish().unwrap().bytes.to_vec();
//! assert_eq!(node.next_publish(), None, "one at a time");
//! let Read::Deliver { messages, own } = node.read(3, &batch)? else { panic!() };
//! assert_eq!(messages.as_bytes(), b"\x02hi");
//! assert_eq!(own.unwrap().offset(mark), Some(3));
//!
//! // Repeated, it does not count again.
//! assert!(matches!(node.read(4, &batch)?, Read::Skipped(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod envelope;
mod filter;
mod fingerprint;
mod id;
#[cfg(feature = "jetstream")]
pub mod jetstream;
mod node;
mod outbox;
mod publish;
mod read;
mod stream;

pub use config::Config;
pub use envelope::{BATCH_LEN_MAX, Envelope, EnvelopeError, Header};
pub use filter::{Filter, NODES_MAX, Skip};
pub use fingerprint::Fingerprint;
pub use id::{MessageId, NODE_ID_LEN_MAX, NodeId, NodeIdError, Token};
pub use node::{Node, SNAPSHOT_INTERVAL};
pub use outbox::{Mark, Own};
pub use publish::Publish;
pub use read::Read;
pub use stream::{Counts, Ended, JoinError, StreamInfo};
