//! The names of nodes and of what they publish.

use std::fmt;
use std::str::FromStr;

/// Names a node of a cluster: 1 to 32 ASCII letters, digits, `-` and `_`.
///
/// The name outlives the process: a node that is started again has the same name and a new epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Padded with zeros, which no name contains: the order is that of the names.
    bytes: [u8; NODE_ID_LEN_MAX],
}

/// The longest name of a node in bytes. It stands in every batch. Judgement.
pub const NODE_ID_LEN_MAX: usize = 32;

/// Tells the runs of a node apart that chose the same epoch. Draw it by chance at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names one publish for the stream's own search for duplicates. Each retry has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MessageId {
    /// What a run of a node publishes in order; the number of its opening is 0.
    Numbered {
        /// The node.
        node: NodeId,
        /// Its epoch.
        epoch: u64,
        /// Its run.
        token: Token,
        /// The batch's number.
        number: u64,
    },
    /// A snapshot. Those of all nodes as of one sequence are equal.
    Snapshot {
        /// The stream's id.
        stream: u64,
        /// The sequence of the last entry that the snapshot knows.
        as_of: u64,
    },
}

/// Says that a text names no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node's name has 1 to 32 letters, digits, `-` and `_`, and no others")]
pub struct NodeIdError;

impl NodeId {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// [`NodeIdError`] when the bytes are none.
    pub fn from_bytes(name: &[u8]) -> Result<Self, NodeIdError> {
        let is_fine = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > NODE_ID_LEN_MAX || !name.iter().all(is_fine) {
            return Err(NodeIdError);
        }
        let mut bytes = [0; NODE_ID_LEN_MAX];
        bytes[..name.len()].copy_from_slice(name);
        Ok(Self { bytes })
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().take_while(|byte| **byte != 0).count();
        std::str::from_utf8(&self.bytes[..len]).expect("a name is ASCII")
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(name: &str) -> Result<Self, NodeIdError> {
        Self::from_bytes(name.as_bytes())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes the id as a header of the stream has it.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered {
                node,
                epoch,
                token,
                number,
            } => write!(f, "{node}.{epoch}.{:016x}.{number}", token.0),
            Self::Snapshot { stream, as_of } => write!(f, "snapshot.{stream}.{as_of}"),
        }
    }
}
