//! The synchronisation that the hub is built on: the standard library's, or under `--cfg loom` that
//! of loom.

#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
