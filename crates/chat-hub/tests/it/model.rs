//! A hub too simple to be wrong, a queue a subscriber, and the comparison of the real one with it.
//!
//! The fuzz target `hub_ops` includes this file, so it names nothing but public items.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use chat_hub::{Closed, Config, Hub, Policy, Position, Publisher, Subscriber};
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
    /// A subscriber takes a batch and consumes `share`/255 of it.
    Read {
        subscriber: u8,
        share: u8,
    },
    /// A subscriber says that it cannot go on.
    Block {
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
            10..=23 => Self::Read {
                subscriber: who,
                share: how.saturating_mul(2),
            },
            24..=26 => Self::Block { subscriber: who },
            27..=28 => Self::Join,
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
/// policy, and four times the capacity.
pub(crate) fn check_input(input: &[u8]) {
    let Some((&shape, ops)) = input.split_first() else {
        return;
    };
    let policy = POLICIES[usize::from(shape % 4)];
    let mut model = Model::new(8192 + 2048 * usize::from(shape / 4), policy);
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
    policy: Policy,
    /// The capacity without the window that a policy may have.
    capacity: u64,
    /// The longest stretch that the hub lets go at once, which it may count as unread although its
    /// end was read.
    block_len: u64,
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
    /// Whether its last read found nothing.
    waiting: bool,
    /// Whether it read last, and did not block since.
    ready: bool,
    /// Whether its last read found the end.
    ended: bool,
    /// Up to where messages were published while nobody waited for it; an index into the log.
    unawaited: usize,
    /// How many bytes it had to read when it last blocked.
    blocked_lag: Option<u64>,
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
    fn new(capacity: usize, policy: Policy) -> Self {
        let config = Config::default()
            .with_capacity(capacity)
            .with_policy(policy);
        let hub = config.build().expect("a model's capacity is large enough");
        let publishers = (0..2)
            .map(|_| ModelPublisher {
                real: hub.publisher(),
                woken: Arc::default(),
                pending: false,
            })
            .collect();
        Self {
            hub,
            policy,
            capacity: if policy == Policy::Newest {
                capacity / 2
            } else {
                capacity
            } as u64,
            block_len: (capacity / 16).min(64 * 1024) as u64,
            log: Vec::new(),
            byte_len: 0,
            ends: vec![Position::default()],
            publishers,
            subscribers: Vec::new(),
            gone: (0, 0),
            disconnected: 0,
            closed: false,
        }
    }

    fn apply(&mut self, op: Op) {
        let index = |who: u8, count: usize| {
            if count == 0 {
                None
            } else {
                Some(usize::from(who) % count)
            }
        };
        let subscriber_count = self.subscribers.len();
        match op {
            Op::Publish {
                publisher,
                count,
                body_len,
            } => self.publish(usize::from(publisher) % 2, count, body_len),
            Op::Read { subscriber, share } => {
                index(subscriber, subscriber_count).map_or((), |index| self.read(index, share))
            }
            Op::Block { subscriber } => {
                index(subscriber, subscriber_count).map_or((), |index| self.block(index))
            }
            Op::Join => self.join(),
            Op::Leave { subscriber } => {
                index(subscriber, subscriber_count).map_or((), |index| self.leave(index))
            }
            Op::EndAt { subscriber, time } => {
                index(subscriber, subscriber_count).map_or((), |index| self.end_at(index, time))
            }
            Op::Close => {
                self.hub.close();
                self.closed = true;
            }
        }
    }

    fn publish(&mut self, index: usize, count: u8, body_len: u8) {
        let first = self.log.len();
        let run: Vec<Vec<u8>> = (0..usize::from(count))
            .map(|i| message(first + i, body_len))
            .collect();
        let wire = run.concat();
        let (mut messages, _) = Messages::split(&wire);
        // Who is further behind may have been woken for its end, and not been asked.
        let lag_max = self.ready_lag_max(if self.policy == Policy::Disconnect {
            self.capacity - self.block_len
        } else {
            u64::MAX
        });
        let publisher = &mut self.publishers[index];
        publisher.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&publisher.woken));
        let poll = publisher
            .real
            .poll_publish(&mut Context::from_waker(&waker), &mut messages);
        publisher.pending = poll.is_pending();
        // What was not published is not kept: the next attempt makes a run of its own.
        let published = run.len() - messages.count();
        self.log.extend(run.into_iter().take(published));
        self.byte_len += (wire.len() - messages.as_bytes().len()) as u64;
        match poll {
            Poll::Ready(Ok(end)) => {
                assert_eq!(
                    (end.message_pos(), end.byte_pos()),
                    (self.log.len() as u64, self.byte_len)
                );
                self.ends.push(end);
            }
            Poll::Ready(Err(Closed)) => assert!(self.closed && published == 0),
            Poll::Pending => assert!(
                !messages.is_empty(),
                "a run that was published is not pending"
            ),
        }
        if published > 0 {
            let policy = self.policy;
            for subscriber in self
                .subscribers
                .iter_mut()
                .filter(|subscriber| !subscriber.is_waited_for(policy))
            {
                subscriber.unawaited = self.log.len();
            }
            let allowed = self.capacity / 2 + self.capacity / 16 + 256;
            assert!(
                lag_max <= allowed,
                "publishing went on while {lag_max} bytes were to be read"
            );
            let asleep = self
                .subscribers
                .iter()
                .find(|subscriber| subscriber.waiting && !subscriber.woken.is_set());
            assert!(
                asleep.is_none(),
                "publishing wakes everybody who had read everything"
            );
        }
    }

    fn read(&mut self, index: usize, share: u8) {
        let policy = self.policy;
        let subscriber = &mut self.subscribers[index];
        let was_waited_for = subscriber.was_waited_for(policy);
        subscriber.ready = true;
        subscriber.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&subscriber.woken));
        subscriber.seen_byte_pos = subscriber.byte_pos;
        match subscriber.real.poll_batch(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                self.lose(index, was_waited_for, None);
                let subscriber = &mut self.subscribers[index];
                assert_eq!(
                    subscriber.next,
                    self.log.len(),
                    "a subscriber waits when it has read everything"
                );
                assert!(
                    !self.closed && subscriber.limit.is_none_or(|limit| limit > subscriber.next)
                );
                subscriber.waiting = true;
            }
            Poll::Ready(None) => {
                self.lose(index, was_waited_for, None);
                let subscriber = &mut self.subscribers[index];
                let disconnected = subscriber.real.is_disconnected();
                let has_ended = subscriber
                    .limit
                    .is_some_and(|limit| limit <= self.log.len());
                assert!(self.closed || has_ended || disconnected, "only an end ends");
                (subscriber.waiting, subscriber.ready, subscriber.ended) = (false, false, true);
            }
            Poll::Ready(Some(batch)) => {
                subscriber.waiting = false;
                let dropped = batch.dropped();
                let wire: Vec<u8> = batch.chunks().flatten().copied().collect();
                assert!(!wire.is_empty() && wire.len() == batch.len());
                let len = wire.len() * usize::from(share) / 255;
                let owed = batch.consume(len);
                self.lose(index, was_waited_for, Some(dropped));
                self.deliver(index, &wire, len, &owed);
            }
        }
    }

    /// Checks what a subscriber lost in its last call to the hub; `told` is what its batch said.
    fn lose(&mut self, index: usize, was_waited_for: bool, told: Option<u64>) {
        let subscriber = &mut self.subscribers[index];
        let lost = usize::try_from(subscriber.real.dropped() - subscriber.dropped)
            .expect("a model's log is small");
        subscriber.untold += lost as u64;
        if let Some(told) = told {
            assert_eq!(
                told,
                std::mem::take(&mut subscriber.untold),
                "a batch tells what was lost before it"
            );
        }
        if lost == 0 {
            return assert_eq!(subscriber.real.dropped(), subscriber.dropped);
        }
        let lag = self.byte_len - subscriber.byte_pos;
        assert!(
            lag > self.capacity - self.block_len,
            "a lag of {lag} bytes lost messages"
        );
        assert!(
            subscriber
                .blocked_lag
                .is_none_or(|lag| lag + self.block_len > self.capacity / 2),
            "it was not asked before it lost {lost} messages"
        );
        subscriber.skip(lost, &self.log);
        let end = subscriber
            .limit
            .map_or(self.log.len(), |limit| limit.min(self.log.len()));
        match self.policy {
            Policy::Oldest => {
                assert!(
                    !was_waited_for,
                    "who could be written to lost {lost} messages"
                );
                let lag = self.byte_len - subscriber.byte_pos;
                assert!(
                    subscriber.next == end || lag <= self.capacity / 2 + self.block_len,
                    "it resumes {lag} bytes behind"
                );
            }
            Policy::Newest => {
                assert_eq!(subscriber.next, end, "it jumps to the end");
                assert!(
                    !was_waited_for || subscriber.next <= subscriber.unawaited,
                    "it lost what was published while it was waited for"
                );
            }
            Policy::Disconnect => {
                assert!(!was_waited_for, "who could be written to was disconnected");
                assert_eq!(subscriber.next, end, "all that was left is lost");
                assert!(subscriber.real.is_disconnected());
                self.disconnected += 1;
            }
            _ => panic!("the policy {:?} loses nothing", self.policy),
        }
    }

    /// Checks a batch of which `len` bytes were consumed.
    fn deliver(&mut self, index: usize, wire: &[u8], len: usize, owed: &[u8]) {
        let subscriber = &mut self.subscribers[index];
        let end = subscriber
            .limit
            .map_or(self.log.len(), |limit| limit.min(self.log.len()));
        let (messages, rest) = Messages::split(wire);
        assert!(rest.is_empty(), "batches are whole messages");
        assert_eq!(
            wire,
            self.log[subscriber.next..][..messages.count()].concat(),
            "in order, without a gap"
        );
        assert!(
            subscriber.next + messages.count() <= end,
            "not beyond the end"
        );
        let taken = [&wire[..len], owed].concat();
        let (messages, rest) = Messages::split(&taken);
        assert!(
            rest.is_empty() && owed.len() < 256,
            "what is owed completes the message that was cut"
        );
        assert_eq!(taken, wire[..taken.len()]);
        subscriber.deliver(messages.count(), taken.len());
    }

    fn block(&mut self, index: usize) {
        let policy = self.policy;
        let subscriber = &mut self.subscribers[index];
        let was_waited_for = subscriber.was_waited_for(policy);
        subscriber.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&subscriber.woken));
        subscriber.real.block(&mut Context::from_waker(&waker));
        subscriber.seen_byte_pos = subscriber.byte_pos;
        (subscriber.waiting, subscriber.ready) = (false, false);
        if subscriber.ended {
            return;
        }
        self.lose(index, was_waited_for, None);
        let subscriber = &mut self.subscribers[index];
        subscriber.blocked_lag = Some(self.byte_len - subscriber.byte_pos);
        subscriber.ended = subscriber.real.is_disconnected()
            || subscriber
                .limit
                .is_some_and(|limit| limit <= subscriber.next);
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
            waiting: false,
            ready: false,
            ended: false,
            unawaited: self.log.len(),
            untold: 0,
            blocked_lag: None,
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
        let end = self.ends[self.ends.len().saturating_sub(1 + usize::from(time))];
        let message_count = usize::try_from(end.message_pos()).expect("a model's log is small");
        let subscriber = &mut self.subscribers[index];
        subscriber.real.end_at(end);
        subscriber.limit = Some(
            subscriber
                .limit
                .map_or(message_count, |limit| limit.min(message_count)),
        );
    }

    /// How many bytes the slowest subscriber has to read that could be written to; more than
    /// `limit` do not count.
    fn ready_lag_max(&self, limit: u64) -> u64 {
        let ready = self
            .subscribers
            .iter()
            .filter(|subscriber| subscriber.is_waited_for(self.policy));
        let lags = ready.map(|subscriber| self.byte_len - subscriber.seen_byte_pos);
        lags.filter(|&lag| lag <= limit).max().unwrap_or(0)
    }

    /// Nobody sleeps who could go on: a publisher waits only for a subscriber that could be written
    /// to and is half the log behind.
    fn check_wakes(&self) {
        let half = self.capacity / 2;
        let lag_max = self.ready_lag_max(u64::MAX);
        for publisher in &self.publishers {
            let asleep = publisher.pending && !publisher.woken.is_set() && !self.closed;
            assert!(
                !asleep || lag_max + self.block_len > half,
                "a publisher sleeps and the largest lag is {lag_max}"
            );
        }
        if self.policy == Policy::Disconnect {
            let is_lost = |subscriber: &&ModelSubscriber| {
                self.byte_len - subscriber.seen_byte_pos > self.capacity + self.block_len
            };
            let mut asleep = self
                .subscribers
                .iter()
                .filter(|subscriber| subscriber.blocked_lag.is_some() && !subscriber.ended);
            assert!(
                asleep.all(|subscriber| !is_lost(&subscriber) || subscriber.woken.is_set()),
                "a blocked laggard is told"
            );
        }
    }

    /// Reads everything to the end and adds up.
    fn finish(mut self) {
        self.hub.close();
        self.closed = true;
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
            let end = if subscriber.real.is_disconnected() {
                subscriber.next
            } else {
                subscriber.next.max(end)
            };
            let read_len = end - subscriber.joined;
            assert_eq!(
                subscriber.delivered + subscriber.dropped,
                read_len as u64,
                "the counts add up"
            );
            delivered += subscriber.delivered;
            dropped += subscriber.dropped;
        }
        let stats = self.hub.stats();
        assert_eq!(
            (stats.published, stats.dropped),
            (self.log.len() as u64, dropped)
        );
        assert_eq!(stats.delivered, delivered);
        assert_eq!(
            (stats.subscriber_count, stats.disconnected),
            (self.subscribers.len(), self.disconnected)
        );
    }
}

impl ModelSubscriber {
    /// Whether publishers wait for it: it reads on, or it was asked whether it can.
    fn is_waited_for(&self, policy: Policy) -> bool {
        match policy {
            Policy::Block => !self.ended,
            _ => self.ready || (self.blocked_lag.is_some() && self.woken.is_set()),
        }
    }

    /// Whether publishers waited for it, as far as that is known: by `Disconnect` it is woken for
    /// its end, too.
    fn was_waited_for(&self, policy: Policy) -> bool {
        if policy == Policy::Disconnect {
            self.ready
        } else {
            self.is_waited_for(policy)
        }
    }

    /// Moves it over messages that the hub dropped, which it did in a call.
    fn skip(&mut self, count: usize, log: &[Vec<u8>]) {
        self.byte_pos += log[self.next..][..count]
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
