//! What was sent recently, in its wire form: to compare a delivery with it is faster than to draw
//! every body again.

use std::collections::VecDeque;

/// The bursts that a client sent last. Those that are so short that nothing is gained by it are
/// left out.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    // Invariant: the places ascend, and `len` is the sum of the lengths.
    bursts: VecDeque<RecentBurst>,
    len: usize,
}

impl Recent {
    /// Keeps the burst at `place`, and of those before it the last ones, `len_max` bytes of all
    /// together. `wire` is its messages, and `ends` tells where in it each of them ends.
    pub(crate) fn push(&mut self, place: usize, wire: &[u8], ends: &[u32], len_max: usize) {
        debug_assert_eq!(ends.last().map(|&end| end as usize), Some(wire.len()));
        if wire.len() < LEN_MIN || wire.len() > len_max {
            return;
        }
        debug_assert!(self.bursts.back().is_none_or(|last| last.place < place));
        self.bursts.push_back(RecentBurst {
            place,
            wire: wire.into(),
            ends: ends.into(),
        });
        self.len += wire.len();
        while self.len > len_max
            && let Some(oldest) = self.bursts.pop_front()
        {
            self.len -= oldest.wire.len();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.bursts.clear();
        self.len = 0;
    }

    /// Tells with how many whole messages, and with how many bytes, `received` begins that are
    /// those of the burst at `place` from message `skipped` on. `None` if there is no such
    /// burst any more, or if not all is the same to the end of either.
    pub(crate) fn same(&self, place: usize, skipped: u32, received: &[u8]) -> Option<(u32, usize)> {
        let index = self
            .bursts
            .binary_search_by_key(&place, |burst| burst.place)
            .ok()?;
        let RecentBurst { wire, ends, .. } = &self.bursts[index];
        let start = (skipped as usize)
            .checked_sub(1)
            .map_or(0, |before| ends[before] as usize);
        let sent = &wire[start..];
        let len = sent.len().min(received.len());
        if sent[..len] != received[..len] {
            return None;
        }
        let ends = &ends[skipped as usize..];
        let count = ends.partition_point(|&end| end as usize <= start + len);
        let last = count.checked_sub(1)?;
        Some((u32::try_from(count).ok()?, ends[last] as usize - start))
    }
}

#[derive(Debug)]
struct RecentBurst {
    /// Its place among all that the client sent.
    place: usize,
    wire: Box<[u8]>,
    /// Where in `wire` each message ends.
    ends: Box<[u32]>,
}

/// How many bytes are kept of all clients together. A judgement: some times what is in flight in
/// large loads.
pub(crate) const RECENT_LEN_MAX: usize = 16 << 20;

/// Which bursts are too short, in bytes. A judgement: a few messages.
const LEN_MIN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps a burst of `count` messages of 100 bytes, filled with `place`, and returns its wire
    /// form.
    fn push(recent: &mut Recent, place: u8, count: u32) -> Vec<u8> {
        let wire = [&[99][..], &[place; 99]].concat().repeat(count as usize);
        recent.push(
            place.into(),
            &wire,
            &(1..=count).map(|number| 100 * number).collect::<Vec<_>>(),
            750,
        );
        wire
    }

    #[test]
    fn the_last_bursts_are_kept_as_far_as_there_is_room() {
        let mut recent = Recent::default();
        let [old, short, first, second] =
            [(0, 3), (1, 1), (4, 4), (7, 3)].map(|(place, count)| push(&mut recent, place, count));
        assert_eq!(
            (recent.same(0, 0, &old), recent.same(1, 0, &short)),
            (None, None),
            "there is no room, and one is too short"
        );
        assert_eq!(
            (recent.same(4, 0, &first), recent.same(7, 0, &second)),
            (Some((4, 400)), Some((3, 300)))
        );
        assert_eq!(recent.same(5, 0, &first), None);
        let long = push(&mut recent, 8, 8);
        assert_eq!(
            (recent.same(8, 0, &long), recent.len),
            (None, 700),
            "it is too long"
        );
        recent.clear();
        assert_eq!((recent.same(7, 0, &second), recent.len), (None, 0));
    }

    #[test]
    fn what_is_the_same_are_whole_messages_up_to_the_end_of_either() {
        let mut recent = Recent::default();
        let wire = push(&mut recent, 4, 4);
        for skipped in 0..=4 {
            let rest = &wire[100 * skipped as usize..];
            for len in 0..=rest.len() {
                let whole = len as u32 / 100;
                let expected = (whole > 0).then_some((whole, 100 * whole as usize));
                assert_eq!(
                    recent.same(4, skipped, &rest[..len]),
                    expected,
                    "{len} bytes from message {skipped} on"
                );
            }
            if skipped < 4 {
                let more = [rest, b"more"].concat();
                assert_eq!(
                    recent.same(4, skipped, &more),
                    Some((4 - skipped, rest.len()))
                );
                let mut changed = rest.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                assert_eq!(recent.same(4, skipped, &changed), None);
            }
        }
    }
}
