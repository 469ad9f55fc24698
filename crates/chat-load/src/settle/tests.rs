use chat_results::{BodyLens, Check};
use chat_trace::{Arrival, Arrived, Kind, Payloads, Role, Strangers, Times};

use super::*;

const TOPOLOGY: Topology = Topology {
    publishers: 2,
    subscribers: 2,
    slow: 0,
    publishers_read: true,
};

/// A progress and the trace that it goes by.
struct World {
    progress: Progress,
    trace: Trace,
    /// The bodies that each client has sent.
    sent: Vec<Vec<Vec<u8>>>,
}

impl World {
    fn new() -> Self {
        let trace = Trace::new(
            Payloads::new(1, BodyLens::ALL),
            TOPOLOGY,
            Check::Full,
            Strangers::None,
        );
        Self {
            progress: Progress::new(TOPOLOGY),
            trace,
            sent: vec![Vec::new(); TOPOLOGY.resident_count()],
        }
    }

    /// Publisher 0 has said hello and sent its first load message, number 1.
    fn loading() -> Self {
        let mut world = Self::new();
        assert!(!world.send(0, Kind::Hello, 0));
        assert_eq!(world.receive(0, 0, 0, 0), Step::Complete);
        world.progress.set_audience(Audience::OwnSubscribers);
        assert!(!world.send(0, Kind::Load, 0));
        world
    }

    /// Sends a message, and awaits it and all before.
    fn send(&mut self, sender: usize, kind: Kind, now: Nanos) -> bool {
        self.push(sender, kind);
        let count = self.trace.sent().of(sender).count();
        self.progress.expect(sender, count, &self.trace, now)
    }

    fn nudge(&mut self, sender: usize, kind: Kind, now: Nanos) {
        self.push(sender, kind);
        self.progress.nudged(sender, now);
    }

    fn push(&mut self, sender: usize, kind: Kind) {
        let times = Times {
            intended: 0,
            sent: 0,
            is_measured: true,
        };
        let bodies = &mut self.sent[sender];
        self.trace
            .send(sender, kind, 1, times, |body| bodies.push(body.to_vec()));
    }

    fn receive(&mut self, client: usize, sender: usize, number: usize, now: Nanos) -> Step {
        let body = &self.sent[sender][number];
        let message_len = 1 + body.len();
        let mut arrived = [Arrived { body, message_len }].into_iter();
        let Some(Arrival::Run(mut run)) = self.trace.receive(client, &mut arrived) else {
            panic!("it is broken")
        };
        run.times.sent = now;
        self.progress.settled(client, run, now)
    }

    fn open(&self) -> Vec<Open> {
        let mut open = Vec::new();
        self.progress
            .for_each_open(&self.trace, |entry| open.push(entry));
        open
    }
}

fn nanos(duration: Duration) -> Nanos {
    crate::bench::nanos(duration)
}

#[test]
fn a_publisher_waits_for_its_own_subscribers_only() {
    let mut world = World::loading();
    assert_eq!(world.receive(0, 0, 1, 0), Step::None);
    assert_eq!(world.receive(4, 0, 1, 0), Step::None);
    assert_eq!(world.receive(2, 0, 1, 0), Step::Forward);
    assert_eq!(
        world.open(),
        [Open::Unsettled {
            sender: 0,
            number: 1,
            client: 3
        }]
    );
    assert_eq!(world.receive(3, 0, 1, 0), Step::Complete);
    assert_eq!(world.open(), []);
}

#[test]
fn who_is_settled_already_is_not_waited_for() {
    let mut world = World::loading();
    world.push(0, Kind::Load);
    world.push(0, Kind::Load);
    for client in [2, 3] {
        world.receive(client, 0, 1, 0);
        world.receive(client, 0, 2, 0);
    }
    assert!(
        world.progress.expect(0, 3, &world.trace, 0),
        "all but the last message is settled"
    );
    assert!(!world.progress.expect(0, 4, &world.trace, 0));
}

#[test]
fn a_later_message_settles_the_one_that_is_awaited() {
    let mut world = World::loading();
    assert_eq!(world.receive(2, 0, 1, 0), Step::Forward);
    world.nudge(0, Kind::Probe, 0);
    assert_eq!(world.receive(2, 0, 2, 0), Step::None);
    assert_eq!(world.receive(3, 0, 2, 0), Step::Complete);
    assert_eq!(
        (
            world.trace.receivers().lost(),
            world.trace.receivers().worst_loss()
        ),
        (
            1,
            Some((
                Role::Subscriber {
                    publisher: 0,
                    number: 1
                },
                1
            ))
        )
    );
}

#[test]
fn a_sender_asks_when_it_is_quiet_and_less_and_less_often() {
    let wait = nanos(NUDGE_WAIT_MIN);
    let is_due = |world: &World, now| world.progress.is_nudge_due(0, now, Duration::from_secs(10));
    let mut world = World::loading();
    assert!(!is_due(&world, wait), "nobody has seen the message");
    assert!(is_due(&world, wait * u64::from(UNSEEN_FACTOR)));
    assert_eq!(world.receive(2, 0, 1, wait), Step::Forward);
    assert!(!is_due(&world, wait + wait / 2));
    assert!(is_due(&world, 2 * wait));
    world.nudge(0, Kind::Probe, 2 * wait);
    assert_eq!(world.receive(0, 0, 2, 2 * wait), Step::None);
    assert!(!is_due(&world, 3 * wait));
    assert!(is_due(&world, 4 * wait));
}

#[test]
fn what_may_be_under_way_as_long_as_others_were_is_not_asked_after() {
    let second = nanos(Duration::from_secs(1));
    let is_due = |world: &World, now| world.progress.is_nudge_due(0, now, Duration::from_secs(10));
    for (slowest, wait) in [
        (second / 1000, nanos(NUDGE_WAIT_MIN)),
        (second, 2 * second),
        (4 * second, 5 * second),
    ] {
        let mut world = World::loading();
        world.progress.slowest = slowest;
        assert!(
            !is_due(&world, wait - 1) && is_due(&world, wait),
            "{slowest}"
        );
        assert_eq!(world.receive(2, 0, 1, 0), Step::Forward);
        assert!(is_due(&world, nanos(NUDGE_WAIT_MIN)), "somebody has it");
    }
}

#[test]
fn a_repetition_ends_when_everything_has_passed_through_the_server() {
    let mut world = World::new();
    world.progress.set_audience(Audience::Everyone);
    world.send(0, Kind::Closing, 0);
    world.nudge(0, Kind::Closing, 0);
    for client in 0..6 {
        assert_eq!(world.receive(client, 0, 0, 0), Step::Forward);
    }
    assert_eq!(world.open(), [Open::Unseen { sender: 0 }]);
    assert_eq!(world.receive(3, 0, 1, 0), Step::Complete);
}
