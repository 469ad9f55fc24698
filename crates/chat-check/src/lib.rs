//! Decides whether recorded runs of a broadcast server kept the ordering promise.
//!
//! A broadcast server forwards every message to every client, and promises one total order of all
//! messages. This crate takes one [`Record`] per client, of its sends and receipts. [`check`]
//! decides whether **one** order of all messages exists that
//!
//! 1. has every client's received messages as a subsequence, so dropped messages are fine;
//! 2. keeps the order in which each client sent;
//! 3. is causal: a message that a client sent after receiving another stands after that other.
//!
//! If it does, the answer is that order. If not, the answer is a [`Violation`]: the shortest story
//! found of why no order can exist. A verdict of either kind is a proof, not a sample. Comparing
//! clients pair by pair would not be one: three clients that received `a b`, `b c` and `c a` agree
//! in every pair, and no order has all three.
//!
//! # What it does not do
//!
//! It does no I/O, knows no clock and no wire format, and starts no thread. So it says nothing
//! about how late a message was, and nothing about messages that never arrived: any number of drops
//! is consistent. It does not compare contents. Compare them yourself when you record a delivery,
//! and call [`Record::received`], [`Record::received_corrupt`] or [`Record::received_phantom`].
//!
//! It concludes only from what a client knew. A receipt before a send in one record orders the two
//! messages. A receipt after a send does not, because the message may have been under way. The
//! times at which two clients did something prove nothing.
//!
//! # How it decides
//!
//! Every list of sent or received messages is a queue. A message is taken when it is at the head of
//! each queue it occurs in. This is a topological sort whose edges are the neighbours in the lists,
//! and no edge is stored. When no message is left, the messages were taken in an order that keeps
//! the promise. When all heads wait for one another, they are on a cycle, and its shortest form is
//! the story.
//!
//! Before that, all that the list of the client with the most deliveries already says is left out
//! of the other lists. If that client missed little, little remains to merge.
//!
//! Source: A. B. Kahn, "Topological sorting of large networks", Communications of the ACM 5(11),
//! 1962.
//!
//! # What it costs
//!
//! Time grows with the number of events alone: each is looked at a fixed number of times, however
//! many clients there are.
//!
//! | For each | Bytes | Where |
//! |---|---|---|
//! | delivery or send | 4 | [`Record`] |
//! | send, and delivery next to one that the client with the most deliveries missed | up to 8 more | [`check`] |
//! | message | 12 | [`check`], of which 4 stay in [`Consistent`] |
//! | client | 88 | 40 in [`Record`], 48 in [`check`] |
//!
//! Messages are counted up to the highest [`MessageId`] sent, so number them from 0 without gaps.
//! Finding the story of a violation takes at most 128 KiB, 14 bytes per message and 1 KiB per
//! client.
//!
//! # Examples
//!
//! ```
//! use chat_check::{MessageId, Record, check};
//!
//! let [hello, hi, bye] = [0, 1, 2].map(|index| MessageId::new(index).unwrap());
//!
//! let mut alice = Record::new();
//! alice.sent(hello);
//! alice.received(hello);
//! alice.received(hi);
//! alice.sent(bye);
//!
//! let mut bob = Record::new();
//! bob.received(hello);
//! bob.sent(hi);
//! bob.received(bye); // `hi` was dropped for its sender, which is allowed.
//!
//! let consistent = check(&[alice.clone(), bob.clone()]).unwrap();
//! assert_eq!(consistent.order(), [hello, hi, bye]);
//! assert_eq!(consistent.delivery_count(), 4);
//!
//! // Bob answered what Alice had sent, and Carol sees the answer first.
//! let mut carol = Record::new();
//! carol.received(hi);
//! carol.received(hello);
//!
//! let violation = check(&[alice, bob, carol]).unwrap_err();
//! let story = "client 0 received message 0 before message 1, \
//!              client 2 received message 1 before message 0";
//! assert_eq!(violation.to_string(), story);
//!
//! // The same story, with names for the messages.
//! let names = ["hello", "hi", "bye"];
//! let named = violation.map(|message| names[message.index() as usize]);
//! let story = "client 0 received hello before hi, client 2 received hi before hello";
//! assert_eq!(named.to_string(), story);
//! ```

#![warn(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod check;
mod cycle;
mod faults;
mod merge;
mod message;
mod record;
mod reduced;
mod violation;

pub use check::{Consistent, check};
pub use message::{MessageId, MessageIdTooLarge};
pub use record::Record;
pub use violation::{Step, StepKind, Violation};

/// How many messages records can contain: as many as 30 of the 32 bits of an event can number. The
/// other two bits are the kind of the event.
pub const MESSAGE_COUNT_MAX: u32 = 1 << 30;

/// How many clients can be checked together. 32 bits can then number the two lists of each. A
/// judgement: far more than any run has.
pub const CLIENT_COUNT_MAX: usize = 1 << 30;
