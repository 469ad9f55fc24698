use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use chat_faults::{Facts, prove};

/// How many schedules are played unless `CHAT_FAULTS_SEEDS` says otherwise.
const SEED_COUNT: u64 = 200;

/// How many are played at once. They sleep most of the time.
const AT_ONCE: usize = 12;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().expect("the variable is a number"),
        Err(_) => default,
    }
}

#[test]
fn seeded_fault_schedules_keep_the_order() {
    let first = number("CHAT_FAULTS_FIRST", 0);
    let end = first + number("CHAT_FAULTS_SEEDS", SEED_COUNT);
    let server = Path::new(env!("CARGO_BIN_EXE_chat-server"));
    let next = AtomicU64::new(first);
    let (total, failed) = (Mutex::new(Facts::default()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    match prove(server, seed) {
                        Ok(proof) => add(&mut total.lock().unwrap(), proof.facts),
                        Err(error) => failed.lock().unwrap().push(error.to_string()),
                    }
                }
            });
        }
    });
    let (total, failed) = (total.into_inner().unwrap(), failed.into_inner().unwrap());
    assert!(
        failed.is_empty(),
        "{} schedules failed; play one again with CHAT_FAULTS_FIRST=SEED CHAT_FAULTS_SEEDS=1:\n{}",
        failed.len(),
        failed.join("\n")
    );
    if end - first >= SEED_COUNT {
        // Otherwise these proofs are about nothing. Whether anybody lags long enough to miss something
        // is up to how fast the machine is.
        assert!(total.delivered > 1_000_000, "{total:?}");
        assert!(total.resets > 0 && total.closed > 500, "{total:?}");
    }
}

fn add(total: &mut Facts, facts: Facts) {
    total.delivered += facts.delivered;
    total.missed += facts.missed;
    total.resets += facts.resets;
    total.closed += facts.closed;
}
