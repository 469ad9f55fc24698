//! Writes that end inside a message.

use std::time::Duration;

use chat_trace::Nanos;

use crate::bench::nanos;

/// Decides which writes end inside a message, and what may follow them.
///
/// A server that forwards bytes as it reads them is right as long as every read ends with a message.
/// So some writes end inside one, and the rest of it follows when another client has written, or
/// after [`HOLD`] where none does; never before [`HOLD_MIN`]. The message counts as sent when the rest of it is.
#[derive(Debug)]
pub(crate) struct Cuts {
    random: u64,
    publishers: Vec<Publisher>,
    held: Vec<Held>,
}

/// How a publisher's writes were cut until now.
#[derive(Clone, Copy, Debug, Default)]
struct Publisher {
    cut_count: u32,
    last_cut_at: Nanos,
    /// When the rest of a message was last sent.
    released_at: Nanos,
}

/// A message whose rest is held back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) publisher: usize,
    /// Its burst, among those of the publisher. It is the only message in it.
    pub(crate) place: usize,
    /// When the write ended inside it.
    pub(crate) cut_at: Nanos,
}

impl Cuts {
    /// Makes those of a repetition with so many publishers; of none, no write is cut.
    pub(crate) fn new(seed: u64, publisher_count: usize) -> Self {
        Self {
            random: seed,
            publishers: vec![Publisher::default(); publisher_count],
            held: Vec::new(),
        }
    }

    /// Tells whether the next write of a publisher is to end inside a message.
    pub(crate) fn is_next(&mut self, publisher: usize, now: Nanos) -> bool {
        let draw = self.draw();
        let Some(Publisher {
            cut_count,
            last_cut_at,
            ..
        }) = self.publishers.get_mut(publisher)
        else {
            return false;
        };
        let is_rested = *cut_count < OFTEN || now.saturating_sub(*last_cut_at) >= nanos(REST);
        let is_next = is_rested && draw.is_multiple_of(ONE_IN);
        if is_next {
            *cut_count += 1;
            *last_cut_at = now;
        }
        is_next
    }

    /// Returns how many bytes of a message of `len` bytes are written first in the cut that
    /// [`Self::is_next`] has just announced: at least one, and not all. In every other cut, beginning
    /// with the first, it is one, which is the header of the chat: short loads have both.
    pub(crate) fn first_len(&mut self, publisher: usize, len: usize) -> usize {
        if self.publishers[publisher].cut_count % 2 == 1 {
            return 1;
        }
        let rest_max = len.saturating_sub(1).max(1) as u64;
        1 + usize::try_from(self.draw() % rest_max).unwrap_or(0)
    }

    /// Notes that the rest of a message is held back.
    pub(crate) fn hold(&mut self, held: Held) {
        self.held.push(held);
    }

    /// Returns the next message whose rest is to be written now. `writer` is a client that has just
    /// written something, which lets all others go on.
    pub(crate) fn next_due(&mut self, writer: Option<usize>, now: Nanos) -> Option<Held> {
        let is_due = |held: &Held| {
            let held_for = now.saturating_sub(held.cut_at);
            let is_let_go = writer.is_some_and(|writer| writer != held.publisher);
            held_for >= nanos(if is_let_go { HOLD_MIN } else { HOLD })
        };
        let place = self.held.iter().position(is_due)?;
        let held = self.held.swap_remove(place);
        self.publishers[held.publisher].released_at = now;
        Some(held)
    }

    /// Returns when the rest of a message is to be written, if one is held back.
    pub(crate) fn due(&self) -> Option<Nanos> {
        let due = self.held.iter().map(|held| held.cut_at + nanos(HOLD));
        due.min()
    }

    /// Returns when a publisher's writes last had to wait for the rest of a message.
    pub(crate) fn released_at(&self, publisher: usize) -> Nanos {
        self.publishers
            .get(publisher)
            .map_or(0, |publisher| publisher.released_at)
    }

    /// Draws a number.
    ///
    /// Source: SplitMix64, in Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
    /// Generators", 2014.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// One of how many writes ends inside a message. A judgement: a load of a few messages has some.
const ONE_IN: u64 = 8;

/// How many writes of a publisher are cut in a repetition before they are cut less often.
const OFTEN: u32 = 16;

/// How long no write of a publisher is cut then, after one was. A judgement: the waits for the rest
/// take less than a fiftieth of the time.
const REST: Duration = Duration::from_millis(100);

/// How long the rest of a message is held back at least, whoever writes. A judgement: a server that
/// has a processor has read the first part by then, and else would read both as one.
const HOLD_MIN: Duration = Duration::from_micros(500);

/// How long the rest of a message is held back at most. A judgement: a server on the loopback has
/// read the first part long before.
pub(crate) const HOLD: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    #[test]
    fn writes_are_cut_often_at_first_and_rarely_later() {
        let mut cuts = Cuts::new(7, 2);
        let early = (0..1000).filter(|_| cuts.is_next(0, 0)).count();
        assert_eq!(early, OFTEN as usize);
        // The other one has its own account.
        assert!((0..100).any(|_| cuts.is_next(1, 0)));
        let late = (1..=10_000_u64)
            .filter(|&now| cuts.is_next(0, now * MILLISECOND))
            .count();
        assert!((50..=100).contains(&late), "{late} in ten seconds");
        assert!(!Cuts::new(7, 0).is_next(0, 0));
    }

    #[test]
    fn a_cut_is_inside_the_message() {
        let mut cuts = Cuts::new(1, 1);
        let lens: Vec<_> = (0..1000).map(|_| cuts.first_len(0, 9)).collect();
        assert!((1..=8).all(|len| lens.contains(&len)), "{lens:?}");
        assert!(lens.iter().all(|len| (1..=8).contains(len)), "{lens:?}");
    }

    #[test]
    fn the_first_cut_is_behind_the_header_and_the_next_is_not() {
        for seed in 0..100 {
            let mut cuts = Cuts::new(seed, 1);
            let mut next_len = || {
                while !cuts.is_next(0, 0) {}
                cuts.first_len(0, 250)
            };
            assert_eq!(next_len(), 1);
            let others = [next_len(), next_len(), next_len(), next_len()];
            assert!(others[0] > 1 || others[2] > 1, "{others:?} with {seed}");
            assert_eq!((others[1], others[3]), (1, 1));
        }
    }

    #[test]
    fn the_rest_follows_what_another_writes_or_after_a_while() {
        let mut cuts = Cuts::new(1, 3);
        let held = |publisher| Held {
            publisher,
            place: 0,
            cut_at: 5,
        };
        cuts.hold(held(0));
        cuts.hold(held(1));
        assert_eq!(cuts.due(), Some(5 + nanos(HOLD)));
        assert!(cuts.next_due(None, 6).is_none());
        assert!(cuts.next_due(Some(0), 6).is_none());
        let soon = 5 + nanos(HOLD_MIN);
        assert_eq!(cuts.next_due(Some(0), soon).unwrap().publisher, 1);
        assert!(cuts.next_due(Some(0), soon).is_none());
        assert_eq!(cuts.released_at(1), soon);
        let later = 5 + nanos(HOLD);
        assert_eq!(cuts.next_due(None, later).unwrap().publisher, 0);
        assert_eq!(cuts.due(), None);
    }
}
