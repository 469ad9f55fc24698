//! What the fuzzer feeds the server with. Under `--cfg fuzzing`, this program is the fuzzer's.

#[cfg(test)]
use std::path::Path;

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

// The package of the fuzzer builds this program under the name of each target.
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| match env!("CARGO_BIN_NAME") {
    "server_config" => crate::config::fuzzed::check_input(input),
    "server_admin" => crate::inside::check_commands(input),
    _ => unreachable!("there is no such target"),
});
