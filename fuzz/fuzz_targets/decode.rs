//! Any bytes in any pieces decode, and encode again, as the naive decoder says.
#![no_main]

#[path = "../../crates/chat-proto/tests/it/naive.rs"]
mod naive;
#[path = "../../crates/chat-proto/tests/it/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|input: &[u8]| pieces::check_input(input));
