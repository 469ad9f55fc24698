//! What clients sent and the stream does not have.

use std::collections::VecDeque;
use std::ops::Range;

use chat_proto::Messages;

use crate::BATCH_LEN_MAX;

/// A place among all bytes that a node accepted from its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub(crate) u64);

/// The part of what a node accepted that has come back from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// From the mark before it to the mark after it.
    pub(crate) marks: Range<u64>,
}

/// Collects messages in batches, in the order of arrival, until they have come back.
///
/// Invariant: what is accepted and has not come back is at most `len_max` bytes.
#[derive(Debug)]
pub(crate) struct Outbox {
    len_max: usize,
    /// Batches that were not published; each at most `BATCH_LEN_MAX` bytes and never empty.
    queue: VecDeque<Vec<u8>>,
    /// Batches that were published and have not come back: their numbers and marks.
    away: VecDeque<(u64, Range<u64>)>,
    /// All bytes that were accepted.
    accepted: u64,
    /// Those of them that were published.
    published: u64,
    /// Those of them that have come back.
    returned: u64,
}

impl Own {
    /// Returns how many bytes of the batch stand before `mark`, if the mark is in the batch: what
    /// was accepted up to it ends that far after the batch's own place in the log.
    pub fn offset(&self, mark: Mark) -> Option<usize> {
        let is_inside = self.marks.start < mark.0 && mark.0 <= self.marks.end;
        is_inside.then(|| usize::try_from(mark.0 - self.marks.start).expect("a batch is small"))
    }
}

impl Outbox {
    pub(crate) fn new(len_max: usize) -> Self {
        Self {
            len_max,
            queue: VecDeque::new(),
            away: VecDeque::new(),
            accepted: 0,
            published: 0,
            returned: 0,
        }
    }

    /// Returns how many bytes were accepted and have not come back.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.accepted - self.returned).expect("it is at most len_max")
    }

    pub(crate) fn room(&self) -> usize {
        self.len_max - self.len()
    }

    /// Takes the messages that fit off the front.
    pub(crate) fn accept(&mut self, messages: &mut Messages<'_>) -> Mark {
        loop {
            let part = messages.take_len(self.room().min(BATCH_LEN_MAX));
            if part.is_empty() {
                break;
            }
            self.push(part);
        }
        debug_assert!(self.len() <= self.len_max);
        Mark(self.accepted)
    }

    /// Returns whether there is a batch to be published.
    pub(crate) fn has_next(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes the next batch out, to be published under this number.
    pub(crate) fn publish(&mut self, number: u64) -> Option<Vec<u8>> {
        let batch = self.queue.pop_front()?;
        let start = self.published;
        self.published += batch.len() as u64;
        self.away.push_back((number, start..self.published));
        Some(batch)
    }

    /// Notes that a batch has come back.
    pub(crate) fn came_back(&mut self, number: u64) -> Option<Own> {
        let (expected, marks) = self.away.pop_front()?;
        debug_assert_eq!(number, expected, "the filter lets them come in order only");
        self.returned = marks.end;
        Some(Own { marks })
    }

    /// Returns whether all has come back.
    pub(crate) fn is_empty(&self) -> bool {
        self.accepted == self.returned
    }

    fn push(&mut self, mut part: Messages<'_>) {
        self.accepted += part.as_bytes().len() as u64;
        if let Some(last) = self.queue.back_mut() {
            let fits = part.take_len(BATCH_LEN_MAX - last.len());
            last.extend_from_slice(fits.as_bytes());
        }
        if !part.is_empty() {
            self.queue.push_back(part.as_bytes().to_vec());
        }
    }
}
