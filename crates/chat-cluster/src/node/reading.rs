//! What a node makes of the entries of the stream.

use chat_proto::Messages;

use super::{Node, Phase};
use crate::{Ended, Envelope, EnvelopeError, Fingerprint, Header, MessageId, Own, Read, Skip};

impl Node {
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
            Ok(Envelope::Open { stream, .. } | Envelope::Batch { stream, .. })
                if stream != self.stream_id =>
            {
                Ok(self.skipped(Skip::OtherStream))
            }
            Ok(Envelope::Open { header, .. }) => self.read_opening(&header),
            Ok(Envelope::Batch {
                header,
                fingerprint,
                messages,
                ..
            }) => self.read_batch(&header, fingerprint, messages),
            Ok(Envelope::Snapshot { stream, as_of, .. }) => Ok(self.read_snapshot(stream, as_of)),
            Err(error) => {
                self.counts.garbage += 1;
                Ok(Read::Garbage(error))
            }
        }?;
        self.check_due()?;
        self.open_when_warm();
        Ok(read)
    }

    fn read_opening(&mut self, header: &Header) -> Result<Read<'static>, Ended> {
        let admitted = self.admit(header);
        let is_own = self.is_own(header);
        match admitted {
            Ok(()) if is_own => {
                self.landed(self.own_id(0));
                self.phase = Phase::Serving;
                self.number = 1;
                // One that joins next finds it.
                self.snapshot_as_of = None;
                Ok(Read::Serve)
            }
            Ok(()) if self.is_warm() && header.node == self.config.id => {
                self.end(Ended::Superseded)
            }
            Ok(()) => Ok(Read::Quiet),
            Err(Skip::Rival | Skip::Stale) if is_own => self.end(Ended::Superseded),
            Err(Skip::TooManyNodes) if is_own => self.end(Ended::Refused),
            Err(skip) => Ok(self.skipped(skip)),
        }
    }

    fn read_batch<'a>(
        &mut self,
        header: &Header,
        fingerprint: Fingerprint,
        messages: Messages<'a>,
    ) -> Result<Read<'a>, Ended> {
        let has_read_the_same = self.trail.agrees(fingerprint);
        let admitted = self.admit(header);
        let is_own = self.is_own(header);
        match admitted {
            Ok(()) if self.is_warm() && !has_read_the_same => {
                self.end(Ended::Diverged(header.node))
            }
            Ok(()) if matches!(self.phase, Phase::Serving | Phase::Leaving) => {
                self.counts.batches += 1;
                let own = is_own.then(|| self.came_back(header.number)).flatten();
                Ok(Read::Deliver { messages, own })
            }
            Ok(()) => Ok(Read::Quiet),
            Err(Skip::Gap | Skip::Unopened) if is_own => self.end(Ended::Lost),
            // Its node has the entry that is missing here, unless the stream has lost it.
            Err(Skip::Gap | Skip::Unopened) if self.is_warm() => {
                self.end(Ended::Diverged(header.node))
            }
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

    fn admit(&mut self, header: &Header) -> Result<(), Skip> {
        self.filter.admit(header)?;
        self.trail.push(self.filter.fingerprint());
        Ok(())
    }

    /// Returns whether it has read the history. What others had read before says nothing of now.
    fn is_warm(&self) -> bool {
        !matches!(self.phase, Phase::Warming(_))
    }

    fn came_back(&mut self, number: u64) -> Option<Own> {
        self.landed(self.own_id(number));
        self.outbox.came_back(number)
    }

    /// Notes that a publish of the node has come back.
    fn landed(&mut self, id: MessageId) {
        self.flight.take_if(|flight| flight.id == id);
        self.due.take_if(|due| due.id == id);
    }

    fn skipped(&mut self, skip: Skip) -> Read<'static> {
        match skip {
            Skip::Duplicate => self.counts.duplicates += 1,
            _ => self.counts.strays += 1,
        }
        Read::Skipped(skip)
    }
}
