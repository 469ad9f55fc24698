//! The public behaviour of chat-hub.

/// Who keeps up, and for how long others are waited for.
mod clock;
/// Replays the fuzzer's corpus, without the fuzzer.
mod corpus;
/// The examples, each a server: the rules of the specification, over real sockets.
mod examples;
/// The fairness promise: who waits for whom.
mod fairness;
/// Handles that nobody serves, and for how long others wait for them.
mod given_up;
/// What handles can do, and what they cannot break.
mod handles;
/// What laggards lose, and that they learn it exactly.
mod lagging;
/// The naive model that the hub is compared with.
mod model;
/// Watching a subscriber from elsewhere.
mod monitoring;
/// Every policy: what all have in common, and what each promises.
mod policies;
/// The public API is the one in `public_api.txt`, which was reviewed.
#[path = "../../../chat-proto/tests/it/public_api.rs"]
mod public_api;
/// Publishing and reading when all goes well, and the end.
mod reading;
/// Crowds of tasks, scheduled at random from a seed.
mod scheduler;
/// Who publishes when.
mod turns;
/// Turns of publishers when the hub is closed.
mod turns_at_close;
/// What the tests share.
mod util;
/// Writing to a stream, in turns and by a thread that waits.
mod writer;
