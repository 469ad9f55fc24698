//! The public behaviour of chat-proto.

/// What a body takes and how it is encoded.
mod body;
/// Replays the fuzzer's corpus, without the fuzzer.
mod corpus;
/// Streams in pieces, split at every byte boundary.
mod decoder;
/// Runs of whole messages and their boundaries.
mod messages;
/// The naive decoder that all others are compared with.
mod naive;
