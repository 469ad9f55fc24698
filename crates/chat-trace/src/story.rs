//! Whether the promise was kept, told for people.

use std::fmt;

use chat_check::{Step, StepKind, Violation};

use crate::arrival::Strange;
use crate::evidence::Evidence;
use crate::history::Misplaced;
use crate::payload::Kind;
use crate::sent_log::SentLog;
use crate::topology::Role;

/// A broken promise, told for people.
#[derive(Debug, thiserror::Error)]
#[error("the promise is broken ({class}): {story}")]
pub struct Conviction {
    /// The class of the violation, in one word.
    pub class: &'static str,
    /// Who received what.
    pub story: String,
}

impl Conviction {
    /// Says what usually causes this class of violation.
    pub fn hint(&self) -> &'static str {
        match self.class {
            "corrupt" => "a buffer that is filled again before all of it was written",
            "phantom" => {
                "two writers that share a socket, bytes that are forwarded as they are read, or the rest of \
                 a write that was taken in part"
            }
            "duplicate" => "a write that is begun again after a part of it was taken",
            "forgotten" => {
                "a sender that is skipped, or a queue that is not served again once it was full"
            }
            // All of these are about order.
            _ => {
                "messages that get their places in more than one lock, thread or task, or are written outside \
                 of it"
            }
        }
    }
}

/// How far the promise was found to be kept. Displayed, it follows a sentence about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// One order explains everything. So many messages were received behind one that was sent after
    /// they had arrived somewhere.
    Proved {
        /// How many.
        overtaken: u64,
    },
    /// All that was checked.
    Partly,
    /// Nothing was checked.
    Unchecked,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proved { .. } => "; no order was broken",
            Self::Partly => "; each sender's were in order",
            Self::Unchecked => "",
        })
    }
}

/// The name of a message, for people. Messages of each kind are counted from 0.
#[derive(Clone, Copy, Debug)]
pub struct MessageName {
    pub(crate) sender: Role,
    pub(crate) kind: Kind,
    pub(crate) number: u32,
}

impl MessageName {
    /// Returns the name without the sender.
    fn unowned(&self) -> String {
        let kind = match self.kind {
            Kind::Hello => "hello message",
            Kind::Load => "message",
            Kind::Probe => "probe message",
            Kind::Closing => "closing message",
        };
        format!("{kind} {}", self.number)
    }
}

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'s {}", self.sender, self.unowned())
    }
}

impl Evidence {
    /// Tells a violation that `chat_check` found.
    pub(crate) fn conviction(&self, violation: Violation) -> Conviction {
        let class = match &violation {
            Violation::Corrupt { .. } => "corrupt",
            Violation::Phantom { .. } => "phantom",
            Violation::Duplicate { .. } => "duplicate",
            Violation::Reordered { .. } => "reordered",
            Violation::Contradiction { .. } => "contradiction",
            Violation::Causal { .. } => "causal",
            _ => "violation",
        };
        let named = violation.map(|message| self.sent().name_of(message));
        Conviction {
            class,
            story: self.story(&named),
        }
    }

    fn story(&self, violation: &Violation<MessageName>) -> String {
        let role = |client: &usize| self.topology().role(*client);
        match violation {
            Violation::Corrupt { client, message } => {
                let difference = match self.strange() {
                    Some(Strange::Corrupt(_, difference)) => format!(": {difference}"),
                    // A recording does not have it.
                    _ => String::new(),
                };
                format!(
                    "{} received {message} with another length or content than it was sent with{difference}",
                    role(client)
                )
            }
            Violation::Phantom { client, .. } => {
                let strange = self.strange().map_or_else(
                    || "a message that nobody sent".to_owned(),
                    |strange| strange.story(self.sent()),
                );
                format!("{} received {strange}", role(client))
            }
            Violation::Duplicate { client, message } => {
                format!("{} received {message} more than once", role(client))
            }
            other if !other.story().is_empty() => self.steps_story(other.story()),
            other => other.to_string(),
        }
    }

    /// Tells steps that lead from a message back to itself.
    fn steps_story(&self, steps: &[Step<MessageName>]) -> String {
        if let [first, second] = steps {
            let deed = match second.kind {
                StepKind::Sent => "sent",
                StepKind::Received => "received",
                StepKind::ReceivedBeforeSent => {
                    return format!("{}, {}", self.step(first), self.step(second));
                }
            };
            return format!(
                "{}, {} {deed} them the other way round",
                self.step(first),
                self.topology().role(second.client)
            );
        }
        let told: Vec<String> = steps.iter().map(|step| self.step(step)).collect();
        told.join(", ")
    }

    fn step(&self, step: &Step<MessageName>) -> String {
        let Step {
            client,
            kind,
            before,
            after,
        } = step;
        let role = self.topology().role(*client);
        match kind {
            StepKind::Sent => format!(
                "{role} sent its {} before its {}",
                before.unowned(),
                after.unowned()
            ),
            StepKind::Received => format!("{role} received {before} before {after}"),
            StepKind::ReceivedBeforeSent => format!(
                "{role} received {before} before it sent its {}",
                after.unowned()
            ),
        }
    }
}

impl Strange {
    /// Tells what arrived that is no delivery of a message in its place.
    pub(crate) fn story(self, sent: &SentLog) -> String {
        match self {
            Self::Untagged(excerpt) => {
                format!("a message of {excerpt}, shorter than any that was sent")
            }
            Self::Unfinished { len } => {
                format!(
                    "{len} bytes of a message whose end never came, behind all that was owed to it"
                )
            }
            Self::Damaged(excerpt) if excerpt.is_unfinished() => {
                "the beginning of a message whose sender left inside it, which rule 8 has the server discard"
                    .to_owned()
            }
            Self::Damaged(excerpt) => {
                format!(
                    "a message that nobody sent, or one whose first bytes are damaged: {excerpt}"
                )
            }
            Self::Inside(tag) => {
                format!(
                    "bytes that are no message, with {} inside: the boundaries between messages are lost",
                    sent.name(tag.client.into(), tag.number)
                )
            }
            Self::Replayed(tag, misplaced) => {
                let how = match misplaced {
                    Misplaced::Passed => "again, or after a later one of the same sender",
                    Misplaced::Overtaken => "after another that others had received later",
                    Misplaced::OfEarlier => "after one of a later iteration",
                    Misplaced::Late => "after one of this iteration",
                };
                format!("a message of iteration {} {how}", tag.run)
            }
            Self::Corrupt(tag, difference) => {
                format!(
                    "{} with another length or content than it was sent with: {difference}",
                    sent.name(tag.client.into(), tag.number)
                )
            }
            Self::Unsent(tag, excerpt) => {
                format!(
                    "a message that nobody sent, of {excerpt}: it says it is number {} of client {}",
                    tag.number, tag.client
                )
            }
            Self::OutOfOrder {
                sender,
                number,
                next,
            } => {
                format!(
                    "{} after {}",
                    sent.name(sender, number),
                    sent.name(sender, next - 1)
                )
            }
        }
    }
}
