//! Which entries of the stream count.

use std::collections::BTreeMap;

use crate::{Fingerprint, Header, NodeId, Token};

/// The most nodes that a filter knows; names of nodes that are gone count. Judgement.
pub const NODES_MAX: usize = 1024;

/// Decides which entries of the stream count, by nothing but the entries before.
///
/// All nodes have the same filter after the same entry, so all their logs are equal. An opening
/// counts if its epoch is greater than the last one of its node; a batch counts if it is the next
/// of the run that has the node's epoch. All else is skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    runs: BTreeMap<NodeId, Run>,
    fingerprint: Fingerprint,
}

/// Says why an entry does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Skip {
    /// It has counted before: a publish was repeated.
    #[error("it has counted before")]
    Duplicate,
    /// The node has begun a later epoch.
    #[error("its node has begun a later epoch")]
    Stale,
    /// Another run of the node has this epoch.
    #[error("another run of its node has this epoch; give each node a name of its own")]
    Rival,
    /// It was published to the stream that had this name before.
    #[error("it was published to another stream of this name")]
    OtherStream,
    /// The epoch was never opened in this stream.
    #[error("its epoch was never opened in this stream")]
    Unopened,
    /// One before it is missing.
    #[error("the one before it is missing")]
    Gap,
    /// There are too many nodes.
    #[error("{NODES_MAX} nodes have written before; make the stream anew, and keep nodes' names")]
    TooManyNodes,
}

/// What is known of the run that has a node's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    token: Token,
    epoch: u64,
    /// The number of the batch that counts next; never 0, as the opening counted.
    next: u64,
}

impl Filter {
    /// Makes the filter of a stream before its first entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an opening or a batch, and tells whether it counts.
    ///
    /// # Errors
    ///
    /// [`Skip`] when it does not. Nothing has changed then.
    pub fn admit(&mut self, header: &Header) -> Result<(), Skip> {
        match header.number {
            0 => self.admit_opening(header),
            _ => self.admit_batch(header),
        }?;
        self.fingerprint = self.fingerprint.after(header);
        Ok(())
    }

    /// Returns the fingerprint of what has counted.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the last epoch of a node, if it ever opened one.
    pub fn epoch(&self, node: NodeId) -> Option<u64> {
        self.runs.get(&node).map(|run| run.epoch)
    }

    /// Returns how many nodes are known.
    pub fn node_count(&self) -> usize {
        self.runs.len()
    }

    pub(crate) fn set_fingerprint(&mut self, fingerprint: Fingerprint) {
        self.fingerprint = fingerprint;
    }

    pub(crate) fn insert(&mut self, node: NodeId, run: Run) {
        self.runs.insert(node, run);
    }

    /// Returns what counts next of each node; the nodes ascend.
    pub(crate) fn nexts(&self) -> impl Iterator<Item = Header> {
        self.runs.iter().map(|(node, run)| Header {
            node: *node,
            token: run.token,
            epoch: run.epoch,
            number: run.next,
        })
    }

    fn admit_opening(&mut self, header: &Header) -> Result<(), Skip> {
        match self.runs.get(&header.node) {
            None if self.runs.len() == NODES_MAX => return Err(Skip::TooManyNodes),
            Some(run) if header.epoch < run.epoch => return Err(Skip::Stale),
            Some(run) if header.epoch == run.epoch && header.token == run.token => {
                return Err(Skip::Duplicate);
            }
            Some(run) if header.epoch == run.epoch => return Err(Skip::Rival),
            _ => {}
        }
        self.runs.insert(
            header.node,
            Run {
                token: header.token,
                epoch: header.epoch,
                next: 1,
            },
        );
        Ok(())
    }

    fn admit_batch(&mut self, header: &Header) -> Result<(), Skip> {
        let run = self.runs.get_mut(&header.node).ok_or(Skip::Unopened)?;
        if header.epoch != run.epoch {
            return Err(match header.epoch < run.epoch {
                true => Skip::Stale,
                false => Skip::Unopened,
            });
        }
        if header.token != run.token {
            return Err(Skip::Rival);
        }
        if header.number != run.next {
            return Err(match header.number < run.next {
                true => Skip::Duplicate,
                false => Skip::Gap,
            });
        }
        // A number that cannot be followed never counts: none of a node's own comes that far.
        run.next = run.next.checked_add(1).ok_or(Skip::Gap)?;
        Ok(())
    }
}

impl Run {
    pub(crate) fn from_next(next: &Header) -> Self {
        Self {
            token: next.token,
            epoch: next.epoch,
            next: next.number,
        }
    }
}
