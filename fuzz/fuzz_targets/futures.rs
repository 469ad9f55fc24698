//! Over a stream that does what streams may do, `futures` reads and writes what the naive decoder
//! says.
#![no_main]

#[path = "../../crates/chat-proto/tests/it/adapters.rs"]
mod adapters;
#[path = "../../crates/chat-proto/tests/it/naive.rs"]
mod naive;
#[path = "../../crates/chat-proto/tests/it/scripted.rs"]
mod scripted;

libfuzzer_sys::fuzz_target!(|input: &[u8]| adapters::check_input("futures", input));
