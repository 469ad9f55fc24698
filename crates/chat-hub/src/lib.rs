//! A broadcast fan-out over one bounded log of wire bytes.
//!
//! A [`Hub`] has any number of [`Publisher`]s and [`Subscriber`]s. Publishers append runs of whole
//! messages to the hub's log. Every subscriber is a cursor into it, and reads the [`Batch`] of
//! messages between its cursor and the log's end. The bytes that were received from a socket are
//! the bytes that must be sent, so the log keeps them as they are. A batch is ready to be written,
//! many messages per system call, from memory that all subscribers share.
//!
//! The hub does no I/O, starts no thread, reads no clock and needs no runtime: it only calls the
//! wakers that it was polled with. It does not encode or decode either. That is the work of
//! [chat-proto](chat_proto), whose [`Messages`](chat_proto::Messages) prove that what is published
//! is whole.
//!
//! # Three ways of doing I/O
//!
//! | You have | Publish | Write to a stream | Keep time |
//! |---|---|---|---|
//! | async tasks | [`Publisher::publish`] | [`Writer::write`] | [`Clock::keep_time`] |
//! | threads | [`Publisher::publish_blocking`] | [`Writer::write_blocking`] | [`Clock::keep_time_blocking`] |
//! | an event loop | [`Publisher::poll_publish`] | [`Writer::advance`] | [`Clock::poll_due`] |
//!
//! For an event loop, a waker is anything that makes its wait end and tells whose turn it is:
//! implement [`Wake`](std::task::Wake) for it, and expect to be told more than once. The directory
//! `examples` has a server for each way.
//!
//! Where messages are not written to a stream, read batches: [`Subscriber::next_batch`],
//! [`Batch::messages`], [`Batch::next`].
//!
//! # Order
//!
//! There is one log, so there is one order. Every subscriber sees a subsequence of it: all messages
//! from its joining on, but for those it lost, and it learns exactly how many those were. A message
//! that was published after its publisher had read another stands after that other.
//!
//! # Fairness
//!
//! **A subscriber that keeps up loses nothing.** Publishers wait for it when it is more than an
//! eighth of the log behind (in a log of less than 512 KiB, a quarter or 64 KiB, whichever is
//! less). It keeps up as long as its stream takes all there is, or at least the bytes per second of
//! [`Config::with_rate`]. One that takes less for longer than [`Config::with_grace`] is a laggard:
//! publishers do not wait for it until it has caught up: until it has read everything, or has taken
//! half a log, without a loss, at no less than half the speed at which messages are published. The
//! hub learns how time passes from its [`Clock`]. Without one, a subscriber is a laggard as soon as
//! its stream is full.
//!
//! **Nobody who is not being served is waited for.** A subscriber is being served while its task
//! waits for messages or has been woken for some, while somebody holds its batch, and while its
//! stream is full and it keeps up. It is not served before its first read, after it gave a batch
//! back, after a wait was dropped, and after its end. A task that was woken and never comes is
//! given up by the clock after 16 graces, and a second at least.
//!
//! **Publishers take turns**, first come, first served, a part of bounded length each. From when a
//! publisher asks for its turn until it is polled in it, each other publisher publishes one part
//! at most.
//!
//! # Lagging
//!
//! When the log's end has moved on by the log's capacity since a laggard read last, the bytes at
//! its cursor are let go: the log *overruns* it. The hub's [`Policy`] says how it goes on: with
//! newer messages ([`Oldest`](Policy::Oldest), the default), with what was kept for it, missing
//! what came later ([`Newest`](Policy::Newest)), or not at all
//! ([`Disconnect`](Policy::Disconnect)). Under [`Block`](Policy::Block) it does not come to that:
//! publishers wait for laggards, too. Only whole messages are lost: a stream that has the beginning
//! of a message gets the rest of it. [`Batch::dropped`] and [`Subscriber::dropped`] count the
//! messages that were lost.
//!
//! For every subscriber, delivered + dropped + still to be read = published since it joined (and
//! until it was disconnected). The hub learns what was delivered with the subscriber's next call.
//!
//! # Closing
//!
//! [`Hub::close`] ends publishing. Subscribers read what is in the log, and then the end. The same
//! happens when the last hub handle and the last publisher are gone. [`Subscriber::end_at`] does it
//! for one subscriber at a place of its choice.
//!
//! # Cost
//!
//! A publish takes one lock for each 32 KiB, copies the bytes once and wakes the subscribers that
//! had read everything, after the lock is released. A read takes one lock and shares the bytes; two
//! kilobytes or less are copied instead. No lock is held for longer than some microseconds,
//! whatever the messages, but for the time to look at each of the subscribers that it is about:
//! those that are woken, those that are disconnected, and 128 of those that are judged. Memory
//! stays below [`Config::with_capacity`] and the slack that is stated there; while everybody keeps
//! up, it is a segment of 64 KiB or two.
//!
//! # Examples
//!
//! ```
//! use chat_hub::Hub;
//! use chat_proto::Messages;
//!
//! # futures::executor::block_on(async {
//! let hub = Hub::default();
//! let mut subscriber = hub.subscribe();
//! let mut publisher = hub.publisher();
//! let (mut messages, _) = Messages::split(b"\x05hello\x05world");
//! publisher.publish(&mut messages).await?;
//! hub.close();
//!
//! let batch = subscriber.next_batch().await.expect("two messages are there");
//! assert_eq!(batch.chunks().collect::<Vec<_>>(), [b"\x05hello\x05world"]);
//! batch.consume_all();
//!
//! assert!(subscriber.next_batch().await.is_none());
//! let (mut messages, _) = Messages::split(b"\x05hello");
//! assert!(publisher.publish(&mut messages).await.is_err());
//! # Ok::<(), chat_hub::Closed>(())
//! # }).unwrap();
//! ```
#![warn(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod batch;
mod blocking;
mod clock;
mod hub;
mod log;
mod monitor;
mod policy;
mod position;
mod publisher;
mod shared;
mod slots;
mod state;
mod subscriber;
mod sync;
mod turns;
mod wait;
mod writer;

pub use batch::Batch;
pub use clock::Clock;
pub use hub::{CapacityTooSmall, Config, Hub, Stats};
pub use monitor::{Monitor, SubscriberStats};
pub use policy::Policy;
pub use position::Position;
pub use publisher::{Closed, Publisher, TryPublishError};
pub use subscriber::{Ender, Subscriber, TryNextError};
pub use writer::{Progress, WriteError, Writer, would_block};
