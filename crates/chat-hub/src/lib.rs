//! A broadcast fan-out over one bounded log of wire bytes.
//!
//! A [`Hub`] has any number of [`Publisher`]s and [`Subscriber`]s. Publishers append runs of whole
//! messages to the hub's log; every subscriber is a cursor into it, and reads the [`Batch`] of
//! messages that lies between its cursor and the log's end. What was received from a socket already
//! is what must be sent, so the log keeps the bytes as they are, and a batch is ready to be
//! written, many messages a system call, from memory that all subscribers share.
//!
//! The hub does no I/O, starts no thread, knows no clock and needs no runtime: it only calls the
//! wakers that it was polled with. It does not encode or decode either; that is
//! [chat-proto](chat_proto)'s work, whose [`Messages`](chat_proto::Messages) prove that what is
//! published is whole.
//!
//! # Three ways of waiting
//!
//! | You have | Publish | Read | When the socket is full |
//! |---|---|---|---|
//! | async tasks | [`Publisher::publish`] | [`Subscriber::next_batch`] | [`Subscriber::block`] |
//! | threads | [`Publisher::publish_blocking`] | [`Subscriber::next_batch_blocking`] | [`Subscriber::block_unasked`], before the write |
//! | an event loop | [`Publisher::poll_publish`] | [`Subscriber::poll_batch`] | [`Subscriber::block`] |
//!
//! For an event loop, a waker is whatever makes its wait end and tells whose turn it is: implement
//! [`Wake`](std::task::Wake) for it, and expect to be told more than once. An async task that
//! writes to a socket calls [`Subscriber::block`] inside [`poll_fn`](std::future::poll_fn), where
//! the write is pending. To try without waiting, poll with [`Waker::noop`](std::task::Waker::noop).
//! The directory `examples` has a server for each.
//!
//! # Order
//!
//! There is one log, so there is one order. Every subscriber sees a subsequence of it: all messages
//! from its joining on, but for those it lost, and it learns exactly how many those were. A message
//! that was published after its publisher had read another stands after that other.
//!
//! # Fairness
//!
//! **A subscriber that can be written to never loses a message.** While one is more than half the
//! log behind, publishers wait for it; they look for such subscribers a few times a log's length,
//! not at every message. A subscriber is waited for from its first read on, until it says with
//! [`Subscriber::block`] that its socket is full. So whoever reads a batch goes on reading until
//! there is nothing to read, or says that it cannot. Before a blocked subscriber is overrun it is
//! asked whether it still is, and publishers wait for the answer: what is lost is lost to a full
//! socket, not to a task that did not get its turn. (A thread that writes to a blocking socket
//! cannot answer, and says so before every write with [`Subscriber::block_unasked`]. So it is
//! threads alone that can lose messages to their scheduling, a whole log at a time.)
//!
//! # Lagging
//!
//! A subscriber that is blocked is not waited for. When the log's end has moved on by the log's
//! capacity, the bytes at the subscriber's cursor are let go: the log *overruns* it. What happens
//! then is the hub's [`Policy`]: it may go on with newer messages ([`Oldest`](Policy::Oldest), the
//! default), keep what was queued for it and miss what comes after ([`Newest`](Policy::Newest)), or
//! be disconnected ([`Disconnect`](Policy::Disconnect)). By [`Block`](Policy::Block) it does not
//! come to that: publishers wait for those that are blocked, too. The table at [`Policy`] says who
//! pays for what. [`Batch::dropped`] tells how many messages were lost. Only whole messages are
//! lost: who had begun to write one when its socket filled up gets the rest of it from
//! [`Batch::consume`] and owes it to the socket, whatever the log does meanwhile.
//!
//! For every subscriber, delivered + dropped + still to be read = published since it joined (and
//! until it was disconnected). The hub learns of what was delivered with the subscriber's next
//! call.
//!
//! # Closing
//!
//! [`Hub::close`] ends publishing at once. Subscribers read what is in the log, and then the end.
//! [`Subscriber::end_at`] does the same for one subscriber at a place of its choice.
//!
//! # Cost
//!
//! A publish takes one lock, copies the bytes once and wakes the subscribers that had read
//! everything, after the lock is released. A read takes one lock and shares the bytes; two
//! kilobytes or less are copied instead. Memory stays below [`Config::with_capacity`] and the slack
//! that is stated there; while everybody keeps up, it is a block or two.
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
//! let (messages, _) = Messages::split(b"\x05hello\x05world");
//! publisher.publish(messages).await?;
//! hub.close();
//!
//! let batch = subscriber.next_batch().await.expect("two messages are there");
//! assert_eq!(batch.chunks().collect::<Vec<_>>(), [b"\x05hello\x05world"]);
//! let len = batch.len();
//! batch.consume(len);
//!
//! assert!(subscriber.next_batch().await.is_none());
//! assert!(publisher.publish(messages).await.is_err());
//! # Ok::<(), chat_hub::Closed>(())
//! # }).unwrap();
//! ```
#![warn(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod blocking;
mod hub;
mod log;
mod policy;
mod position;
mod publisher;
mod subscriber;
mod sync;
mod wait;

pub use hub::{CapacityTooSmall, Config, Hub, Stats};
pub use policy::Policy;
pub use position::Position;
pub use publisher::{Closed, Publisher};
pub use subscriber::{Batch, Subscriber};
