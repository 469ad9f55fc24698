//! The reasons why no order can exist.

use std::fmt;

/// The reason why no order of the messages keeps the promise, as the shortest story found.
///
/// Of several violations, the one whose variant stands first here is told; of contradictions and
/// causal violations, the one with the shortest story. Clients are indexes into the slice that was
/// checked. Messages are [`MessageId`](crate::MessageId)s until [`map`](Self::map) gives them
/// names.
///
/// # Examples
///
/// ```
/// use chat_check::{MessageId, Record, StepKind, Violation, check};
///
/// let [a, b] = [0, 1].map(|index| MessageId::new(index).unwrap());
/// let mut sender = Record::new();
/// sender.sent(a);
/// sender.sent(b);
/// let mut receiver = Record::new();
/// receiver.received(b);
/// receiver.received(a);
///
/// let violation = check(&[sender, receiver]).unwrap_err();
/// assert!(matches!(violation, Violation::Reordered { .. }));
/// let [sent, received] = violation.story() else { panic!("two steps") };
/// assert_eq!((sent.client, sent.kind), (0, StepKind::Sent));
/// assert_eq!((sent.before, sent.after), (a, b));
/// assert_eq!((received.client, received.kind), (1, StepKind::Received));
/// assert_eq!((received.before, received.after), (b, a));
/// let story = "client 0 sent message 0 before message 1, \
///              client 1 received message 1 before message 0";
/// assert_eq!(violation.to_string(), story);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation<M = crate::MessageId> {
    /// A message was sent twice. The records are at fault here, not the server: they gave two
    /// messages one number.
    #[error("client {client} sent {message}, client {again} sent it again")]
    SentTwice {
        /// The client that sent it first, in the order of the slice.
        client: usize,
        /// The client that sent it again, perhaps the same.
        again: usize,
        /// The message.
        message: M,
    },
    /// A message arrived with another content.
    #[error("client {client} received {message} with another content")]
    Corrupt {
        /// The client that received it.
        client: usize,
        /// The message.
        message: M,
    },
    /// A message arrived that nobody sent.
    #[error("client {client} received {} that nobody sent", named_or_not(.message.as_ref()))]
    Phantom {
        /// The client that received it.
        client: usize,
        /// The message it claims to be, if it claims to be one.
        message: Option<M>,
    },
    /// A message arrived at one client more than once.
    #[error("client {client} received {message} more than once")]
    Duplicate {
        /// The client that received it.
        client: usize,
        /// The message.
        message: M,
    },
    /// Two messages of one sender arrived in the other order.
    #[error("{}", Told(.story))]
    Reordered {
        /// The step of the sender, then that of the receiver.
        story: [Step<M>; 2],
    },
    /// Clients contradict each other about the order.
    #[error("{}", Told(.story))]
    Contradiction {
        /// Steps that lead from a message back to itself; see [`Violation::story`].
        story: Vec<Step<M>>,
    },
    /// Clients contradict each other about the order, if an answer comes after the message it
    /// answers.
    #[error("{}", Told(.story))]
    Causal {
        /// Steps that lead from a message back to itself, one at least of the kind
        /// [`StepKind::ReceivedBeforeSent`].
        story: Vec<Step<M>>,
    },
}

impl<M> Violation<M> {
    /// Replaces each message by the name that `name` returns for it, in the data and in the text.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_check::{MessageId, Violation};
    ///
    /// let violation = Violation::Duplicate { client: 3, message: MessageId::new(2012).unwrap() };
    /// let named = violation.map(|message| {
    ///     let (publisher, number) = (message.index() / 1000, message.index() % 1000);
    ///     format!("publisher {publisher}'s message {number}")
    /// });
    /// assert_eq!(named.to_string(), "client 3 received publisher 2's message 12 more than once");
    /// ```
    pub fn map<N>(self, mut name: impl FnMut(M) -> N) -> Violation<N> {
        match self {
            Self::SentTwice {
                client,
                again,
                message,
            } => Violation::SentTwice {
                client,
                again,
                message: name(message),
            },
            Self::Corrupt { client, message } => Violation::Corrupt {
                client,
                message: name(message),
            },
            Self::Phantom { client, message } => Violation::Phantom {
                client,
                message: message.map(name),
            },
            Self::Duplicate { client, message } => Violation::Duplicate {
                client,
                message: name(message),
            },
            Self::Reordered { story } => Violation::Reordered {
                story: story.map(|step| step.map(&mut name)),
            },
            Self::Contradiction { story } => Violation::Contradiction {
                story: map_all(story, name),
            },
            Self::Causal { story } => Violation::Causal {
                story: map_all(story, name),
            },
        }
    }

    /// Returns the steps that cannot all be in one order; none when a single delivery is the
    /// violation.
    ///
    /// Each step begins with the message the one before it ended with, and the last ends with the
    /// message the first began with: a message would have to stand before itself.
    pub fn story(&self) -> &[Step<M>] {
        match self {
            Self::Reordered { story } => story,
            Self::Contradiction { story } | Self::Causal { story } => story,
            Self::SentTwice { .. }
            | Self::Corrupt { .. }
            | Self::Phantom { .. }
            | Self::Duplicate { .. } => &[],
        }
    }
}

/// Two events in a client's record that put one message before another.
///
/// `Display` prints `client 3 received message 17 before message 12`, or the verbs of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step<M = crate::MessageId> {
    /// The client whose record has the two events.
    pub client: usize,
    /// The kinds of the two events.
    pub kind: StepKind,
    /// The message that stands earlier.
    pub before: M,
    /// The message that stands later.
    pub after: M,
}

impl<M> Step<M> {
    /// Replaces each message by the name that `name` returns for it.
    pub fn map<N>(self, mut name: impl FnMut(M) -> N) -> Step<N> {
        Step {
            client: self.client,
            kind: self.kind,
            before: name(self.before),
            after: name(self.after),
        }
    }
}

impl<M: fmt::Display> fmt::Display for Step<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            client,
            kind,
            before,
            after,
        } = self;
        match kind {
            StepKind::Sent => write!(f, "client {client} sent {before} before {after}"),
            StepKind::Received => write!(f, "client {client} received {before} before {after}"),
            StepKind::ReceivedBeforeSent => write!(
                f,
                "client {client} received {before} before it sent {after}"
            ),
        }
    }
}

/// The ways in which a record puts one message before another, the plainest first. There are no
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// The client sent both, in this order.
    Sent,
    /// The client received both, in this order.
    Received,
    /// The client received the first before it sent the second.
    ReceivedBeforeSent,
}

/// A story as one sentence.
struct Told<'a, M>(&'a [Step<M>]);

impl<M: fmt::Display> fmt::Display for Told<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{step}")?;
        }
        Ok(())
    }
}

fn named_or_not<M: fmt::Display>(message: Option<&M>) -> String {
    message.map_or_else(|| "a message".to_owned(), M::to_string)
}

fn map_all<M, N>(story: Vec<Step<M>>, mut name: impl FnMut(M) -> N) -> Vec<Step<N>> {
    story.into_iter().map(|step| step.map(&mut name)).collect()
}
