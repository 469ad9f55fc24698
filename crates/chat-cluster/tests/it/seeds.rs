use std::ops::Range;

use super::sim::{Design, Seen, Story, run};

#[test]
fn no_seed_breaks_a_promise() {
    let mut seen = Seen::new();
    for seed in seeds() {
        let story = Story::from_seed(seed, STORY_LEN);
        match run(&story, Design::Right) {
            Ok(of_story) => {
                for (what, count) in of_story {
                    *seen.entry(what).or_default() += count;
                }
            }
            Err(_) => fail(seed, story),
        }
    }
    eprintln!("{seen:?}");
    let faults = [
        "delivered",
        "duplicates",
        "garbage",
        "missed",
        "missing",
        "refused",
        "retries",
        "started",
        "stream lost",
        "strays",
        "superseded",
    ];
    for fault in faults {
        assert!(
            seen.get(fault) > Some(&0),
            "no {fault} in all stories: {seen:?}"
        );
    }
}

fn fail(seed: u64, story: Story) -> ! {
    let story = story.shrunk(Design::Right);
    let error = run(&story, Design::Right).unwrap_err();
    panic!("seed {seed}: {error}, by these steps:\n{story:?}");
}

/// Those of the gate, or others by hand: `CHAT_CLUSTER_SEEDS=0..100000`.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("CHAT_CLUSTER_SEEDS") else {
        return 0..1000;
    };
    let (start, end) = text
        .split_once("..")
        .expect("seeds are written like 0..1000");
    start.parse().unwrap()..end.parse().unwrap()
}

/// With the seeds of the gate: three million steps.
const STORY_LEN: usize = 3000;
