//! The load tester's own pauses: it was stopped, or had no processor.

use std::collections::VecDeque;
use std::time::Duration;

use chat_trace::Nanos;

use crate::bench::nanos;

/// Knows which times have a pause of the load tester in them that matters.
///
/// What is found after a pause may have arrived at any moment of it. So a time that began before its
/// end is wrong by up to the length of the pause, and those that began later are exact. A time is
/// unknown if it may be wrong by more than [`ERROR_PART`].
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// The last pauses, oldest first: when each ended, and how long it was.
    last: VecDeque<(Nanos, Nanos)>,
    /// When the clock was last looked at.
    looked_at: Nanos,
}

impl Pauses {
    /// Notes that a turn begins: until now it was waited, which is no pause.
    pub(crate) fn begin_turn(&mut self, now: Nanos) {
        self.looked_at = now;
    }

    /// Notes a look at the clock in a turn. A long time since the last is a pause, which is found
    /// here since the end of the turn is too late for what arrives in it.
    pub(crate) fn look(&mut self, now: Nanos) {
        let unseen = now.saturating_sub(self.looked_at);
        if unseen > nanos(PAUSE_MIN) {
            self.end(now, unseen);
        }
        self.looked_at = now;
    }

    /// Notes that a pause of so long has just ended.
    pub(crate) fn end(&mut self, now: Nanos, len: Nanos) {
        if self.last.len() == KEPT_MAX
            && let Some((_, oldest)) = self.last.pop_front()
            && let Some((_, next)) = self.last.front_mut()
        {
            // It may have been later than it was, which errs on the safe side.
            *next += oldest;
        }
        self.last.push_back((now, len));
    }

    /// Tells whether a time that began at `start` and ends now is unknown, since pauses are too large
    /// a part of it.
    pub(crate) fn blur(&self, start: Nanos, now: Nanos) -> bool {
        let since = self.last.iter().rev().take_while(|&&(end, _)| start < end);
        let paused: Nanos = since.map(|&(_, len)| len).sum();
        paused > 0 && paused as f64 > ERROR_PART * now.saturating_sub(start) as f64
    }
}

/// From how long between two looks at the clock in a turn on it is a pause. A judgement: taking in
/// the bytes of one read takes some milliseconds at most.
const PAUSE_MIN: Duration = Duration::from_millis(60);

/// By which part a time may be wrong. A judgement: runs of the same server differ by more.
const ERROR_PART: f64 = 0.05;

/// How many pauses are remembered one by one.
const KEPT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn a_time_is_unknown_only_when_it_began_before_the_end_of_a_pause() {
        let mut pauses = Pauses::default();
        pauses.begin_turn(100 * MS);
        pauses.look(160 * MS);
        assert!(!pauses.blur(0, 160 * MS));
        // The processor is gone in the middle of a turn.
        pauses.look(1160 * MS);
        assert!(pauses.blur(1160 * MS - 1, 1161 * MS));
        assert!(!pauses.blur(1160 * MS, 1161 * MS));
        // Waiting between turns is none.
        pauses.begin_turn(3000 * MS);
        pauses.look(3001 * MS);
        assert!(!pauses.blur(1160 * MS, 3001 * MS));
        // Unless whoever waited says so.
        pauses.end(3001 * MS, 900 * MS);
        assert!(pauses.blur(3000 * MS, 3001 * MS));
    }

    #[test]
    fn a_pause_that_is_a_small_part_of_a_time_leaves_it_known() {
        let mut pauses = Pauses::default();
        pauses.end(3000 * MS, 50 * MS);
        assert!(!pauses.blur(0, 3000 * MS));
        pauses.end(3100 * MS, 110 * MS);
        assert!(pauses.blur(0, 3100 * MS), "together they are too long");
        assert!(!pauses.blur(3100 * MS, 3200 * MS));
    }

    #[test]
    fn memory_is_bounded_and_no_pause_is_forgotten() {
        let mut pauses = Pauses::default();
        (1..1000).for_each(|number| pauses.end(number * MS, MS));
        assert_eq!(pauses.last.len(), KEPT_MAX);
        assert!(pauses.blur(0, 19_979 * MS) && !pauses.blur(0, 19_981 * MS));
    }
}
