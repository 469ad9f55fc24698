//! The events of one client.

use std::fmt;

use crate::{MESSAGE_COUNT_MAX, MessageId};

/// The sends and receipts of one client, in the order in which they happened.
///
/// Record a send before you write the first byte of the message, and a receipt after you have read
/// its last byte. Then a receipt that precedes a send here preceded it in truth, and the
/// conclusions of [`check`](crate::check) hold.
///
/// Layout: 4 bytes an event, `| kind: 2 bits | message: 30 bits |`, from the highest bit down. The
/// kinds are 0 for a receipt, 1 for a send, 2 for a receipt with another content, and 3 for a
/// phantom, whose message bits mean nothing. Recording takes constant time. It allocates only when
/// the record becomes longer than it ever was.
///
/// # Examples
///
/// ```
/// use chat_check::{MessageId, Record, Violation, check};
///
/// let message = MessageId::new(0).unwrap();
/// let mut record = Record::new();
/// record.sent(message);
/// record.received(message);
/// assert!(check(std::slice::from_ref(&record)).is_ok());
///
/// record.received(message);
/// assert_eq!(check(&[record]), Err(Violation::Duplicate { client: 0, message }));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    // Invariant: every message sent in `events` has an index below `sent_end`.
    // Invariant: `sent_count` of the events are sends.
    events: Vec<Packed>,
    sent_end: u32,
    sent_count: usize,
}

impl Record {
    /// Makes an empty record. Allocates nothing yet.
    pub const fn new() -> Self {
        Self {
            events: Vec::new(),
            sent_end: 0,
            sent_count: 0,
        }
    }

    /// Records that the client sent `message`.
    ///
    /// A message has one sender, and is sent once. If not, the violation is
    /// [`SentTwice`](crate::Violation::SentTwice).
    pub fn sent(&mut self, message: MessageId) {
        self.sent_end = self.sent_end.max(message.index() + 1);
        self.sent_count += 1;
        self.events.push(Packed::new(SENT, message));
        debug_assert!(message.index() < self.sent_end && self.sent_count <= self.events.len());
    }

    /// Records that the client received `message`, with the content it was sent with.
    pub fn received(&mut self, message: MessageId) {
        self.events.push(Packed::new(RECEIVED, message));
    }

    /// Records that the client received `count` messages, `first` and those numbered next, in this
    /// order.
    ///
    /// The same as so many calls of [`received`](Self::received), at a fraction of the time.
    ///
    /// # Panics
    ///
    /// When the last of them would be numbered [`MESSAGE_COUNT_MAX`] or more. Nothing is recorded
    /// then.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_check::{MessageId, Record};
    ///
    /// let [a, b] = [7, 8].map(|index| MessageId::new(index).unwrap());
    /// let (mut one_by_one, mut at_once) = (Record::new(), Record::new());
    /// one_by_one.received(a);
    /// one_by_one.received(b);
    /// at_once.received_run(a, 2);
    /// assert_eq!(at_once, one_by_one);
    /// ```
    pub fn received_run(&mut self, first: MessageId, count: u32) {
        assert!(
            count <= MESSAGE_COUNT_MAX - first.index(),
            "a run of {count} from {first} on goes past the highest number"
        );
        let indexes = first.index()..first.index() + count;
        self.events.extend(indexes.map(|index| Packed {
            bits: RECEIVED | index,
        }));
    }

    /// Records that the client received `message` with another content than it was sent with.
    pub fn received_corrupt(&mut self, message: MessageId) {
        self.events.push(Packed::new(CORRUPT, message));
    }

    /// Records that the client received something that is none of the messages sent.
    ///
    /// A message that was received, but that no record sent, counts as a phantom without this.
    pub fn received_phantom(&mut self) {
        self.events.push(Packed { bits: PHANTOM });
    }

    /// Returns the messages that the client received with the content they were sent with, in
    /// order.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_check::{MessageId, Record};
    ///
    /// let [a, b] = [0, 1].map(|index| MessageId::new(index).unwrap());
    /// let mut record = Record::new();
    /// record.sent(a);
    /// record.received_run(a, 2);
    /// assert!(record.received_messages().eq([a, b]));
    /// ```
    pub fn received_messages(&self) -> impl Iterator<Item = MessageId> {
        self.events.iter().filter_map(|event| match event.unpack() {
            Event::Received(message) => Some(message),
            Event::Sent(_) | Event::Corrupt(_) | Event::Phantom => None,
        })
    }

    /// Returns the events, one word each, in the layout of [`Record`], to store them.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_check::{MessageId, Record};
    ///
    /// let mut record = Record::new();
    /// record.sent(MessageId::new(3).unwrap());
    /// record.received_phantom();
    /// assert_eq!(Record::from_words(record.words()), record);
    /// ```
    pub fn words(&self) -> impl ExactSizeIterator<Item = u32> {
        self.events.iter().map(|event| event.bits)
    }

    /// Makes a record of events in the layout of [`Record`]. Any word is an event.
    pub fn from_words(words: impl IntoIterator<Item = u32>) -> Self {
        let events: Vec<Packed> = words.into_iter().map(|bits| Packed { bits }).collect();
        let sent = || events.iter().filter(|event| event.is_sent());
        let sent_end = sent()
            .map(|event| event.message().index() + 1)
            .max()
            .unwrap_or(0);
        Self {
            sent_count: sent().count(),
            sent_end,
            events,
        }
    }

    /// Forgets all events and keeps the allocation.
    pub fn clear(&mut self) {
        self.events.clear();
        self.sent_end = 0;
        self.sent_count = 0;
    }

    pub(crate) fn events(&self) -> &[Packed] {
        &self.events
    }

    /// Returns how many of the events are deliveries of any kind.
    pub fn delivery_count(&self) -> usize {
        self.events.len() - self.sent_count
    }

    /// Returns a number above the indexes of all messages sent.
    pub(crate) fn sent_end(&self) -> usize {
        self.sent_end as usize
    }
}

/// One event of a client, in 4 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    bits: u32,
}

impl Packed {
    const fn new(kind: u32, message: MessageId) -> Self {
        Self {
            bits: kind | message.index(),
        }
    }

    pub(crate) const fn unpack(self) -> Event {
        let message = MessageId::from_low_bits(self.bits);
        match self.bits & KIND_MASK {
            RECEIVED => Event::Received(message),
            SENT => Event::Sent(message),
            CORRUPT => Event::Corrupt(message),
            _ => Event::Phantom,
        }
    }

    pub(crate) const fn is_sent(self) -> bool {
        self.bits & KIND_MASK == SENT
    }

    /// Returns the message of an event that has one.
    pub(crate) const fn message(self) -> MessageId {
        MessageId::from_low_bits(self.bits)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(f)
    }
}

/// One event of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Received(MessageId),
    Sent(MessageId),
    Corrupt(MessageId),
    Phantom,
}

/// The bits of an event that are its kind. They have no values but the four kinds below.
const KIND_MASK: u32 = !(MESSAGE_COUNT_MAX - 1);
const RECEIVED: u32 = 0;
const SENT: u32 = MESSAGE_COUNT_MAX;
const CORRUPT: u32 = 2 * MESSAGE_COUNT_MAX;
const PHANTOM: u32 = 3 * MESSAGE_COUNT_MAX;
