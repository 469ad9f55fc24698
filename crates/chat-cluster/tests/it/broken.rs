//! Wrong designs: the simulator must notice each, and tell why in a few steps.

use super::sim::{Design, Story, run};

#[test]
fn pipelined_publishes_are_noticed() {
    check(Design::Pipelined);
}

#[test]
fn retries_with_new_ids_are_noticed() {
    check(Design::RetriesWithNewId);
}

#[test]
fn a_filter_without_epochs_is_noticed() {
    check(Design::NoEpochs);
}

#[test]
fn a_filter_that_lets_duplicates_pass_is_noticed() {
    check(Design::NoDuplicates);
}

#[test]
fn joining_without_warming_up_is_noticed() {
    check(Design::NoWarmUp);
}

#[test]
fn delivering_locally_is_noticed() {
    check(Design::DeliversLocally);
}

#[test]
fn acknowledging_what_was_only_confirmed_is_noticed() {
    check(Design::AcknowledgesEarly);
}

#[track_caller]
fn check(design: Design) {
    let mut stories = (0..SEED_COUNT).map(|seed| Story::from_seed(seed, 1000));
    let story = stories.find(|story| run(story, design).is_err());
    let story = story.expect("a seed notices it").shrunk(design);
    let error = run(&story, design).unwrap_err();
    eprintln!("{design:?}: {error}, by these steps:\n{story:?}");
    assert!(story.0.len() <= STORY_LEN_MAX, "{story:?}");
    assert!(
        run(&story, Design::Right).is_ok(),
        "it is not the design that fails: {story:?}"
    );
}

const SEED_COUNT: u64 = 200;
/// A person can follow it.
const STORY_LEN_MAX: usize = 25;
