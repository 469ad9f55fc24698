//! Clients that lose messages: that their number does not fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Has the log tell of some of the clients that lose messages, however many there are.
#[derive(Debug, Default)]
pub(crate) struct LossLog {
    period: Mutex<Option<Period>>,
}

/// The time in which so many lines are enough.
#[derive(Debug)]
struct Period {
    begin: Instant,
    line_count: u32,
    /// How many lines there were not since the last one.
    unsaid: u64,
}

impl LossLog {
    /// Notes one more client that is to be told of. Returns how many were not told of before it, if it
    /// is.
    pub(crate) fn note(&self, now: Instant) -> Option<u64> {
        let mut period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        let period = period.get_or_insert(Period {
            begin: now,
            line_count: 0,
            unsaid: 0,
        });
        if now - period.begin >= LOG_PERIOD {
            period.begin = now;
            period.line_count = 0;
        }
        if period.line_count >= LINE_COUNT_MAX {
            period.unsaid += 1;
            return None;
        }
        period.line_count += 1;
        Some(std::mem::take(&mut period.unsaid))
    }
}

/// How many lines there are at most in a period. A judgement: people read some, and counts of more.
const LINE_COUNT_MAX: u32 = 16;

/// How long such a period is: as long as nothing more is logged of one client.
const LOG_PERIOD: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_told_of_and_the_rest_is_counted() {
        let log = LossLog::default();
        let start = Instant::now();
        for _ in 0..LINE_COUNT_MAX {
            assert_eq!(log.note(start), Some(0));
        }
        let almost = start + LOG_PERIOD - Duration::from_nanos(1);
        for _ in 0..100 {
            assert_eq!(log.note(almost), None);
        }
        assert_eq!(log.note(start + LOG_PERIOD), Some(100));
        assert_eq!(log.note(start + LOG_PERIOD), Some(0));
    }
}
