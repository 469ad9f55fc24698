//! Any history of a hub is what the model says.
#![no_main]

#[path = "../../crates/chat-hub/tests/it/model.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|input: &[u8]| model::check_input(input));
