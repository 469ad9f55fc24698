//! One node: what it publishes next, and what it makes of the entries of the stream.

mod reading;

use chat_proto::Messages;

use crate::fingerprint::Trail;
use crate::outbox::Outbox;
use crate::publish::{Flight, Publish};
use crate::{
    Config, Counts, Ended, Envelope, Filter, Header, JoinError, Mark, MessageId, StreamInfo,
};

/// How many entries after the last snapshot the next one is due. A node that joins reads about as
/// many. Judgement.
pub const SNAPSHOT_INTERVAL: u64 = 1000;

/// One node of a cluster, from joining to its end. It does no I/O and reads no clock.
///
/// A node has three phases: it reads the history until it has the filter of all the others, it
/// publishes the opening of its epoch, and it serves from the moment the opening comes back. Its
/// log has what comes after that.
#[derive(Debug)]
pub struct Node {
    config: Config,
    phase: Phase,
    stream_id: u64,
    /// The sequence of the entry that was read last.
    read: u64,
    filter: Filter,
    /// Of what has counted.
    trail: Trail,
    outbox: Outbox,
    /// The one publish under way, or to be sent again.
    flight: Option<Flight>,
    /// What was acknowledged and has not come back.
    due: Option<Due>,
    epoch: u64,
    /// The number of the next batch.
    number: u64,
    /// The newest entry that a snapshot in the stream is known to know.
    snapshot_as_of: Option<u64>,
    /// Whether a snapshot failed, and a batch goes before the next one: they may all fail.
    is_batch_first: bool,
    counts: Counts,
}

/// Where a publish of the node stands in the stream, as its acknowledgement says.
#[derive(Clone, Copy, Debug)]
struct Due {
    id: MessageId,
    sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reads the history, up to this sequence.
    Warming(u64),
    /// Is going to publish the opening.
    Opening,
    /// Has published the opening.
    Opened,
    Serving,
    /// Accepts nothing more.
    Leaving,
    Ended(Ended),
}

impl Node {
    /// Joins a cluster. `snapshot` is the entry with the newest snapshot in the stream, if there is
    /// one. Without one, and with one of another stream, the history is read from the start.
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the filter of the other nodes cannot be known from the stream.
    pub fn join(
        config: Config,
        stream: StreamInfo,
        snapshot: Option<&[u8]>,
    ) -> Result<Self, JoinError> {
        let snapshot = match snapshot.map(Envelope::parse).transpose()? {
            Some(Envelope::Snapshot {
                stream: id,
                as_of,
                filter,
            }) => (id == stream.id).then_some((as_of, filter)),
            Some(_) => return Err(JoinError::NoSnapshot),
            None => None,
        };
        let snapshot_as_of = snapshot.as_ref().map(|(as_of, _)| *as_of);
        let (read, filter) = snapshot.unwrap_or_default();
        if stream.last < read {
            return Err(JoinError::Ahead);
        }
        if stream.first > read.saturating_add(1) {
            return Err(JoinError::HistoryGone);
        }
        let mut node = Self {
            config,
            phase: Phase::Warming(stream.last),
            stream_id: stream.id,
            read,
            trail: Trail::new(filter.fingerprint()),
            filter,
            outbox: Outbox::new(config.outbox_len_max),
            flight: None,
            due: None,
            epoch: 0,
            number: 0,
            snapshot_as_of,
            is_batch_first: false,
            counts: Counts::default(),
        };
        node.open_when_warm();
        Ok(node)
    }

    /// Returns the sequence of the entry to read next.
    pub fn expected(&self) -> u64 {
        self.read + 1
    }

    /// Takes what the stream says of itself, whenever there was a new connection to it.
    ///
    /// # Errors
    ///
    /// [`Ended`] when it is another stream, when entries are gone that the node has not read, or one that was
    /// acknowledged.
    pub fn check(&mut self, stream: StreamInfo) -> Result<(), Ended> {
        if let Phase::Ended(ended) = self.phase {
            return Err(ended);
        }
        if stream.id != self.stream_id || stream.last < self.read {
            return self.end(Ended::StreamLost);
        }
        if stream.first > self.expected() {
            return self.end(Ended::Missed);
        }
        self.check_due()
    }

    /// Returns what to publish next, while nothing is under way. It is under way until
    /// [`acknowledged`](Self::acknowledged), [`failed`](Self::failed) or its return.
    pub fn next_publish(&mut self) -> Option<Publish<'_>> {
        if matches!(self.phase, Phase::Ended(_)) {
            return None;
        }
        if self.flight.is_none() {
            self.flight = self.take_off();
        }
        let flight = self.flight.as_mut().filter(|flight| !flight.is_sent)?;
        flight.is_sent = true;
        Some(Publish {
            id: flight.id,
            bytes: &flight.bytes,
        })
    }

    /// Notes that the stream has what was published under this id, or had it before: at this sequence,
    /// which is 0 where it is not known. A node that has read so far and has not found it there ends at the
    /// next entry or [`check`](Self::check).
    pub fn acknowledged(&mut self, id: MessageId, sequence: u64) {
        let landed = self.flight.take_if(|flight| flight.id == id);
        if landed.is_some() && sequence > 0 && matches!(id, MessageId::Numbered { .. }) {
            self.due = Some(Due { id, sequence });
        }
    }

    /// Notes that it is not known whether the stream has what was published under this id: it is
    /// published again, under the same id; or a newer snapshot is.
    pub fn failed(&mut self, id: MessageId) {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.id == id) else {
            return;
        };
        self.counts.retries += 1;
        match id {
            MessageId::Numbered { .. } => flight.is_sent = false,
            // A newer one is as good. It is due at once: a room where nobody chats has no other publish
            // that shows when the stream takes something again.
            MessageId::Snapshot { .. } => {
                self.flight = None;
                self.snapshot_as_of = None;
                self.is_batch_first = true;
            }
        }
    }

    /// Takes messages of one client off the front, as many as there is room for, and returns the
    /// mark after them. They are published; when [`Read::Deliver`](crate::Read::Deliver) has the mark, they are
    /// acknowledged: they stand in the log of every node exactly once.
    pub fn accept(&mut self, messages: &mut Messages<'_>) -> Option<Mark> {
        (self.phase == Phase::Serving).then(|| self.outbox.accept(messages))
    }

    /// Accepts nothing more from now on.
    pub fn leave(&mut self) {
        if !matches!(self.phase, Phase::Ended(_)) {
            self.phase = match self.phase {
                Phase::Serving | Phase::Leaving => Phase::Leaving,
                _ => Phase::Ended(Ended::Left),
            };
        }
    }

    /// Has the next publish be a snapshot. Call it now and then where a stream forgets entries by
    /// their age: the last snapshot would go, too, where nobody chats.
    pub fn renew_snapshot(&mut self) {
        self.snapshot_as_of = None;
    }

    /// Returns how many bytes of messages [`accept`](Self::accept) takes.
    pub fn room(&self) -> usize {
        match self.phase {
            Phase::Serving => self.outbox.room(),
            _ => 0,
        }
    }

    /// Returns whether clients may come.
    pub fn is_serving(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Returns whether all that was accepted has come back.
    pub fn is_drained(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Returns how many bytes were accepted and have not come back.
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    /// Returns the node's epoch, once it is known.
    pub fn epoch(&self) -> Option<u64> {
        (self.epoch > 0).then_some(self.epoch)
    }

    /// Returns what was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Fails when it has read to where an own publish was acknowledged, and that was not there.
    fn check_due(&mut self) -> Result<(), Ended> {
        match self.due.filter(|due| due.sequence <= self.read) {
            Some(_) => self.end(Ended::Lost),
            None => Ok(()),
        }
    }

    fn open_when_warm(&mut self) {
        if !matches!(self.phase, Phase::Warming(until) if self.read >= until) {
            return;
        }
        let last = self.filter.epoch(self.config.id).unwrap_or(0);
        match last.checked_add(1) {
            Some(epoch) => (self.phase, self.epoch) = (Phase::Opening, epoch),
            None => self.phase = Phase::Ended(Ended::Refused),
        }
    }

    fn take_off(&mut self) -> Option<Flight> {
        match self.phase {
            Phase::Opening => {
                self.phase = Phase::Opened;
                let open = Envelope::Open {
                    stream: self.stream_id,
                    header: self.header(0),
                };
                Some(Flight::new(self.own_id(0), &open))
            }
            Phase::Serving | Phase::Leaving if self.is_snapshot_next() => {
                self.snapshot_as_of = Some(self.read);
                let (stream, as_of) = (self.stream_id, self.read);
                let snapshot = Envelope::Snapshot {
                    stream,
                    as_of,
                    filter: self.filter.clone(),
                };
                Some(Flight::new(
                    MessageId::Snapshot { stream, as_of },
                    &snapshot,
                ))
            }
            Phase::Serving | Phase::Leaving => {
                let number = self.number;
                let batch = self.outbox.publish(number)?;
                self.number += 1;
                self.is_batch_first = false;
                let (messages, _) = Messages::split(&batch);
                let batch = Envelope::Batch {
                    stream: self.stream_id,
                    header: self.header(number),
                    fingerprint: self.filter.fingerprint(),
                    messages,
                };
                Some(Flight::new(self.own_id(number), &batch))
            }
            Phase::Warming(_) | Phase::Opened | Phase::Ended(_) => None,
        }
    }

    fn is_snapshot_next(&self) -> bool {
        let is_due = |as_of| self.read >= as_of + SNAPSHOT_INTERVAL;
        let gives_way = self.is_batch_first && self.outbox.has_next();
        self.snapshot_as_of.is_none_or(is_due) && !gives_way
    }

    /// Returns whether this run of the node has published it.
    fn is_own(&self, header: &Header) -> bool {
        self.epoch > 0 && *header == self.header(header.number)
    }

    fn header(&self, number: u64) -> Header {
        Header {
            node: self.config.id,
            token: self.config.token,
            epoch: self.epoch,
            number,
        }
    }

    fn own_id(&self, number: u64) -> MessageId {
        MessageId::Numbered {
            node: self.config.id,
            epoch: self.epoch,
            token: self.config.token,
            number,
        }
    }

    fn end<T>(&mut self, ended: Ended) -> Result<T, Ended> {
        self.phase = Phase::Ended(ended);
        Err(ended)
    }
}
