//! What a run's results come to: what was asked of them, and how they compare with an earlier
//! run's.

mod metric;
mod regression;
mod threshold;
mod verdict;

pub use regression::{
    CONFIDENCE, CPU_RESOLUTION_US, Change, Compared, NoiseError, SINGLE_FACTOR, compare,
    difference, noise_from_percent, regressions,
};
pub use threshold::{ThresholdError, Thresholds};
pub use verdict::{
    CEILING_PART, Complaints, STEAL_PART, bound_by, limit, nothing_measured, outweigh, verdict,
};
