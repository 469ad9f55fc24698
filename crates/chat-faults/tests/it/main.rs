//! What the schedules and their judge are worth: right servers pass, wrong ones are convicted.

/// Servers with a fault, and one without.
mod convicting;
/// A small server in this process, right or wrong.
mod toy;
