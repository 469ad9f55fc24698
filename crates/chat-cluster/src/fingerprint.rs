//! Whether two nodes have read the same.

use std::collections::VecDeque;

use crate::Header;

/// Tells logs apart: how many entries have counted, and a hash of which these were, in their order.
///
/// Each batch has the one that its node had when it made the batch. A node with another one at that
/// count has read something else, which a stream that keeps its promise makes impossible. Where only
/// accidents are to be found, and no forgeries, two different logs have one hash with a probability of
/// 2^-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many entries have counted.
    pub count: u64,
    /// The hash of their headers. Which messages a batch has follows from its header.
    pub hash: u64,
}

impl Fingerprint {
    /// Returns the fingerprint after one more entry that counts. The hash is FNV-1a with 64 bits.
    ///
    /// Source: Fowler, Noll, Vo, Eastlake, Hansen: RFC 9923, section 5.
    #[must_use]
    pub(crate) fn after(self, header: &Header) -> Self {
        let numbers = [header.token.0, header.epoch, header.number].map(u64::to_be_bytes);
        let name = header.node.as_str().as_bytes();
        let bytes = name.iter().chain(numbers.iter().flatten());
        let hash = bytes.fold(self.hash, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
        });
        Self {
            count: self.count.wrapping_add(1),
            hash,
        }
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self {
            count: 0,
            hash: FNV_OFFSET_BASIS,
        }
    }
}

/// The fingerprints that a log had lately.
#[derive(Debug)]
pub(crate) struct Trail {
    /// The last [`TRAIL_LEN_MAX`] at most; their counts ascend by one.
    last: VecDeque<Fingerprint>,
}

impl Trail {
    pub(crate) fn new(start: Fingerprint) -> Self {
        Self {
            last: VecDeque::from([start]),
        }
    }

    pub(crate) fn push(&mut self, fingerprint: Fingerprint) {
        if self.last.len() == TRAIL_LEN_MAX {
            self.last.pop_front();
        }
        self.last.push_back(fingerprint);
    }

    /// Returns whether the log may have had this fingerprint: what is too long ago is not known.
    pub(crate) fn agrees(&self, other: Fingerprint) -> bool {
        let first = self.last.front().map_or(0, |it| it.count);
        let Some(back) = other.count.checked_sub(first) else {
            return true;
        };
        let index = usize::try_from(back).unwrap_or(usize::MAX);
        self.last.get(index) == Some(&other)
    }
}

/// How many fingerprints are known. Judgement: of a batch that was repeated for a minute, too.
const TRAIL_LEN_MAX: usize = 4096;

const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;

    #[test]
    fn the_hash_is_fnv_1a() {
        let header = Header {
            node: "foobar".parse().unwrap(),
            token: Token(0),
            epoch: 0,
            number: 0,
        };
        // Of "foobar", the RFC has 0x85944171f73967e8. A zero byte multiplies alone.
        let mut expected: u64 = 0x8594_4171_f739_67e8;
        (0..24).for_each(|_| expected = expected.wrapping_mul(FNV_PRIME));
        assert_eq!(Fingerprint::default().after(&header).hash, expected);
    }

    #[test]
    fn a_trail_knows_what_it_had_and_nothing_that_is_too_long_ago() {
        let at = |count, hash| Fingerprint { count, hash };
        let mut trail = Trail::new(at(5, 50));
        trail.push(at(6, 60));
        assert!(trail.agrees(at(5, 50)) && trail.agrees(at(6, 60)));
        assert!(!trail.agrees(at(5, 51)) && !trail.agrees(at(7, 70)));
        assert!(trail.agrees(at(4, 1)));
        for count in 7..=5 + TRAIL_LEN_MAX as u64 {
            trail.push(at(count, 0));
        }
        assert!(trail.agrees(at(5, 51)) && !trail.agrees(at(6, 61)));
    }
}
