//! One node: what it publishes next, and what it makes of the entries of the stream.

use chat_proto::Messages;

use crate::outbox::Outbox;
use crate::publish::{Flight, Publish};
use crate::{
    Config, Counts, Ended, Envelope, EnvelopeError, Filter, Header, JoinError, Mark, MessageId,
    Own, Read, Skip, StreamInfo,
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
    outbox: Outbox,
    /// The one publish under way, or to be sent again.
    flight: Option<Flight>,
    epoch: u64,
    /// The number of the next batch.
    number: u64,
    /// The newest entry that a snapshot in the stream is known to know.
    snapshot_as_of: Option<u64>,
    /// Whether a snapshot failed, and a batch goes before the next one: they may all fail.
    is_batch_first: bool,
    counts: Counts,
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
            filter,
            outbox: Outbox::new(config.outbox_len_max),
            flight: None,
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

    /// Takes an entry of the stream, and tells what it is.
    ///
    /// # Errors
    ///
    /// [`Ended`] when the node's life is over; its clients must be disconnected.
    pub fn read<'a>(&mut self, sequence: u64, bytes: &'a [u8]) -> Result<Read<'a>, Ended> {
        if let Phase::Ended(ended) = self.phase {
            return Err(ended);
        }
        let expected = self.expected();
        if sequence < expected {
            return Ok(Read::Again);
        }
        if sequence > expected {
            self.counts.missing += 1;
            return Ok(Read::Missing { expected });
        }
        self.read = sequence;
        let read = match Envelope::parse(bytes) {
            Ok(Envelope::Open(header)) => self.read_opening(&header),
            Ok(Envelope::Batch(header, messages)) => self.read_batch(&header, messages),
            Ok(Envelope::Snapshot { stream, as_of, .. }) => Ok(self.read_snapshot(stream, as_of)),
            Err(error) => {
                self.counts.garbage += 1;
                Ok(Read::Garbage(error))
            }
        }?;
        self.open_when_warm();
        Ok(read)
    }

    /// Takes what the stream says of itself, whenever there was a new connection to it.
    ///
    /// # Errors
    ///
    /// [`Ended`] when it is another stream, or when entries are gone that the node has not read.
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
        Ok(())
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

    /// Notes that the stream has what was published under this id, or had it before.
    pub fn acknowledged(&mut self, id: MessageId) {
        self.flight.take_if(|flight| flight.id == id);
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
    /// mark after them. They are published; when [`Read::Deliver`] has the mark, they are
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

    fn read_opening(&mut self, header: &Header) -> Result<Read<'static>, Ended> {
        let admitted = self.filter.admit(header);
        let is_warm = !matches!(self.phase, Phase::Warming(_));
        let is_own = self.is_own(header);
        match admitted {
            Ok(()) if is_own => {
                self.acknowledged(self.own_id(0));
                self.phase = Phase::Serving;
                self.number = 1;
                // One that joins next finds it.
                self.snapshot_as_of = None;
                Ok(Read::Serve)
            }
            Ok(()) if is_warm && header.node == self.config.id => self.end(Ended::Superseded),
            Ok(()) => Ok(Read::Quiet),
            Err(Skip::Rival | Skip::Stale) if is_own => self.end(Ended::Superseded),
            Err(Skip::TooManyNodes) if is_own => self.end(Ended::Refused),
            Err(skip) => Ok(self.skipped(skip)),
        }
    }

    fn read_batch<'a>(
        &mut self,
        header: &Header,
        messages: Messages<'a>,
    ) -> Result<Read<'a>, Ended> {
        let admitted = self.filter.admit(header);
        let is_own = self.is_own(header);
        match admitted {
            Ok(()) if matches!(self.phase, Phase::Serving | Phase::Leaving) => {
                self.counts.batches += 1;
                let own = is_own.then(|| self.came_back(header.number)).flatten();
                Ok(Read::Deliver { messages, own })
            }
            Ok(()) => Ok(Read::Quiet),
            Err(Skip::Gap | Skip::Unopened) if is_own => self.end(Ended::Lost),
            Err(skip) => Ok(self.skipped(skip)),
        }
    }

    fn read_snapshot(&mut self, stream: u64, as_of: u64) -> Read<'static> {
        if stream != self.stream_id {
            return Read::Quiet;
        }
        // Nobody can know entries that are still to come.
        if as_of >= self.read {
            self.counts.garbage += 1;
            return Read::Garbage(EnvelopeError::Number);
        }
        self.snapshot_as_of = self.snapshot_as_of.max(Some(as_of));
        Read::Quiet
    }

    fn came_back(&mut self, number: u64) -> Option<Own> {
        self.acknowledged(self.own_id(number));
        self.outbox.came_back(number)
    }

    fn skipped(&mut self, skip: Skip) -> Read<'static> {
        match skip {
            Skip::Duplicate => self.counts.duplicates += 1,
            _ => self.counts.strays += 1,
        }
        Read::Skipped(skip)
    }

    fn take_off(&mut self) -> Option<Flight> {
        match self.phase {
            Phase::Opening => {
                self.phase = Phase::Opened;
                let open = Envelope::Open(self.header(0));
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
                let batch = Envelope::Batch(self.header(number), messages);
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
