//! What a member counted.

use std::time::Duration;

use crate::{BATCH_LEN_MAX, Counts};

/// What a member counted since it started, and how it is.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Figures {
    /// What the node counted.
    pub counts: Counts,
    /// The node's epoch, 0 before it is known.
    pub epoch: u64,
    /// How many bytes were accepted and have not come back.
    pub outbox_len: usize,
    /// How many entries the stream has that were not read, as far as is known.
    pub lag: u64,
    /// How many of its own batches have come back.
    pub own_batches: u64,
    /// How many bytes of messages were in them.
    pub own_bytes: u64,
    /// How long they took together, each from its first publish to its return.
    pub round_trips: Duration,
    /// How many of them took at most each of [`ROUND_TRIP_BOUNDS`], and more than the one before; the
    /// last count is of those that took longer than all.
    pub round_trip_counts: [u64; ROUND_TRIP_BOUNDS.len() + 1],
    /// How many of them had at most each of [`BATCH_LEN_BOUNDS`] in bytes of messages, and more than the
    /// one before.
    pub own_batch_len_counts: [u64; BATCH_LEN_BOUNDS.len()],
    /// How often there was a new connection after the first.
    pub reconnects: u64,
    /// How often the stream's consumer was made anew, and read on after the last entry.
    pub restarts: u64,
}

impl Figures {
    /// Counts a batch that has come back, with its bytes of messages.
    pub(super) fn count_return(&mut self, len: usize, time: Duration) {
        self.own_batches += 1;
        self.own_bytes += len as u64;
        self.round_trips += time;
        let of_time = ROUND_TRIP_BOUNDS.partition_point(|&bound| bound < time);
        self.round_trip_counts[of_time] += 1;
        let of_len = BATCH_LEN_BOUNDS.partition_point(|&bound| bound < len);
        debug_assert!(of_len < BATCH_LEN_BOUNDS.len(), "a batch has a longest");
        if let Some(count) = self.own_batch_len_counts.get_mut(of_len) {
            *count += 1;
        }
    }

    /// Returns whether the member has so much to read that clients would better go elsewhere.
    pub fn is_behind(&self) -> bool {
        self.lag > BEHIND_COUNT
    }
}

/// The bounds by which [`Figures::round_trip_counts`] tells short round trips from long ones. Judgement:
/// from less than the best on one machine to longer than a stream without a leader is away.
pub const ROUND_TRIP_BOUNDS: [Duration; 16] = [
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// The bounds by which [`Figures::own_batch_len_counts`] tells short batches from long ones, in bytes:
/// from a short message to the longest batch.
pub const BATCH_LEN_BOUNDS: [usize; 6] = [64, 256, 1 << 10, 1 << 12, 1 << 14, BATCH_LEN_MAX];

/// How many entries a member may have to read. Judgement: as many as one that joins reads.
const BEHIND_COUNT: u64 = crate::SNAPSHOT_INTERVAL;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_batch_is_counted_once_where_it_belongs() {
        let mut figures = Figures::default();
        let micro = Duration::from_micros(1);
        for (len, time) in [
            (1, Duration::ZERO),
            (64, ROUND_TRIP_BOUNDS[0]),
            (65, ROUND_TRIP_BOUNDS[0] + micro),
            (BATCH_LEN_MAX, ROUND_TRIP_BOUNDS[15]),
            (BATCH_LEN_MAX, ROUND_TRIP_BOUNDS[15] + micro),
        ] {
            figures.count_return(len, time);
        }
        let counts = figures.round_trip_counts;
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert_eq!(figures.own_batch_len_counts, [2, 1, 0, 0, 0, 2]);
        assert_eq!(counts.iter().sum::<u64>(), figures.own_batches);
        assert_eq!(figures.own_bytes, 130 + 2 * BATCH_LEN_MAX as u64);
    }

    #[test]
    fn bounds_ascend() {
        assert!(ROUND_TRIP_BOUNDS.is_sorted() && BATCH_LEN_BOUNDS.is_sorted());
    }
}
