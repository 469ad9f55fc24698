//! A hub too simple to be wrong, a queue for each subscriber, and the comparison of the real one
//! with it.
//!
//! The fuzz target `hub_ops` includes this file, so it names nothing but public items.

// Said in full, since the fuzz target finds this file by its path.
#[path = "model/ops.rs"]
mod ops;
#[path = "model/parties.rs"]
mod parties;
#[path = "model/subscribing.rs"]
mod subscribing;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chat_hub::{Clock, Closed, Config, Hub, Policy, Position};
use chat_proto::Messages;

use self::ops::Op;
use self::parties::{ModelPublisher, ModelSubscriber, Serving, message};

/// Checks one input of the fuzzer: `| shape: u8 | operations: 3 bytes each |`. The shape is the
/// policy, four if there is a clock, and eight times the capacity.
pub(crate) fn check_input(input: &[u8]) {
    let Some((&shape, ops)) = input.split_first() else {
        return;
    };
    let policy = POLICIES[usize::from(shape % 4)];
    let capacity = 8192 + 4096 * usize::from(shape / 8);
    let mut model = Model::new(capacity, policy, shape & 4 != 0);
    for op in ops.chunks_exact(3) {
        model.apply(Op::decode([op[0], op[1], op[2]]));
        model.check_wakes();
    }
    model.finish();
}

/// The policies, in the order of a shape.
const POLICIES: [Policy; 4] = [
    Policy::Oldest,
    Policy::Newest,
    Policy::Disconnect,
    Policy::Block,
];

struct Model {
    hub: Hub,
    clock: Option<Clock>,
    policy: Policy,
    /// The capacity without the backlog that a policy may have.
    capacity: u64,
    /// The longest stretch that the hub lets go at once, which it may count as unread although its
    /// end was read.
    segment_len: u64,
    /// All messages ever published, in order.
    log: Vec<Vec<u8>>,
    byte_len: u64,
    /// Where the log ended after each publish.
    ends: Vec<Position>,
    publishers: Vec<ModelPublisher>,
    subscribers: Vec<ModelSubscriber>,
    /// What subscribers that are gone had delivered and dropped.
    gone: (u64, u64),
    disconnected: u64,
    closed: bool,
}

impl Model {
    fn new(capacity: usize, policy: Policy, has_clock: bool) -> Self {
        let config = Config::default()
            .with_capacity(capacity)
            .with_policy(policy);
        // So slow a rate is that of a stream which takes a message now and then.
        let config = config.with_rate(1000);
        let (hub, clock) = if has_clock {
            let (hub, mut clock) = config.build_with_clock().expect("it is large enough");
            assert!(
                clock
                    .poll_due(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            (hub, Some(clock))
        } else {
            (
                config.build().expect("a model's capacity is large enough"),
                None,
            )
        };
        let publishers = (0..3).map(|_| ModelPublisher {
            real: hub.publisher(),
            woken: Arc::default(),
            pending: false,
        });
        Self {
            publishers: publishers.collect(),
            hub,
            clock,
            policy,
            capacity: if policy == Policy::Newest {
                capacity / 2
            } else {
                capacity
            } as u64,
            segment_len: (capacity / 16).min(64 * 1024) as u64,
            log: Vec::new(),
            byte_len: 0,
            ends: Vec::new(),
            subscribers: Vec::new(),
            gone: (0, 0),
            disconnected: 0,
            closed: false,
        }
    }

    fn apply(&mut self, op: Op) {
        let publisher = |who: u8| usize::from(who) % 3;
        let count = self.subscribers.len();
        let subscriber = |who: u8| usize::from(who).checked_rem(count);
        match op {
            Op::Publish {
                publisher: who,
                count,
                body_len,
            } => {
                self.publish(publisher(who), count, body_len);
            }
            Op::Pass { publisher: who } => {
                let publisher = &mut self.publishers[publisher(who)];
                publisher.real.pass();
                publisher.pending = false;
            }
            Op::Read {
                subscriber: who,
                share,
            } => {
                if let Some(index) = subscriber(who) {
                    self.read(index, share);
                }
            }
            Op::Stall { subscriber: who } => {
                if let Some(index) = subscriber(who) {
                    self.stall(index);
                }
            }
            Op::Pause { subscriber: who } => {
                if let Some(index) = subscriber(who) {
                    self.pause(index);
                }
            }
            Op::Join => self.join(),
            Op::Leave { subscriber: who } => {
                if let Some(index) = subscriber(who) {
                    self.leave(index);
                }
            }
            Op::EndAt {
                subscriber: who,
                time,
            } => {
                if let Some(index) = subscriber(who) {
                    self.end_at(index, time);
                }
            }
            Op::Tick { count } => (0..count).for_each(|_| self.tick()),
            Op::Close => {
                self.hub.close();
                self.closed = true;
            }
        }
    }

    fn publish(&mut self, index: usize, count: u8, body_len: u8) {
        let first = self.log.len();
        let run = (0..usize::from(count)).map(|i| message(first + i, body_len));
        let run: Vec<Vec<u8>> = run.collect();
        let wire = run.concat();
        let (mut messages, _) = Messages::split(&wire);
        let lag_max = self.awaited_lag_max();
        let publisher = &mut self.publishers[index];
        // A turn that was given is used, whoever has begun to wait meanwhile.
        let has_turn = publisher.pending && publisher.woken.is_set();
        publisher.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&publisher.woken));
        let mut cx = Context::from_waker(&waker);
        let poll = publisher.real.poll_publish(&mut cx, &mut messages);
        publisher.pending = poll.is_pending();
        // What was not published is not kept: the next attempt makes a run of its own.
        let published = run.len() - messages.count();
        self.log.extend(run.into_iter().take(published));
        self.byte_len += (wire.len() - messages.as_bytes().len()) as u64;
        match poll {
            Poll::Ready(Ok(end)) => {
                let expected = (self.log.len() as u64, self.byte_len);
                assert_eq!((end.message_pos(), end.byte_pos()), expected);
                self.ends.push(end);
            }
            Poll::Ready(Err(Closed)) => assert!(self.closed),
            Poll::Pending => assert!(!messages.is_empty(), "what is published is not pending"),
        }
        if published > 0 {
            self.check_published(if has_turn { 0 } else { lag_max });
        }
    }

    /// Checks what must hold of the others when something has just been published, and before that
    /// the slowest that publishers wait for was `lag_max` behind.
    fn check_published(&mut self, lag_max: u64) {
        let (policy, len) = (self.policy, self.log.len());
        for subscriber in &mut self.subscribers {
            if subscriber.is_awaited(policy) {
                subscriber.awaited_until = len;
            }
        }
        let slack = self.slack();
        // A look may allow an eighth of a slack.
        let allowed = slack + slack / 8;
        assert!(
            lag_max <= allowed,
            "publishing went on while {lag_max} bytes were to be read"
        );
        let is_asleep = |subscriber: &&ModelSubscriber| {
            subscriber.serving == Serving::Waiting && !subscriber.woken.is_set()
        };
        let asleep = self.subscribers.iter().find(is_asleep);
        assert!(
            asleep.is_none(),
            "publishing wakes everybody who had read everything"
        );
    }

    fn tick(&mut self) {
        let Some(clock) = &mut self.clock else {
            return;
        };
        let policy = self.policy;
        let were_laggards: Vec<bool> = self
            .subscribers
            .iter()
            .map(|subscriber| subscriber.real.is_laggard())
            .collect();
        clock.tick();
        for (subscriber, was_laggard) in self.subscribers.iter_mut().zip(were_laggards) {
            subscriber.stalled_ticks += u32::from(subscriber.serving == Serving::Stalled);
            let is_laggard = subscriber.real.is_laggard();
            let is_stalled = subscriber.serving == Serving::Stalled && policy != Policy::Block;
            if is_laggard && !was_laggard {
                let is_forgotten = subscriber.serving == Serving::Waiting;
                assert!(
                    is_stalled || is_forgotten,
                    "whoever is not stalled keeps up"
                );
            }
            let is_over = is_stalled && subscriber.stalled_ticks > 20 && !subscriber.ended;
            assert!(
                !is_over || is_laggard,
                "a stream that takes nothing does not keep up"
            );
        }
    }

    /// How many bytes the slowest subscriber has to read that publishers wait for.
    fn awaited_lag_max(&self) -> u64 {
        let awaited = self
            .subscribers
            .iter()
            .filter(|s| s.is_awaited(self.policy));
        awaited
            .map(|s| self.byte_len - s.seen_byte_pos)
            .max()
            .unwrap_or(0)
    }

    /// How far behind a subscriber may be for publishers not to wait for it.
    fn slack(&self) -> u64 {
        (self.capacity / 8).max((self.capacity / 4).min(64 * 1024))
    }

    /// Nobody sleeps who could go on: a publisher waits only for a subscriber that is behind, or for
    /// another publisher whose turn it is.
    fn check_wakes(&self) {
        let slack = self.slack();
        let lag_max = self.awaited_lag_max();
        let is_woken = |publisher: &ModelPublisher| publisher.pending && publisher.woken.is_set();
        let is_somebodys_turn = self.publishers.iter().any(is_woken);
        for publisher in &self.publishers {
            let asleep = publisher.pending && !publisher.woken.is_set() && !self.closed;
            let may_sleep = is_somebodys_turn || lag_max + self.segment_len > slack;
            assert!(
                !asleep || may_sleep,
                "a publisher sleeps and the largest lag is {lag_max}"
            );
        }
        if self.policy == Policy::Disconnect {
            for subscriber in self
                .subscribers
                .iter()
                .filter(|s| s.serving == Serving::Stalled)
            {
                let lag = self.byte_len - subscriber.seen_byte_pos;
                let is_lost = lag > self.capacity + self.segment_len;
                assert!(
                    !is_lost || subscriber.woken.is_set(),
                    "a stalled laggard is told"
                );
            }
        }
    }

    /// Reads everything to the end and adds up.
    fn finish(mut self) {
        self.hub.close();
        self.closed = true;
        // A turn that was taken may still be used.
        self.publishers
            .iter_mut()
            .for_each(|publisher| publisher.real.pass());
        let (mut delivered, mut dropped) = self.gone;
        for index in 0..self.subscribers.len() {
            let end = self.subscribers[index].limit.unwrap_or(self.log.len());
            let end = end.max(self.subscribers[index].joined);
            while self.subscribers[index].next < end
                && !self.subscribers[index].real.is_disconnected()
            {
                self.read(index, 255);
            }
            self.read(index, 255);
            let subscriber = &self.subscribers[index];
            // Nothing that was published after its disconnection was for it.
            let is_disconnected = subscriber.real.is_disconnected();
            let end = if is_disconnected {
                subscriber.next
            } else {
                subscriber.next.max(end)
            };
            let read_len = (end - subscriber.joined) as u64;
            let passed = subscriber.delivered + subscriber.dropped;
            assert_eq!(passed, read_len, "the counts add up");
            delivered += subscriber.delivered;
            dropped += subscriber.dropped;
        }
        let stats = self.hub.stats();
        assert_eq!(
            (stats.published, stats.dropped),
            (self.log.len() as u64, dropped)
        );
        assert_eq!(stats.delivered, delivered);
        assert!(stats.delivered_bytes >= delivered && stats.delivered_bytes <= 256 * delivered);
        let counts = (stats.subscriber_count, stats.disconnected);
        assert_eq!(counts, (self.subscribers.len(), self.disconnected));
        assert_eq!(
            (stats.lag_max, stats.laggard_count),
            (0, 0),
            "all subscriptions are over"
        );
    }
}
