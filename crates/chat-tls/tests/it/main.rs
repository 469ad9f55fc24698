//! The crate as its users see it.

/// The public API is the one in `public_api.txt`, which was reviewed.
#[path = "../../../chat-proto/tests/it/public_api.rs"]
mod public_api;
