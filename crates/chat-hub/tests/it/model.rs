//! A hub too simple to be wrong, a queue for each subscriber, and the comparison of the real one
//! with it.
//!
//! The fuzz target `hub_ops` includes this file, so it names nothing but public items.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use chat_hub::{Batch, Clock, Closed, Config, Hub, Policy, Position, Publisher, Subscriber};
use chat_proto::Messages;

/// One step of a history.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A publisher publishes `count` messages with bodies of `body_len` bytes.
    Publish {
        publisher: u8,
        count: u8,
        body_len: u8,
    },
    /// A publisher gives up its turn, or its place among those that wait for one.
    Pass {
        publisher: u8,
    },
    /// A subscriber takes a batch and consumes `share`/255 of it.
    Read {
        subscriber: u8,
        share: u8,
    },
    /// A subscriber's stream takes nothing.
    Stall {
        subscriber: u8,
    },
    /// Nobody serves a subscriber for a while.
    Pause {
        subscriber: u8,
    },
    Join,
    Leave {
        subscriber: u8,
    },
    /// A subscription is to end where the log ended at an earlier time.
    EndAt {
        subscriber: u8,
        time: u8,
    },
    /// The clock ticks so many times, if there is one.
    Tick {
        count: u8,
    },
    Close,
}

impl Op {
    fn decode([kind, who, how]: [u8; 3]) -> Self {
        match kind % 32 {
            0..=9 => Self::Publish {
                publisher: who,
                count: kind % 10,
                body_len: how,
            },
            10..=21 => Self::Read {
                subscriber: who,
                share: how.saturating_mul(2),
            },
            22 => Self::Pass { publisher: who },
            23..=25 => Self::Stall { subscriber: who },
            26 => Self::Pause { subscriber: who },
            27 => Self::Join,
            28 => Self::Tick { count: how % 12 },
            29 => Self::Leave { subscriber: who },
            30 => Self::EndAt {
                subscriber: who,
                time: how,
            },
            // Closing ends a history, so it is rare.
            _ if who == 255 => Self::Close,
            _ => Self::Join,
        }
    }
}

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

struct ModelPublisher {
    real: Publisher,
    woken: Arc<Flag>,
    pending: bool,
}

struct ModelSubscriber {
    real: Subscriber,
    woken: Arc<Flag>,
    serving: Serving,
    /// Whether its last read found the end.
    ended: bool,
    /// For how many ticks its stream has taken nothing at all.
    stalled_ticks: u32,
    /// How much had been published when publishers last waited for it; an index into the log.
    awaited_until: usize,
    /// Index into the log: where it joined, and what it reads next.
    joined: usize,
    next: usize,
    /// Byte position of `next`.
    byte_pos: u64,
    /// `byte_pos` when it last called the hub: what it consumed since, the hub has yet to learn.
    seen_byte_pos: u64,
    limit: Option<usize>,
    delivered: u64,
    dropped: u64,
    /// How many of these no batch has told of yet.
    untold: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    Nobody,
    /// Its last read found nothing: it waits, or was woken.
    Waiting,
    Stalled,
}

/// A batch that was taken, of which `len` bytes were consumed.
struct Taken {
    dropped: u64,
    wire: Vec<u8>,
    len: usize,
    owed: Vec<u8>,
}

impl Taken {
    /// Consumes `share`/255 of a batch.
    fn of(batch: Batch<'_>, share: u8) -> Self {
        let dropped = batch.dropped();
        let wire: Vec<u8> = batch.chunks().flatten().copied().collect();
        assert!(!wire.is_empty() && wire.len() == batch.len());
        let runs: Vec<&[u8]> = batch.messages().map(Messages::as_bytes).collect();
        assert_eq!(runs.concat(), wire);
        let count: usize = batch.messages().map(Messages::count).sum();
        assert_eq!(count as u64, batch.count());
        let len = wire.len() * usize::from(share) / 255;
        let owed = batch.consume(len);
        Self {
            dropped,
            wire,
            len,
            owed,
        }
    }
}

/// A waker that remembers.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
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

    fn read(&mut self, index: usize, share: u8) {
        let policy = self.policy;
        let subscriber = &mut self.subscribers[index];
        let was_awaited = subscriber.is_awaited(policy);
        subscriber.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&subscriber.woken));
        subscriber.seen_byte_pos = subscriber.byte_pos;
        let poll = subscriber.real.poll_batch(&mut Context::from_waker(&waker));
        match poll.map(|batch| batch.map(|batch| Taken::of(batch, share))) {
            Poll::Pending => {
                let lost = self.lose(index, was_awaited, None);
                let subscriber = &mut self.subscribers[index];
                let is_at_end = subscriber.next == self.log.len();
                assert!(is_at_end, "it waits when it has read everything");
                let goes_on = subscriber.limit.is_none_or(|limit| limit > subscriber.next);
                assert!(!self.closed && goes_on);
                subscriber.serving = Serving::Waiting;
                assert!(
                    lost > 0 || !subscriber.real.is_laggard(),
                    "it has caught up"
                );
            }
            Poll::Ready(None) => {
                self.lose(index, was_awaited, None);
                let subscriber = &mut self.subscribers[index];
                let disconnected = subscriber.real.is_disconnected();
                let has_ended = subscriber
                    .limit
                    .is_some_and(|limit| limit <= self.log.len());
                assert!(self.closed || has_ended || disconnected, "only an end ends");
                (subscriber.serving, subscriber.ended) = (Serving::Nobody, true);
            }
            Poll::Ready(Some(taken)) => {
                self.lose(index, was_awaited, Some(taken.dropped));
                self.deliver(index, &taken);
                let subscriber = &mut self.subscribers[index];
                subscriber.serving = Serving::Nobody;
                // It leaves the log with the last it is to read.
                subscriber.ended = subscriber
                    .limit
                    .is_some_and(|limit| limit <= subscriber.next);
            }
        }
        self.subscribers[index].stalled_ticks = 0;
    }

    /// Checks what a subscriber lost in its last call to the hub; `told` is what its batch said.
    fn lose(&mut self, index: usize, was_awaited: bool, told: Option<u64>) -> u64 {
        let subscriber = &mut self.subscribers[index];
        let lost = subscriber.real.dropped() - subscriber.dropped;
        subscriber.untold += lost;
        if let Some(told) = told {
            let untold = std::mem::take(&mut subscriber.untold);
            assert_eq!(told, untold, "a batch tells what was lost before it");
        }
        if lost == 0 {
            return 0;
        }
        let lag = self.byte_len - subscriber.byte_pos;
        let least = self.capacity - self.segment_len;
        assert!(lag > least, "a lag of {lag} bytes lost messages");
        let was_behind = subscriber.next < subscriber.awaited_until;
        subscriber.skip(
            usize::try_from(lost).expect("a model's log is small"),
            &self.log,
        );
        let end = subscriber
            .limit
            .map_or(self.log.len(), |limit| limit.min(self.log.len()));
        match self.policy {
            Policy::Oldest => {
                assert!(
                    !was_awaited,
                    "a subscriber that is waited for lost {lost} messages"
                );
                let lag = self.byte_len - subscriber.byte_pos;
                let is_middle = lag <= self.capacity / 2 + self.segment_len;
                assert!(
                    subscriber.next == end || is_middle,
                    "it resumes {lag} bytes behind"
                );
            }
            Policy::Newest => {
                assert_eq!(subscriber.next, end, "it jumps to the end");
                assert!(
                    !was_awaited || was_behind,
                    "it lost what was published meanwhile"
                );
            }
            Policy::Disconnect => {
                assert!(
                    !was_awaited,
                    "a subscriber that is waited for was disconnected"
                );
                assert_eq!(subscriber.next, end, "all that was left is lost");
                assert!(subscriber.real.is_disconnected());
                self.disconnected += 1;
            }
            _ => panic!("the policy {:?} loses nothing", self.policy),
        }
        lost
    }

    /// Checks a batch of which some was consumed.
    fn deliver(
        &mut self,
        index: usize,
        Taken {
            wire, len, owed, ..
        }: &Taken,
    ) {
        let subscriber = &mut self.subscribers[index];
        let end = subscriber
            .limit
            .map_or(self.log.len(), |limit| limit.min(self.log.len()));
        let (messages, rest) = Messages::split(wire);
        assert!(rest.is_empty(), "batches are whole messages");
        let expected = self.log[subscriber.next..][..messages.count()].concat();
        assert_eq!(*wire, expected, "in order, without a gap");
        assert!(
            subscriber.next + messages.count() <= end,
            "not beyond the end"
        );
        let taken = [&wire[..*len], owed].concat();
        let (messages, rest) = Messages::split(&taken);
        let is_whole = rest.is_empty() && owed.len() < 256;
        assert!(is_whole, "what is owed completes the message that was cut");
        assert_eq!(taken, wire[..taken.len()]);
        subscriber.deliver(messages.count(), taken.len());
        // The hub learns it at once, since the batch was given back.
        subscriber.seen_byte_pos = subscriber.byte_pos;
    }

    fn stall(&mut self, index: usize) {
        let policy = self.policy;
        let subscriber = &mut self.subscribers[index];
        let was_awaited = subscriber.is_awaited(policy);
        subscriber.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&subscriber.woken));
        subscriber.real.stall(&waker);
        subscriber.seen_byte_pos = subscriber.byte_pos;
        if subscriber.ended {
            return;
        }
        subscriber.serving = Serving::Stalled;
        self.lose(index, was_awaited, None);
        let subscriber = &mut self.subscribers[index];
        let has_ended = subscriber
            .limit
            .is_some_and(|limit| limit <= subscriber.next);
        subscriber.ended = subscriber.real.is_disconnected() || has_ended;
        if subscriber.ended {
            subscriber.serving = Serving::Nobody;
        }
        let is_judged = self.clock.is_some() || self.policy == Policy::Block;
        let is_laggard = subscriber.real.is_laggard();
        assert!(
            is_judged || is_laggard || subscriber.ended,
            "without a clock there is no grace"
        );
    }

    fn pause(&mut self, index: usize) {
        let subscriber = &mut self.subscribers[index];
        subscriber.real.pause();
        subscriber.seen_byte_pos = subscriber.byte_pos;
        (subscriber.serving, subscriber.stalled_ticks) = (Serving::Nobody, 0);
    }

    fn join(&mut self) {
        if self.subscribers.len() == 5 {
            return;
        }
        let real = self.hub.subscribe();
        assert_eq!(real.position().message_pos(), self.log.len() as u64);
        self.subscribers.push(ModelSubscriber {
            real,
            woken: Arc::default(),
            serving: Serving::Nobody,
            ended: false,
            stalled_ticks: 0,
            awaited_until: 0,
            untold: 0,
            joined: self.log.len(),
            next: self.log.len(),
            byte_pos: self.byte_len,
            seen_byte_pos: self.byte_len,
            limit: None,
            delivered: 0,
            dropped: 0,
        });
    }

    fn leave(&mut self, index: usize) {
        let subscriber = self.subscribers.swap_remove(index);
        self.gone.0 += subscriber.delivered;
        self.gone.1 += subscriber.dropped;
    }

    fn end_at(&mut self, index: usize, time: u8) {
        let Some(last) = self.ends.len().checked_sub(1) else {
            return;
        };
        let end = self.ends[last.saturating_sub(usize::from(time))];
        let message_count = usize::try_from(end.message_pos()).expect("a model's log is small");
        let subscriber = &mut self.subscribers[index];
        subscriber.real.end_at(end);
        let limit = subscriber
            .limit
            .map_or(message_count, |limit| limit.min(message_count));
        subscriber.limit = Some(limit);
        if limit <= subscriber.next {
            (subscriber.serving, subscriber.ended) = (Serving::Nobody, true);
        }
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
        let counts = (stats.subscriber_count, stats.disconnected);
        assert_eq!(counts, (self.subscribers.len(), self.disconnected));
        assert_eq!(
            (stats.lag_max, stats.laggard_count),
            (0, 0),
            "all subscriptions are over"
        );
    }
}

impl ModelSubscriber {
    /// Whether publishers wait for it.
    fn is_awaited(&self, policy: Policy) -> bool {
        match policy {
            Policy::Block => !self.ended,
            _ => self.serving != Serving::Nobody && !self.real.is_laggard() && !self.ended,
        }
    }

    /// Moves it over messages that the hub dropped, which it did in a call.
    fn skip(&mut self, count: usize, log: &[Vec<u8>]) {
        let skipped = &log[self.next..][..count];
        self.byte_pos += skipped
            .iter()
            .map(|message| message.len() as u64)
            .sum::<u64>();
        self.seen_byte_pos = self.byte_pos;
        self.next += count;
        self.dropped += count as u64;
    }

    fn deliver(&mut self, count: usize, byte_len: usize) {
        self.next += count;
        self.byte_pos += byte_len as u64;
        self.delivered += count as u64;
    }
}

/// Returns a message whose body tells which one it is, as far as it has room.
fn message(number: usize, body_len: u8) -> Vec<u8> {
    let mut wire = vec![body_len];
    wire.extend((0..usize::from(body_len)).map(|i| number.to_le_bytes()[i % 8]));
    wire
}
