//! What must hold for any bytes of others: the fuzzer's targets call these checks, and tests replay its
//! corpus.

#[cfg(test)]
use std::path::Path;

pub use crate::config::fuzzed::check_input as check_config;
pub use crate::inside::check_commands;
pub use crate::proxy::check_header as check_proxy_header;

/// Checks all inputs of a corpus.
#[cfg(test)]
pub(crate) fn check_corpus(name: &str, check_input: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).expect("the seed corpus is part of the repository") {
        check_input(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "only {count} inputs in {}", dir.display());
}
