use chat_results::BodyLens;

use super::*;
use crate::sends::{BURST_LEN, Nanos};
use crate::story::Kept;

const TOPOLOGY: Topology = Topology {
    publishers: 2,
    subscribers: 1,
    slow: 0,
    publishers_read: true,
};

/// Returns messages with these bodies, behind a header of a byte.
fn arrived(bodies: &[Vec<u8>]) -> impl Iterator<Item = Arrived<'_>> + Clone {
    bodies.iter().map(|body| Arrived {
        body,
        message_len: 1 + body.len(),
    })
}

/// A trace and the bodies that were sent.
struct World {
    trace: Trace,
    sent: Vec<Vec<Vec<u8>>>,
}

impl World {
    fn new(check: Check) -> Self {
        Self::among(check, Strangers::None)
    }

    fn among(check: Check, strangers: Strangers) -> Self {
        let mut trace = Trace::new(Payloads::new(7, BodyLens::ALL), TOPOLOGY, check, strangers);
        trace.begin(3);
        Self {
            trace,
            sent: vec![Vec::new(); TOPOLOGY.resident_count()],
        }
    }

    fn send(&mut self, client: usize, kind: Kind, count: u32, sent: Nanos) {
        let sent_at = Times {
            intended: sent,
            sent,
            is_measured: true,
        };
        let bodies = &mut self.sent[client];
        self.trace.send(client, kind, count, sent_at, |body| {
            bodies.push(body.to_vec())
        });
    }

    /// Delivers messages of `sender` to `client` in one piece, and returns the runs that were found
    /// until the promise is broken.
    fn receive(&mut self, client: usize, sender: usize, numbers: &[usize]) -> Vec<(u32, u32)> {
        let bodies: Vec<_> = numbers
            .iter()
            .map(|&number| self.sent[sender][number].clone())
            .collect();
        self.receive_bodies(client, &bodies)
    }

    fn receive_bodies(&mut self, client: usize, bodies: &[Vec<u8>]) -> Vec<(u32, u32)> {
        let mut arrived = arrived(bodies);
        let mut runs = Vec::new();
        while let Some(Arrival::Run(run)) = self.trace.receive(client, &mut arrived) {
            runs.push((run.first, run.count));
        }
        runs
    }

    #[track_caller]
    fn check_broken(&self, class: &str, story: &str) {
        let conviction = self.trace.evidence().verdict().unwrap_err();
        assert_eq!(
            (conviction.class, conviction.story.as_str()),
            (class, story)
        );
    }
}

#[test]
fn runs_end_at_gaps_and_where_bursts_do() {
    let mut world = World::new(Check::Full);
    world.send(0, Kind::Load, 5, 0);
    world.send(0, Kind::Load, 3, 1);
    assert_eq!(
        world.receive(2, 0, &[0, 1, 3, 4, 5, 6]),
        [(0, 2), (3, 2), (5, 2)]
    );
    assert_eq!(world.receive(2, 0, &[7]), [(7, 1)]);
    assert_eq!(
        world.receive(3, 0, &[0, 1, 2, 3, 4, 5, 6, 7]),
        [(0, 5), (5, 3)]
    );
    assert_eq!(
        world.trace.evidence().verdict().unwrap(),
        Kept::Proved { overtaken: 0 }
    );
}

#[test]
fn every_load_message_is_delivered_lost_or_unresolved() {
    let mut world = World::new(Check::Basic);
    world.send(0, Kind::Hello, 1, 0);
    world.send(0, Kind::Load, 6, 0);
    let due = 6 * 4;
    assert_eq!(
        (world.trace.receivers().lost(), world.trace.unresolved()),
        (0, due)
    );
    world.receive(2, 0, &[0, 1, 5]);
    assert_eq!(
        (world.trace.receivers().lost(), world.trace.unresolved()),
        (3, due - 5)
    );
    world.send(0, Kind::Closing, 1, 1);
    world.receive(2, 0, &[7]);
    assert_eq!(
        (world.trace.receivers().lost(), world.trace.unresolved()),
        (4, due - 6)
    );
    world.receive(3, 0, &[7]);
    assert_eq!(
        (world.trace.receivers().lost(), world.trace.unresolved()),
        (10, due - 12)
    );
    assert_eq!(
        (
            world.trace.receivers().longest_loss(),
            world.trace.receivers().worst_loss()
        ),
        (6, Some((TOPOLOGY.role(3), 6)))
    );
    world.trace.begin(4);
    assert_eq!(
        (
            world.trace.receivers().lost(),
            world.trace.unresolved(),
            world.trace.receivers().worst_loss()
        ),
        (0, 0, None)
    );
}

#[test]
fn what_comes_again_or_too_late_is_broken_under_every_check() {
    for (check, class, story) in [
        (
            Check::Off,
            "duplicate or reordered",
            "subscriber 0 of publisher 0 received publisher 0's message 0 after publisher 0's message 2",
        ),
        (
            Check::Basic,
            "duplicate or reordered",
            "subscriber 0 of publisher 0 received publisher 0's message 0 after publisher 0's message 2",
        ),
        (
            Check::Full,
            "duplicate",
            "subscriber 0 of publisher 0 received publisher 0's message 0 more than once",
        ),
    ] {
        let mut world = World::new(check);
        world.send(0, Kind::Load, 3, 0);
        assert_eq!(world.receive(2, 0, &[0, 1, 2, 0]), [(0, 3)]);
        world.check_broken(class, story);
    }
}

#[test]
fn a_changed_byte_is_found_under_every_check_but_off() {
    for check in [Check::Off, Check::Basic, Check::Full] {
        let mut world = World::new(check);
        world.send(0, Kind::Load, 8, 0);
        let longest = (0..8)
            .max_by_key(|&number| world.sent[0][number].len())
            .unwrap();
        *world.sent[0][longest].last_mut().unwrap() ^= 1;
        world.receive(2, 0, &[0, 1, 2, 3, 4, 5, 6, 7]);
        if check == Check::Off {
            assert_eq!(world.trace.evidence().verdict().unwrap(), Kept::Unchecked);
        } else {
            let (len, last) = (
                world.sent[0][longest].len(),
                *world.sent[0][longest].last().unwrap(),
            );
            let story = format!(
                "subscriber 0 of publisher 0 received publisher 0's message {longest} with another length or content than it was sent with: \
                 of its {len} bytes, those from number {} on are {last:02x} instead of {:02x}",
                len - 1,
                last ^ 1
            );
            world.check_broken("corrupt", &story);
        }
    }
}

#[test]
fn messages_of_the_repetition_before_may_precede_all_of_this_one() {
    let mut world = World::new(Check::Full);
    world.send(0, Kind::Load, 2, 0);
    world.trace.begin(4);
    assert!(world.receive(1, 0, &[0]).is_empty());
    assert_eq!(
        world.trace.evidence().verdict().unwrap(),
        Kept::Proved { overtaken: 0 }
    );
    // Whoever sent it: here it is a hello message of another client.
    world.send(2, Kind::Hello, 1, 0);
    world.receive(1, 2, &[0]);
    world.receive(1, 0, &[1]);
    world.check_broken(
        "phantom",
        "publisher 1 received a message of iteration 3 after one of this iteration",
    );
}

#[test]
fn messages_of_an_earlier_repetition_are_none_of_strangers() {
    let first_run = u16::MAX;
    let mut world = World::among(Check::Full, Strangers::Possible { first_run });
    world.send(0, Kind::Load, 2, 0);
    // The numbers in tags begin again at 0 meanwhile.
    world.trace.begin(4);
    world.receive(1, 0, &[0]);
    assert_eq!(world.trace.passed_over(), 0);
    world.send(2, Kind::Hello, 1, 0);
    world.receive(1, 2, &[0]);
    world.receive(1, 0, &[1]);
    let conviction = world.trace.evidence().verdict().unwrap_err();
    assert_eq!(conviction.class, "phantom");
}

#[test]
fn messages_of_strangers_are_passed_over_where_there_may_be_some() {
    let mut other = World::among(Check::Full, Strangers::Possible { first_run: 500 });
    other.send(0, Kind::Load, 2, 0);
    let mut world = World::among(
        Check::Full,
        Strangers::Possible {
            first_run: u16::MAX,
        },
    );
    world.send(0, Kind::Load, 2, 0);
    let own: [Vec<u8>; 4] = [
        world.sent[0][0].clone(),
        b"short".to_vec(),
        other.sent[0][0].clone(),
        world.sent[0][1].clone(),
    ];
    let mut messages = arrived(&own);
    let mut arrivals = Vec::new();
    while let Some(arrival) = world.trace.receive(2, &mut messages) {
        arrivals.push(matches!(arrival, Arrival::Run(_)));
    }
    assert_eq!(arrivals, [true, false, false, true]);
    assert_eq!(
        (
            world.trace.passed_over(),
            world.trace.evidence().verdict().unwrap()
        ),
        (2, Kept::Proved { overtaken: 0 })
    );
    // What is its own is judged as always.
    world.receive(2, 0, &[1]);
    world.check_broken(
        "duplicate",
        "subscriber 0 of publisher 0 received publisher 0's message 1 more than once",
    );
}

#[test]
fn who_is_behind_a_message_sent_after_its_arrival_is_overtaken() {
    let mut world = World::new(Check::Full);
    world.send(0, Kind::Load, 1, 0);
    world.receive(2, 0, &[0]);
    world.trace.burst_mut(0, 0).arrived(5);
    world.send(1, Kind::Load, 1, 6);
    world.receive(3, 1, &[0]);
    world.receive(3, 0, &[0]);
    assert_eq!(
        world.trace.evidence().verdict().unwrap(),
        Kept::Proved { overtaken: 1 }
    );
}

#[test]
fn memory_is_counted_before_it_is_taken_and_bounds_what_is_sent() {
    for check in [Check::Basic, Check::Full] {
        let mut world = World::new(check);
        let visitor = TOPOLOGY.resident_count();
        world.trace.make_room(visitor + 1);
        let room = world.trace.room();
        world.send(0, Kind::Load, 100, 0);
        world.send(1, Kind::Load, 1, 0);
        let counted = world.trace.memory_len;
        for client in 0..=visitor {
            world.receive(client, 0, &(0..100).collect::<Vec<_>>());
            world.receive(client, 1, &[0]);
        }
        let event_count: usize = world
            .trace
            .evidence()
            .records()
            .iter()
            .map(|record| record.words().len())
            .sum();
        // Three cells, what it sent and what it did.
        let row_len = 3 * 8 + size_of::<Sends>() + size_of::<Record>();
        let taken = event_count as u64 * 4 + 2 * BURST_LEN as u64 + row_len as u64;
        let visitor_len = if check == Check::Full { 101 * 4 } else { 0 };
        assert_eq!(
            (world.trace.memory_len, counted + visitor_len),
            (taken, taken)
        );
        assert!(world.trace.room() < room || check == Check::Basic);
        world.trace.memory_len = MEMORY_MAX - 1000;
        assert_eq!(
            world.trace.room(),
            if check == Check::Full {
                (1000 - 48) / 20
            } else {
                LOAD_MAX - 101
            }
        );
        world.trace.memory_len = MEMORY_MAX - 48;
        assert_eq!(world.trace.room(), 0);
    }
}

#[test]
fn the_load_is_over_when_ids_are_used_up() {
    let mut world = World::new(Check::Basic);
    world.trace.evidence.sent_mut().skip_ids(LOAD_MAX - 3);
    assert_eq!(world.trace.room(), 3);
    world.send(0, Kind::Load, 3, 0);
    assert_eq!(world.trace.room(), 0);
}
