use std::path::Path;

use crate::naive;

#[test]
fn every_input_of_the_corpus_decodes_as_the_naive_decoder_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/decode");
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).expect("the seed corpus is part of the repository") {
        naive::check_input(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "only {count} inputs in {}", dir.display());
}
