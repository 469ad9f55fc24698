//! When publishers may send.

use std::time::Duration;

use chat_results::Pacing;
use chat_trace::Nanos;

/// Returns how many messages a publisher sends at a time, at least, if there are as many left.
pub fn burst_len_min(pacing: Pacing) -> u32 {
    match pacing {
        // The second half of a window waits for the first.
        Pacing::Window(window) => window.get().div_ceil(2),
        Pacing::Flood => FLOOD_BURST,
        Pacing::Rate(_) => 1,
    }
}

/// When each message of an open schedule is to be sent. It never shifts: who is late has less time
/// for what follows.
///
/// Publishers take turns, so that the load is as smooth as it can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Nanos,
    /// Nanoseconds from one message to the next, of whatever publisher.
    gap: f64,
    publishers: u64,
}

impl Schedule {
    /// Makes the schedule of `rate` messages a second of all `publishers`, from `start` on.
    pub(crate) fn new(start: Nanos, rate: f64, publishers: usize) -> Self {
        Self {
            start,
            gap: 1e9 / rate,
            publishers: publishers as u64,
        }
    }

    /// Returns when message `number` of a publisher is to be sent.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates, and this rounds down"
    )]
    pub(crate) fn due(&self, publisher: usize, number: u64) -> Nanos {
        let place = number * self.publishers + publisher as u64;
        self.start + (place as f64 * self.gap) as Nanos
    }

    /// Returns the number of the first message of a publisher that is to be sent at `time` or
    /// later.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates, and this rounds down"
    )]
    pub(crate) fn first_since(&self, publisher: usize, time: Nanos) -> u64 {
        let place = time.saturating_sub(self.start) as f64 / self.gap;
        let mut number = (place / self.publishers as f64) as u64;
        // A division may be off by a little, and rounds down here.
        while number > 0 && self.due(publisher, number - 1) >= time {
            number -= 1;
        }
        while self.due(publisher, number) < time {
            number += 1;
        }
        number
    }
}

/// How many messages a publisher that floods sends at a time. A judgement: some 64 KiB at most, so
/// that it also reads.
pub(crate) const FLOOD_BURST: u32 = 256;

/// How late a message of a schedule may be sent. Later ones are not sent at all, and counted. A
/// judgement: some turns of the load tester, so that it catches up with its own hiccups, and no
/// more than a few messages of most loads.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_take_turns_at_even_gaps() {
        let schedule = Schedule::new(1000, 1_000_000.0, 4);
        let due: Vec<Nanos> = (0..3)
            .flat_map(|number| (0..4).map(move |publisher| schedule.due(publisher, number)))
            .collect();
        assert_eq!(
            due,
            (0..12).map(|place| 1000 + 1000 * place).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_first_message_since_a_moment_is_found() {
        for rate in [0.3, 7.0, 1e6, 3.3e8, 1e9] {
            let schedule = Schedule::new(1000, rate, 3);
            for publisher in 0..3 {
                for time in [0, 1, 999, 1000, 1001, 5000, 1_000_007, 77_777_777_777] {
                    let first = schedule.first_since(publisher, time);
                    assert!(
                        schedule.due(publisher, first) >= time,
                        "{rate} {publisher} {time}"
                    );
                    assert!(
                        first == 0 || schedule.due(publisher, first - 1) < time,
                        "{rate} {publisher} {time}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_schedule_does_not_drift() {
        let schedule = Schedule::new(0, 3.0, 1);
        assert_eq!(schedule.due(0, 3 * 86_400), 86_400_000_000_000);
    }
}
