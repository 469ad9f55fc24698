//! A recording: all that a verdict needs, in a file, to repeat the verdict without the server.
//!
//! ```text
//! | magic: 8 bytes | publishers: u32 | subscribers: u32 | slow: u32 | publishers read: u32 | repetitions |
//! repetition: | 1: u32 | run: u32 | is complete: u32 | client without echo + 1, or 0: u32 | its messages: u32 | client count: u32 | clients |
//! client:     | burst count: u32 | bursts | event count: u32 | events |
//! burst:      | kind: u32 | message count: u32 | id of the first: u32 |
//! event:      | kind: 2 bits, id: 30 bits |
//! end:        | 0: u32 |
//! ```
//!
//! All in little endian. Events are those of [`Record`]. What a delivery that nobody sent looked
//! like is not recorded.

use std::io::{self, ErrorKind, Read, Write};

use chat_check::Record;

use crate::evidence::Evidence;
use crate::left_out::LeftOut;
use crate::payload::{CLIENTS_MAX, Kind};
use crate::sends::{Sends, Times};
use crate::topology::Topology;

/// Writes a recording.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Begins a recording of clients with these topology.
    pub fn begin(mut out: W, topology: Topology) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        let mut writer = Self { out };
        for count in [
            topology.publishers,
            topology.subscribers,
            topology.slow,
            usize::from(topology.publishers_read),
        ] {
            writer.write_count(count)?;
        }
        Ok(writer)
    }

    /// Adds a repetition.
    pub fn add(&mut self, evidence: &Evidence) -> io::Result<()> {
        self.write(1)?;
        self.write(evidence.iteration().into())?;
        self.write(evidence.is_complete().into())?;
        let missing = evidence.left_out().map_or(
            [0, 0, 0],
            |LeftOut {
                 client,
                 sender,
                 count,
             }| { [client + 1, sender, count as usize] },
        );
        missing
            .into_iter()
            .try_for_each(|word| self.write_count(word))?;
        let sent = evidence.sent().all();
        self.write_count(sent.len())?;
        for (sends, record) in sent.iter().zip(evidence.records()) {
            self.write_count(sends.bursts().len())?;
            for burst in sends.bursts() {
                for word in [burst.kind as u32, burst.count, burst.first_id] {
                    self.write(word)?;
                }
            }
            let words = record.words();
            self.write_count(words.len())?;
            words.into_iter().try_for_each(|word| self.write(word))?;
        }
        Ok(())
    }

    /// Ends the recording.
    pub fn end(mut self) -> io::Result<W> {
        self.write(0)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_count(&mut self, count: usize) -> io::Result<()> {
        self.write(
            u32::try_from(count)
                .map_err(|_| io::Error::other("there is more than a recording can hold"))?,
        )
    }

    fn write(&mut self, word: u32) -> io::Result<()> {
        self.out.write_all(&word.to_le_bytes())
    }
}

/// Reads a recording.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    topology: Topology,
}

impl<R: Read> Reader<R> {
    /// Begins to read a recording.
    pub fn begin(mut input: R) -> Result<Self, RecordingError> {
        let mut magic = [0; MAGIC.len()];
        match input.read_exact(&mut magic) {
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(error.into()),
            _ if magic != *MAGIC => return Err(RecordingError::Foreign),
            _ => {}
        }
        let [publishers, subscribers, slow, publishers_read] = read_words(&mut input)?;
        let topology = Topology {
            publishers: publishers as usize,
            subscribers: subscribers as usize,
            slow: slow as usize,
            publishers_read: publishers_read != 0,
        };
        let client_count = u64::from(publishers) * (1 + u64::from(subscribers)) + u64::from(slow);
        let is_sound = publishers_read <= 1
            && publishers > 0
            && subscribers > 0
            && client_count <= CLIENTS_MAX.into();
        if is_sound {
            Ok(Self { input, topology })
        } else {
            Err(RecordingError::Damaged)
        }
    }

    /// Reads the next repetition; `None` is the end.
    pub fn next_repetition(&mut self) -> Result<Option<Evidence>, RecordingError> {
        match read_words(&mut self.input)? {
            [0] if self.input.read(&mut [0])? == 0 => return Ok(None),
            [1] => {}
            _ => return Err(RecordingError::Damaged),
        }
        let [
            run,
            is_complete,
            missing_end,
            missing_sender,
            missing_count,
            client_count,
        ] = read_words(&mut self.input)?;
        let run = u16::try_from(run).map_err(|_| RecordingError::Damaged)?;
        let is_plausible = is_complete <= 1
            && missing_end <= client_count
            && missing_sender < client_count
            && (missing_end > 0 || missing_sender == 0)
            && (missing_end == 0) == (missing_count == 0)
            && (self.topology.resident_count()..=CLIENTS_MAX as usize)
                .contains(&(client_count as usize));
        if !is_plausible {
            return Err(RecordingError::Damaged);
        }
        // All is read before room is made for it, so that memory is bounded by the length of the
        // file.
        let mut clients = Vec::new();
        for _ in 0..client_count {
            clients.push((self.read_sends()?, self.read_record()?));
        }
        let left_out = missing_end.checked_sub(1).map(|client| LeftOut {
            client: client as usize,
            sender: missing_sender as usize,
            count: missing_count,
        });
        let evidence = Evidence::recorded(
            self.topology,
            run,
            clients.into_iter().unzip(),
            left_out,
            is_complete == 1,
        );
        if is_sound(&evidence) {
            Ok(Some(evidence))
        } else {
            Err(RecordingError::Damaged)
        }
    }

    fn read_sends(&mut self) -> Result<Sends, RecordingError> {
        let mut sends = Sends::default();
        let [burst_count] = read_words(&mut self.input)?;
        let mut end = 0;
        for _ in 0..burst_count {
            let [kind, count, first_id] = read_words(&mut self.input)?;
            let kind = Kind::from_number(kind).ok_or(RecordingError::Damaged)?;
            if first_id < end
                || first_id
                    .checked_add(count)
                    .is_none_or(|id_end| id_end > chat_check::MESSAGE_COUNT_MAX)
            {
                return Err(RecordingError::Damaged);
            }
            end = first_id + count;
            sends.push(
                kind,
                count,
                first_id,
                Times {
                    intended: 0,
                    sent: 0,
                    is_measured: false,
                },
            );
        }
        Ok(sends)
    }

    fn read_record(&mut self) -> Result<Record, RecordingError> {
        let [event_count] = read_words(&mut self.input)?;
        let words: Result<Vec<u32>, RecordingError> = (0..event_count)
            .map(|_| read_words(&mut self.input).map(|[word]| word))
            .collect();
        Ok(Record::from_words(words?))
    }
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It is something else.
    #[error("it is no recording of this program")]
    Foreign,
    /// It ends too early.
    #[error("it is incomplete: it ends in the middle")]
    Incomplete,
    /// It contradicts itself.
    #[error("it is damaged")]
    Damaged,
    /// The system does not let it be read.
    #[error(transparent)]
    Read(io::Error),
}

impl From<io::Error> for RecordingError {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof {
            Self::Incomplete
        } else {
            Self::Read(error)
        }
    }
}

/// Tells whether the records speak of the messages that were sent, each of which has an id of its
/// own, and of no others.
fn is_sound(evidence: &Evidence) -> bool {
    let (sent, records) = (evidence.sent(), evidence.records());
    let mut bursts: Vec<_> = sent
        .all()
        .iter()
        .flat_map(Sends::bursts)
        .map(|burst| (burst.first_id, burst.count))
        .collect();
    bursts.sort_unstable();
    let end = bursts.iter().try_fold(0, |end, &(first_id, count)| {
        (first_id == end).then_some(first_id + count)
    });
    let are_sends_recorded = sent.all().iter().zip(records).all(|(sends, record)| {
        let sent = sends
            .bursts()
            .iter()
            .flat_map(|burst| burst.first_id..burst.end_id());
        let recorded = record
            .words()
            .filter(|word| word >> ID_BITS == SENT)
            .map(|word| word % ID_END);
        sent.eq(recorded)
    });
    let are_sent = |record: &Record| {
        record
            .words()
            .all(|word| word >> ID_BITS == PHANTOM || word % ID_END < sent.message_count())
    };
    end == Some(sent.message_count()) && are_sends_recorded && records.iter().all(are_sent)
}

fn read_words<const N: usize>(input: &mut impl Read) -> Result<[u32; N], RecordingError> {
    let mut words = [0; N];
    for word in &mut words {
        let mut bytes = [0; 4];
        input.read_exact(&mut bytes)?;
        *word = u32::from_le_bytes(bytes);
    }
    Ok(words)
}

/// How a recording begins; the last byte is the version.
const MAGIC: &[u8; 8] = b"chatrec\x03";

/// The layout of an event.
///
/// Source: [`Record`].
const ID_BITS: u32 = 30;
const ID_END: u32 = 1 << ID_BITS;
const SENT: u32 = 1;
const PHANTOM: u32 = 3;

#[cfg(test)]
mod tests;
