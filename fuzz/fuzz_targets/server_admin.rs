//! Any commands of an administrator are answered.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| chat_server::fuzzed::check_commands(input));
