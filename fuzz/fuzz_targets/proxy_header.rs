//! Any bytes of a proxy in any pieces are read as the specification says, and no further.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| chat_server::fuzzed::check_proxy_header(input));
