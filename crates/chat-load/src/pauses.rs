//! The load tester's own pauses: it was stopped, or had no processor.

use std::time::Duration;

use chat_trace::Nanos;

use crate::bench::nanos;

/// Knows which times have a pause of the load tester in them.
///
/// What is found after a pause may have arrived at any moment of it, so all times that began before
/// its end are unknown, and all that began later are exact.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// When the last pause ended.
    until: Nanos,
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
        if now.saturating_sub(self.looked_at) > nanos(PAUSE_MIN) {
            self.end(now);
        }
        self.looked_at = now;
    }

    /// Notes that a pause has just ended.
    pub(crate) fn end(&mut self, now: Nanos) {
        self.until = now;
    }

    /// Tells whether a pause is part of a time that ends now.
    pub(crate) fn are_in_time_since(&self, start: Nanos) -> bool {
        start < self.until
    }
}

/// From how long between two looks at the clock in a turn on it is a pause. A judgement: taking in
/// the bytes of one read takes some milliseconds at most.
const PAUSE_MIN: Duration = Duration::from_millis(60);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn a_time_is_unknown_only_when_it_began_before_the_end_of_a_pause() {
        let mut pauses = Pauses::default();
        pauses.begin_turn(100 * MS);
        pauses.look(160 * MS);
        assert!(!pauses.are_in_time_since(0));
        // The processor is gone in the middle of a turn.
        pauses.look(1160 * MS);
        assert!(pauses.are_in_time_since(1160 * MS - 1));
        assert!(!pauses.are_in_time_since(1160 * MS));
        // Waiting between turns is none.
        pauses.begin_turn(3000 * MS);
        pauses.look(3001 * MS);
        assert!(!pauses.are_in_time_since(1160 * MS));
        // Unless whoever waited says so.
        pauses.end(3001 * MS);
        assert!(pauses.are_in_time_since(3000 * MS));
    }
}
