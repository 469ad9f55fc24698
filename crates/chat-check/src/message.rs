//! The numbers of messages.

use std::fmt;

use crate::MESSAGE_COUNT_MAX;

/// A message, identified by its number.
///
/// Give each message a number of its own. Count from 0 without gaps, because memory is used up to
/// the highest number sent. The numbers need not follow any order of the messages. `Display` prints
/// `message 17`.
///
/// # Examples
///
/// ```
/// use chat_check::{MESSAGE_COUNT_MAX, MessageId, MessageIdTooLarge};
///
/// let message = MessageId::new(17).unwrap();
/// assert_eq!(message.index(), 17);
/// assert_eq!(message.to_string(), "message 17");
///
/// let index = MESSAGE_COUNT_MAX;
/// assert_eq!(MessageId::new(index), Err(MessageIdTooLarge { index }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    // Invariant: index < MESSAGE_COUNT_MAX.
    index: u32,
}

impl MessageId {
    /// Takes `index` as the number of a message.
    ///
    /// # Errors
    ///
    /// [`MessageIdTooLarge`] when `index` is [`MESSAGE_COUNT_MAX`] or more. A delivery that claims
    /// such a number is a phantom: record
    /// it with [`Record::received_phantom`](crate::Record::received_phantom).
    pub const fn new(index: u32) -> Result<Self, MessageIdTooLarge> {
        if index >= MESSAGE_COUNT_MAX {
            return Err(MessageIdTooLarge { index });
        }
        Ok(Self { index })
    }

    /// Takes the low bits of an event.
    pub(crate) const fn from_low_bits(bits: u32) -> Self {
        Self {
            index: bits % MESSAGE_COUNT_MAX,
        }
    }

    /// Returns the number of the message.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Returns the place of the message in a table with one entry per message.
    pub(crate) const fn place(self) -> usize {
        self.index as usize
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", self.index)
    }
}

/// Says that a number is too large for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("messages are numbered below {MESSAGE_COUNT_MAX}, not {index}")]
pub struct MessageIdTooLarge {
    /// The number that was given.
    pub index: u32,
}
