//! What was sent lately, in its wire form: to compare a delivery with it is faster than to draw every body again.

use std::collections::VecDeque;

/// The bursts that a client sent last. Those that are so short that nothing is gained by it are left out.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    // Invariant: the places ascend, and `len` is the sum of the lengths.
    bursts: VecDeque<(usize, Box<[u8]>)>,
    len: usize,
}

impl Fresh {
    /// Keeps the burst at `place`, which is `wire`, and of those before it the last ones, `len_max` bytes of all together.
    pub(crate) fn push(&mut self, place: usize, wire: &[u8], len_max: usize) {
        if wire.len() < LEN_MIN || wire.len() > len_max {
            return;
        }
        debug_assert!(self.bursts.back().is_none_or(|(last, _)| *last < place));
        self.bursts.push_back((place, wire.into()));
        self.len += wire.len();
        while self.len > len_max
            && let Some((_, oldest)) = self.bursts.pop_front()
        {
            self.len -= oldest.len();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.bursts.clear();
        self.len = 0;
    }

    /// Returns the wire form of the burst at `place`, without the first `skipped` messages, if it is still here.
    pub(crate) fn wire(&self, place: usize, skipped: u32) -> Option<&[u8]> {
        let index = self.bursts.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        let mut wire = &self.bursts[index].1[..];
        for _ in 0..skipped {
            wire = &wire[1 + usize::from(wire[0])..];
        }
        Some(wire)
    }
}

/// How many bytes are kept of all clients together. A judgement: some times what is in flight in large loads.
pub(crate) const FRESH_LEN_MAX: usize = 16 << 20;

/// Which bursts are too short, in bytes. A judgement: a few messages.
const LEN_MIN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the wire form of `count` messages of 100 bytes, `fill` in all of them.
    fn wire(fill: u8, count: usize) -> Vec<u8> {
        [&[99][..], &[fill; 99]].concat().repeat(count)
    }

    #[test]
    fn the_last_bursts_are_kept_as_far_as_there_is_room() {
        let mut fresh = Fresh::default();
        for (place, count) in [(0, 3), (1, 1), (4, 4), (7, 3)] {
            fresh.push(place, &wire(place as u8, count), 750);
        }
        assert_eq!(fresh.wire(0, 0), None, "there is no room for it");
        assert_eq!(fresh.wire(1, 0), None, "it is too short");
        assert_eq!(fresh.wire(4, 0), Some(&wire(4, 4)[..]));
        assert_eq!(fresh.wire(7, 2), Some(&wire(7, 1)[..]));
        assert_eq!(fresh.wire(7, 3), Some(&[][..]));
        assert_eq!(fresh.wire(5, 0), None);
        fresh.push(8, &wire(8, 8), 750);
        assert_eq!((fresh.wire(8, 0), fresh.len), (None, 700), "it is too long");
        fresh.clear();
        assert_eq!((fresh.wire(7, 0), fresh.len), (None, 0));
    }
}
