use std::{fs, path::Path};

use crate::pieces;

#[test]
fn every_input_of_the_corpus_decodes_as_the_naive_decoder_says() {
    replay("decode", pieces::check_input);
}

#[cfg(feature = "std")]
#[test]
fn every_adapter_agrees_with_the_naive_decoder_on_its_corpus() {
    for (target, adapter) in [
        ("blocking", "blocking"),
        ("futures", "futures"),
        ("tokio_util", "tokio-util"),
        ("asynchronous_codec", "asynchronous-codec"),
    ] {
        replay(target, |input| crate::adapters::check_input(adapter, input));
    }
}

#[track_caller]
fn replay(target: &str, check_input: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&dir).expect("the seed corpus is part of the repository") {
        check_input(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "only {count} inputs in {}", dir.display());
}
