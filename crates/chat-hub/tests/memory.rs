//! How much memory a hub holds. A test binary of its own, since it counts what the whole process allocates.

#[expect(dead_code, reason = "the other test crate uses the rest")]
#[path = "it/util.rs"]
mod util;

use peak_alloc::PeakAlloc;

use crate::util::{drain, hub, publish, read, run};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const CAPACITY: usize = 1 << 18;

/// What the documentation of `Config::with_capacity` allows beyond the capacity: three blocks, and bookkeeping.
const SLACK: usize = 3 * CAPACITY / 16 + CAPACITY / 10;

/// Publishes four capacities of messages with bodies of `body_len` bytes, `run_count` a publish, while `quick_count` subscribers read
/// everything at once and one never reads; returns the most that was allocated meanwhile.
fn peak_of_flood(capacity: usize, body_len: usize, run_count: u64, quick_count: usize) -> usize {
    let wire = run(0..run_count, body_len);
    let before = ALLOCATOR.current_usage();
    let hub = hub(capacity);
    let mut publisher = hub.publisher();
    let mut stalled = hub.subscribe();
    let mut quick: Vec<_> = (0..quick_count).map(|_| hub.subscribe()).collect();
    let mut received = 0;
    ALLOCATOR.reset_peak_usage();
    for _ in 0..4 * capacity / wire.len() {
        assert!(publish(&mut publisher, &wire).is_ready());
        for subscriber in &mut quick {
            while let util::Read::Batch { wire, .. } = read(subscriber) {
                received += wire.len();
            }
        }
    }
    let peak = ALLOCATOR.peak_usage() - before;
    assert_eq!(received, quick_count * (4 * capacity / wire.len()) * wire.len());
    assert!(drain(&mut stalled).1 > 0, "the log was overrun");
    peak
}

// One test, since others would allocate at the same time.
#[test]
fn a_hub_holds_its_capacity_and_no_more() {
    for (body_len, run_count, quick_count) in
        [(0, 1, 0), (0, 1, 1), (0, 1000, 3), (64, 1, 3), (64, 16, 3), (255, 1, 1), (255, 500, 0)]
    {
        // The test's own reads are copies: a batch is at most 256 KiB and a block, and is copied once while it grows.
        let own = if quick_count > 0 { 4 * (run_count as usize * (body_len + 1)).min(CAPACITY) + 4096 } else { 0 };
        let peak = peak_of_flood(CAPACITY, body_len, run_count, quick_count);
        assert!(peak > CAPACITY / 2, "{peak} bytes for a full log: the count is wrong");
        assert!(
            peak <= CAPACITY + SLACK + own,
            "{peak} bytes allocated with bodies of {body_len}, {run_count} a publish, {quick_count} readers"
        );
    }
    for capacity in [8 * 1024, 16 * 1024, 32 * 1024] {
        for body_len in [63, 128, 171, 255] {
            let peak = peak_of_flood(capacity, body_len, 1, 0);
            assert!(peak <= 2 * capacity, "{peak} bytes allocated for a capacity of {capacity}, bodies of {body_len}");
        }
    }
    let before = ALLOCATOR.current_usage();
    let hub = hub(CAPACITY);
    let (mut publisher, mut subscriber) = (hub.publisher(), hub.subscribe());
    let wire = run(0..100, 64);
    ALLOCATOR.reset_peak_usage();
    for _ in 0..4 * CAPACITY / wire.len() {
        assert!(publish(&mut publisher, &wire).is_ready());
        drain(&mut subscriber);
    }
    let peak = ALLOCATOR.peak_usage() - before;
    assert!(peak < 4 * CAPACITY / 16, "{peak} bytes for a log whose only reader keeps up");
}
