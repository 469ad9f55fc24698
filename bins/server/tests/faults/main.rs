//! The real server under seeded fault schedules, in crowds, and at the limits of the system.

/// Hundreds of schedules, each with the proof of the order.
mod schedules;
