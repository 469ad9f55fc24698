//! Any bytes of a proxy in any pieces are read as the specification says, and no further.
#![no_main]

#[path = "../../bins/server/src/proxy/check.rs"]
mod check;
#[path = "../../bins/server/src/proxy/header.rs"]
mod header;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check_input(input));
