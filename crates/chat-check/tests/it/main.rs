//! The public behaviour of chat-check.

/// Histories that keep the promise, from none at all to a large one.
mod consistent;
/// Random histories, compared with the naive model.
mod histories;
/// Violations that speak of messages by names.
mod names;
/// Every public item, as the last review saw it.
#[path = "../../../chat-proto/tests/it/public_api.rs"]
mod public_api;
/// Records and their limits.
mod records;
/// Histories that break the promise, and the exact story of each.
mod violations;

/// Histories as data, and a model that is too simple to be wrong.
mod naive;
