//! Any configuration is told what is wrong with it, or says the same when it is printed and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| chat_server::fuzzed::check_config(input));
