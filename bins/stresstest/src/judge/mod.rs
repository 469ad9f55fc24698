//! What a run's results come to: what was asked of them, and how they compare with an earlier
//! run's.

pub(crate) mod baseline;
pub(crate) mod regression;
pub(crate) mod threshold;
pub(crate) mod verdict;
