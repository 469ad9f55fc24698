//! Any bytes in any pieces decode as the naive decoder says.
#![no_main]

#[path = "../../crates/chat-proto/tests/it/naive.rs"]
mod naive;

libfuzzer_sys::fuzz_target!(|input: &[u8]| naive::check_input(input));
