//! What happens to which byte of one direction.

use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

use crate::toxics::{End, Stall, Toxics};

/// One direction on its way through its toxics.
///
/// It does no I/O and waits for nothing: its user does what it says.
///
/// Invariant: no piece goes past a stall that is to come or past the end.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use chat_toxic::{Course, End, Piece, Toxics};
///
/// let toxics = Toxics { end: End::Reset { at: 6 }, ..Toxics::default() };
/// let mut course = Course::new(toxics, 1);
/// assert_eq!(course.next_piece(4), Piece { len: 4, wait: Duration::ZERO });
/// assert_eq!(course.next_piece(4).len, 2);
/// assert_eq!(course.end(), Some(End::Reset { at: 6 }));
/// ```
#[derive(Clone, Debug)]
pub struct Course {
    toxics: Toxics,
    rng: Rng,
    /// How many bytes have been forwarded.
    pos: u64,
    /// How many of the stalls are over.
    stall_count: usize,
    /// Time that the rate asks for and that has not been waited for.
    owed: Duration,
}

/// What is forwarded next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many bytes, at least one.
    pub len: usize,
    /// How long to wait before.
    pub wait: Duration,
}

impl Course {
    /// Begins a direction.
    pub fn new(toxics: Toxics, seed: u64) -> Self {
        Self {
            toxics,
            rng: Rng::with_seed(seed),
            pos: 0,
            stall_count: 0,
            owed: Duration::ZERO,
        }
    }

    /// Returns how the direction ends, if it does here.
    pub fn end(&self) -> Option<End> {
        let end = self.toxics.end;
        (self.end_pos() == self.pos).then_some(end)
    }

    /// Draws how long bytes wait that have just been read.
    pub fn draw_delay(&mut self) -> Duration {
        let max = self.toxics.delay_max;
        if max.is_zero() {
            return max;
        }
        max.mul_f64(self.rng.f64())
    }

    /// Returns what is forwarded next of `available` bytes.
    ///
    /// # Panics
    ///
    /// When nothing is available, and when the direction has ended.
    pub fn next_piece(&mut self, available: usize) -> Piece {
        assert!(available > 0, "there is something to forward");
        assert!(self.end().is_none(), "the direction has not ended");
        let mut wait = self.owed_wait();
        while let Some(stall) = self.next_stall().filter(|stall| stall.at <= self.pos) {
            wait += stall.time;
            self.stall_count += 1;
        }
        let stall_pos = self.next_stall().map_or(u64::MAX, |stall| stall.at);
        let room = self.end_pos().min(stall_pos) - self.pos;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let len = available.min(room).min(self.draw_slice());
        self.pos += len as u64;
        if let Some(rate) = self.toxics.rate {
            self.owed += Duration::from_secs_f64(len as f64 / rate.get() as f64);
        }
        debug_assert!(len > 0 && self.pos <= self.end_pos());
        Piece { len, wait }
    }

    /// Returns how many bytes have been forwarded.
    pub fn pos(&self) -> u64 {
        self.pos
    }

    fn draw_slice(&mut self) -> usize {
        let slices = self.toxics.slices.clone();
        slices.map_or(usize::MAX, |slices: RangeInclusive<usize>| {
            self.rng.usize(slices).max(1)
        })
    }

    /// Returns the time to wait for the rate's sake: none until it is long enough to be kept.
    fn owed_wait(&mut self) -> Duration {
        if self.owed < WAIT_MIN {
            return Duration::ZERO;
        }
        std::mem::take(&mut self.owed)
    }

    fn next_stall(&self) -> Option<Stall> {
        self.toxics.stalls.get(self.stall_count).copied()
    }

    fn end_pos(&self) -> u64 {
        match self.toxics.end {
            End::Never => u64::MAX,
            End::HalfClose { at } | End::Reset { at } => at,
        }
    }
}

/// What is waited for at least. A shorter sleep takes much longer than it should.
const WAIT_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    /// Follows a direction of `len` bytes that all are there at once; returns the pieces.
    fn pieces(toxics: &Toxics, seed: u64, mut len: usize) -> Vec<Piece> {
        let mut course = Course::new(toxics.clone(), seed);
        let mut pieces = Vec::new();
        while len > 0 && course.end().is_none() {
            let piece = course.next_piece(len);
            len -= piece.len;
            pieces.push(piece);
        }
        pieces
    }

    fn lens(pieces: &[Piece]) -> Vec<usize> {
        pieces.iter().map(|piece| piece.len).collect()
    }

    #[test]
    fn without_toxics_all_is_forwarded_at_once() {
        let all = pieces(&Toxics::default(), 1, 1000);
        assert_eq!(
            all,
            [Piece {
                len: 1000,
                wait: Duration::ZERO
            }]
        );
    }

    #[test]
    fn slices_have_every_length_there_is_and_a_seed_repeats_them() {
        let toxics = Toxics {
            slices: Some(1..=7),
            ..Toxics::default()
        };
        let all = lens(&pieces(&toxics, 5, 1000));
        assert_eq!(all.iter().sum::<usize>(), 1000);
        assert!((1..=7).all(|len| all.contains(&len)));
        assert!(all.iter().all(|len| (1..=7).contains(len)));
        assert_eq!(all, lens(&pieces(&toxics, 5, 1000)));
        assert_ne!(all, lens(&pieces(&toxics, 6, 1000)));
    }

    #[test]
    fn a_stall_comes_before_its_byte_and_once() {
        let time = Duration::from_secs(9);
        let stalls = vec![Stall { at: 0, time }, Stall { at: 4, time }];
        let all = pieces(
            &Toxics {
                stalls,
                ..Toxics::default()
            },
            1,
            10,
        );
        assert_eq!(
            all,
            [Piece { len: 4, wait: time }, Piece { len: 6, wait: time }]
        );
    }

    #[test]
    fn a_rate_is_kept_as_a_whole() {
        let toxics = Toxics {
            rate: NonZeroU64::new(1000),
            slices: Some(1..=7),
            ..Toxics::default()
        };
        let waited: Duration = pieces(&toxics, 3, 5000)
            .iter()
            .map(|piece| piece.wait)
            .sum();
        let owed = Duration::from_secs(5) - waited;
        assert!(owed < Duration::from_millis(10), "{owed:?}");
    }

    #[test]
    fn an_end_is_at_its_byte_whatever_the_slices() {
        for at in 0..50 {
            for end in [End::Reset { at }, End::HalfClose { at }] {
                let toxics = Toxics {
                    slices: Some(1..=7),
                    end,
                    ..Toxics::default()
                };
                let all = lens(&pieces(&toxics, at, 100));
                assert_eq!(all.iter().sum::<usize>() as u64, at);
            }
        }
    }
}
