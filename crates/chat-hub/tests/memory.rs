//! How much memory a hub holds. A test binary of its own, since it counts what the whole process
//! allocates.

#[expect(dead_code, reason = "the other test crate uses the rest")]
#[path = "it/util.rs"]
mod util;

use std::task::{Context, Poll, Waker};

use chat_hub::{Config, Policy, Subscriber};
use peak_alloc::PeakAlloc;

use crate::util::{publish, run, stall};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const POLICIES: [Policy; 4] = [
    Policy::Oldest,
    Policy::Newest,
    Policy::Disconnect,
    Policy::Block,
];

const CAPACITY: usize = 1 << 18;

/// Three capacities of messages, and who reads them.
#[derive(Clone, Copy, Debug)]
struct Flood {
    policy: Policy,
    capacity: usize,
    body_len: usize,
    /// How many messages each publish has.
    run_count: u64,
    /// How many subscribers read everything at once.
    quick_count: usize,
    /// How many fall behind, one after the other, so that there is one at every lag; each reads a
    /// little from time to time.
    slow_count: usize,
    /// Whether one never reads.
    has_forgotten: bool,
}

impl Flood {
    /// Returns the most that was allocated meanwhile.
    fn peak(self) -> usize {
        let wire = run(0..self.run_count, self.body_len);
        let before = ALLOCATOR.current_usage();
        let hub = Config::default()
            .with_capacity(self.capacity)
            .with_policy(self.policy)
            .build()
            .unwrap();
        let mut publisher = hub.publisher();
        let _forgotten = self.has_forgotten.then(|| hub.subscribe());
        let mut quick: Vec<_> = (0..self.quick_count).map(|_| hub.subscribe()).collect();
        let mut slow: Vec<_> = (0..self.slow_count).map(|_| hub.subscribe()).collect();
        let mut delivered = 0;
        ALLOCATOR.reset_peak_usage();
        let publish_count = 3 * self.capacity / wire.len();
        for turn in 0..publish_count {
            // By some policies and at some times publishers wait; then the flood goes on with the
            // next turn.
            let _ = publish(&mut publisher, &wire);
            for subscriber in &mut quick {
                while let len @ 1.. = read(subscriber) {
                    delivered += len;
                }
            }
            for (nth, subscriber) in slow.iter_mut().enumerate() {
                // The later ones fall behind later.
                if turn * self.slow_count < nth * publish_count / 4 || turn % 50 == nth {
                    read(subscriber);
                }
                stall(subscriber);
            }
        }
        let peak = ALLOCATOR.peak_usage() - before;
        assert!(
            self.quick_count == 0 || delivered > self.capacity / 4,
            "somebody read"
        );
        peak
    }

    #[track_caller]
    fn check(self) {
        let peak = self.peak();
        let handles = 300 * (self.quick_count + self.slow_count) + self.run_count as usize;
        // What the documentation of `Config::with_capacity` allows: three blocks, and bookkeeping.
        let slack = if self.capacity < 64 * 1024 {
            self.capacity
        } else {
            3 * self.capacity / 16 + self.capacity / 10
        };
        assert!(
            peak <= self.capacity + slack + handles,
            "{peak} bytes allocated in {self:?}"
        );
        let fills = self.has_forgotten && !matches!(self.policy, Policy::Disconnect);
        assert!(
            !fills || peak > self.capacity / 5,
            "{peak} bytes in {self:?}: the count is wrong"
        );
    }
}

/// Reads a batch and returns how long it was.
fn read(subscriber: &mut Subscriber) -> usize {
    match subscriber.poll_batch(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(batch)) => {
            let len = batch.len();
            batch.consume_all();
            len
        }
        _ => 0,
    }
}

// One test, since others would allocate at the same time.
#[test]
fn a_hub_holds_its_capacity_and_no_more() {
    for policy in POLICIES {
        for (body_len, run_count) in [(0, 1), (0, 1000), (64, 1), (64, 16), (255, 1), (255, 500)] {
            for (quick_count, slow_count, has_forgotten) in [
                (0, 0, true),
                (1, 0, true),
                (3, 0, false),
                (1, 8, true),
                (1, 8, false),
            ] {
                // A million publishes of a byte take their time.
                let capacity = if run_count == 1 && body_len == 0 {
                    CAPACITY / 8
                } else {
                    CAPACITY
                };
                Flood {
                    policy,
                    capacity,
                    body_len,
                    run_count,
                    quick_count,
                    slow_count,
                    has_forgotten,
                }
                .check();
            }
        }
        for capacity in [8 * 1024, 16 * 1024, 32 * 1024] {
            for body_len in [63, 128, 171, 255] {
                let flood = Flood {
                    policy,
                    capacity,
                    body_len,
                    run_count: 1,
                    quick_count: 0,
                    slow_count: 0,
                    has_forgotten: true,
                };
                let peak = flood.peak();
                assert!(
                    peak <= 2 * capacity + 1024,
                    "{peak} bytes allocated in {flood:?}"
                );
            }
        }
        let flood = Flood {
            policy,
            capacity: CAPACITY,
            body_len: 64,
            run_count: 100,
            quick_count: 1,
            slow_count: 0,
            has_forgotten: false,
        };
        let peak = flood.peak();
        assert!(
            peak < 4 * CAPACITY / 16,
            "{peak} bytes for a log whose only reader keeps up, {policy:?}"
        );
    }
}
