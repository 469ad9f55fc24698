use std::path::Path;

use proptest::prelude::*;

use crate::model;

#[test]
fn every_history_of_the_corpus_is_what_the_model_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/hub_ops");
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).expect("the seed corpus is part of the repository") {
        model::check_input(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "only {count} inputs in {}", dir.display());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_history_is_what_the_model_says(
        shape in prop_oneof![0..4_u8, any::<u8>()],
        ops in prop::collection::vec(any::<[u8; 3]>(), 0..400),
    ) {
        let input: Vec<u8> = std::iter::once(shape).chain(ops.into_iter().flatten()).collect();
        model::check_input(&input);
    }
}
