//! What stands in one entry of the stream.

use chat_proto::Messages;

use crate::filter::{Filter, NODES_MAX, Run};
use crate::{Fingerprint, NodeId, Token};

/// The most bytes of messages in one batch. One publish in flight with batches of this size carries
/// about 54 MB/s over three replicas. Measured on a sketch.
pub const BATCH_LEN_MAX: usize = 64 * 1024;

/// One entry of the stream, parsed.
///
/// Layout, integers big-endian:
///
/// ```text
/// each         | "chat" | version: u8 = 1 | kind: u8 | stream: u64 | and then by its kind:
/// 1, open      | header |
/// 2, batch     | header | fingerprint | messages: to the end |
/// 3, snapshot  | as_of: u64 | fingerprint | count: u16 | count × header, with the next number |
/// header       | node_len: u8 | node: node_len bytes | token: u64 | epoch: u64 | number: u64 |
/// fingerprint  | count: u64 | hash: u64 |
/// ```
///
/// An opening has number 0, a batch has a number from 1 on and 1 to [`BATCH_LEN_MAX`] bytes of whole
/// messages. The nodes of a snapshot ascend. Each entry has the id of the stream that it is published
/// to: it may arrive late, in one that was made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Envelope<'a> {
    /// A node begins an epoch.
    Open {
        /// The stream's id.
        stream: u64,
        /// Which node, and which epoch.
        header: Header,
    },
    /// A node's clients sent messages.
    Batch {
        /// The stream's id.
        stream: u64,
        /// Whose batch it is, and which.
        header: Header,
        /// What its node had read when it made the batch.
        fingerprint: Fingerprint,
        /// The messages.
        messages: Messages<'a>,
    },
    /// The filter that all nodes had after an entry. One that joins begins with it.
    Snapshot {
        /// The stream's id.
        stream: u64,
        /// The sequence of that entry.
        as_of: u64,
        /// The filter after it.
        filter: Filter,
    },
}

/// Says whose an entry is, and its place among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The node.
    pub node: NodeId,
    /// The run of the node.
    pub token: Token,
    /// The epoch of the node; those of its later runs are greater.
    pub epoch: u64,
    /// The place in the epoch: 0 for the opening.
    pub number: u64,
}

/// Says why bytes in the stream are no entry of a cluster. Somebody else has written them, or a
/// later version of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes do not begin as an entry does.
    #[error("it is not an entry of a chat cluster; let nobody else write to the stream")]
    Foreign,
    /// The version is another one.
    #[error("it has version {0} and this is version 1; run one version on all nodes")]
    Version(u8),
    /// The kind is unknown.
    #[error("it is of the unknown kind {0}")]
    Kind(u8),
    /// The bytes end early.
    #[error("it ends early")]
    Cut,
    /// The node has no name.
    #[error("the node's name is not one")]
    Node,
    /// The number is not one of this kind.
    #[error("the number does not fit the kind")]
    Number,
    /// There are no messages, or too many bytes of them, or the last one is cut.
    #[error("the messages are none, too long or cut")]
    Messages,
    /// Bytes follow the end.
    #[error("bytes follow its end")]
    Trailing,
    /// The nodes of a snapshot are too many or do not ascend.
    #[error("the nodes of the snapshot are too many or do not ascend")]
    Nodes,
}

impl<'a> Envelope<'a> {
    /// Parses an entry. Only what [`encode`](Self::encode) writes is one.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] for all other bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut input = Input(bytes);
        if !matches!(input.take(MAGIC.len()), Ok(magic) if magic == MAGIC) {
            return Err(EnvelopeError::Foreign);
        }
        match input.byte()? {
            VERSION => {}
            version => return Err(EnvelopeError::Version(version)),
        }
        let kind = input.byte()?;
        if !(OPEN..=SNAPSHOT).contains(&kind) {
            return Err(EnvelopeError::Kind(kind));
        }
        let stream = input.integer()?;
        match kind {
            OPEN => {
                let header = input.header()?;
                input.end()?;
                match header.number {
                    0 => Ok(Self::Open { stream, header }),
                    _ => Err(EnvelopeError::Number),
                }
            }
            BATCH => {
                let header = input.header()?;
                if header.number == 0 {
                    return Err(EnvelopeError::Number);
                }
                Ok(Self::Batch {
                    stream,
                    header,
                    fingerprint: input.fingerprint()?,
                    messages: input.messages()?,
                })
            }
            _ => input.snapshot(stream),
        }
    }

    /// Appends the bytes of the entry to `buf`.
    pub fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(MAGIC);
        buf.push(VERSION);
        let (kind, stream) = match self {
            Self::Open { stream, .. } => (OPEN, stream),
            Self::Batch { stream, .. } => (BATCH, stream),
            Self::Snapshot { stream, .. } => (SNAPSHOT, stream),
        };
        buf.push(kind);
        buf.extend_from_slice(&stream.to_be_bytes());
        match self {
            Self::Open { header, .. } => encode_header(header, buf),
            Self::Batch {
                header,
                fingerprint,
                messages,
                ..
            } => {
                encode_header(header, buf);
                encode_fingerprint(*fingerprint, buf);
                buf.extend_from_slice(messages.as_bytes());
            }
            Self::Snapshot { as_of, filter, .. } => {
                buf.extend_from_slice(&as_of.to_be_bytes());
                encode_fingerprint(filter.fingerprint(), buf);
                let count = u16::try_from(filter.node_count()).expect("a filter is bounded");
                buf.extend_from_slice(&count.to_be_bytes());
                for header in filter.nexts() {
                    encode_header(&header, buf);
                }
            }
        }
    }
}

fn encode_header(header: &Header, buf: &mut Vec<u8>) {
    let name = header.node.as_str().as_bytes();
    buf.push(u8::try_from(name.len()).expect("a name has at most 32 bytes"));
    buf.extend_from_slice(name);
    buf.extend_from_slice(&header.token.0.to_be_bytes());
    buf.extend_from_slice(&header.epoch.to_be_bytes());
    buf.extend_from_slice(&header.number.to_be_bytes());
}

fn encode_fingerprint(fingerprint: Fingerprint, buf: &mut Vec<u8>) {
    buf.extend_from_slice(&fingerprint.count.to_be_bytes());
    buf.extend_from_slice(&fingerprint.hash.to_be_bytes());
}

/// The bytes that are left to parse.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], EnvelopeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(EnvelopeError::Cut)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], EnvelopeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(EnvelopeError::Cut)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, EnvelopeError> {
        self.array().map(|[byte]| byte)
    }

    fn integer(&mut self) -> Result<u64, EnvelopeError> {
        self.array().map(u64::from_be_bytes)
    }

    fn header(&mut self) -> Result<Header, EnvelopeError> {
        let len = self.byte()?;
        let name = self.take(usize::from(len))?;
        Ok(Header {
            node: NodeId::from_bytes(name).map_err(|_| EnvelopeError::Node)?,
            token: Token(self.integer()?),
            epoch: self.integer()?,
            number: self.integer()?,
        })
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, EnvelopeError> {
        Ok(Fingerprint {
            count: self.integer()?,
            hash: self.integer()?,
        })
    }

    fn messages(&mut self) -> Result<Messages<'a>, EnvelopeError> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.len() > BATCH_LEN_MAX {
            return Err(EnvelopeError::Messages);
        }
        match Messages::split(bytes) {
            (messages, []) if !messages.is_empty() => Ok(messages),
            _ => Err(EnvelopeError::Messages),
        }
    }

    fn snapshot(&mut self, stream: u64) -> Result<Envelope<'a>, EnvelopeError> {
        let as_of = self.integer()?;
        let fingerprint = self.fingerprint()?;
        let count = u16::from_be_bytes(self.array()?);
        if usize::from(count) > NODES_MAX {
            return Err(EnvelopeError::Nodes);
        }
        let mut filter = Filter::new();
        filter.set_fingerprint(fingerprint);
        let mut last = None;
        for _ in 0..count {
            let next = self.header()?;
            if next.number == 0 {
                return Err(EnvelopeError::Number);
            }
            if last >= Some(next.node) {
                return Err(EnvelopeError::Nodes);
            }
            last = Some(next.node);
            filter.insert(next.node, Run::from_next(&next));
        }
        self.end()?;
        Ok(Envelope::Snapshot {
            stream,
            as_of,
            filter,
        })
    }

    fn end(&self) -> Result<(), EnvelopeError> {
        match self.0 {
            [] => Ok(()),
            _ => Err(EnvelopeError::Trailing),
        }
    }
}

const MAGIC: &[u8] = b"chat";
const VERSION: u8 = 1;
const OPEN: u8 = 1;
const BATCH: u8 = 2;
const SNAPSHOT: u8 = 3;
