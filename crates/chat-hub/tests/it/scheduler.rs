//! Whole crowds of publishers and subscribers, polled one at a time in a random order that a seed
//! repeats.
//!
//! Where loom walks through every order of a few steps, this plays some orders of many. A task is
//! polled when the waker of its last poll was called, and not otherwise. So when nobody is to be
//! polled, nobody may be able to go on; that is checked, by polling everybody.

mod client;
mod play;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use chat_hub::{Clock, Closed, Config, Hub, Policy};
use chat_proto::Messages;

use self::client::{Record, Room, Session, Socket};
use self::play::{Random, Repeat, Stay, Tally, Task, Woken, to_len, yield_now};
use crate::util::message;

#[test]
fn crowds_leave_nobody_asleep_and_count_every_loss() {
    for policy in POLICIES {
        let mut total = Tally::default();
        for seed in 0..SEED_COUNT {
            let _repeat = Repeat { policy, seed };
            let tally = Crowd::new(policy, seed).play();
            total = tally.plus(total);
        }
        total.assert_telling(policy);
    }
}

/// A hub, those who use it, and the far ends of their sockets.
struct Crowd {
    policy: Policy,
    hub: Hub,
    clock: Option<Clock>,
    random: Random,
    tasks: Vec<Task>,
    publishers: Vec<Rc<Progress>>,
    sockets: Vec<Rc<RefCell<Socket>>>,
    /// One of every subscription that is over. The first to join is the reference: its socket
    /// always has room.
    records: Rc<RefCell<Vec<Record>>>,
    /// The step at which the hub is closed, unless all publishers are done before.
    close_step: u64,
    is_closed: bool,
    /// Whether everybody is polled when nobody is to be.
    probes: bool,
    tally: Tally,
}

impl Crowd {
    fn new(policy: Policy, seed: u64) -> Self {
        let mut random = Random(seed);
        let capacity = 8192 + random.below(3) * 3000;
        let config = Config::default()
            .with_capacity(to_len(capacity))
            .with_policy(policy)
            .with_rate(RATE);
        let (hub, clock) = config.build_with_clock().unwrap();
        let mut crowd = Self {
            policy,
            hub,
            // Without it there is no grace.
            clock: random.one_in(2).then_some(clock),
            tasks: Vec::new(),
            publishers: Vec::new(),
            sockets: Vec::new(),
            records: Rc::default(),
            close_step: if random.one_in(3) {
                random.below(400)
            } else {
                u64::MAX
            },
            is_closed: false,
            probes: random.one_in(2),
            tally: Tally::default(),
            random,
        };
        crowd.subscribe(
            Room::Always,
            Stay {
                join_delay: 0,
                leave_step: u64::MAX,
            },
        );
        // It reads before anything is published: a subscriber is waited for from its first read on.
        crowd.tasks[0].poll();
        for _ in 0..=crowd.random.below(5) {
            let room = crowd.random.room();
            let stay = crowd.random.stay();
            crowd.subscribe(room, stay);
        }
        for _ in 0..=crowd.random.below(4) {
            crowd.publish();
        }
        crowd
    }

    fn subscribe(&mut self, room: Room, stay: Stay) {
        let socket = Rc::new(RefCell::new(Socket {
            room,
            unread: Vec::new(),
            received: Vec::new(),
            writer: None,
        }));
        self.sockets.push(Rc::clone(&socket));
        let (hub, records, mut random) = (
            self.hub.clone(),
            Rc::clone(&self.records),
            self.random.fork(),
        );
        self.spawn(stay.leave_step, async move {
            for _ in 0..stay.join_delay {
                yield_now().await;
            }
            let subscriber = hub.subscribe();
            let joined = subscriber.position().message_pos();
            let record = Record {
                joined,
                room,
                ..Record::default()
            };
            let mut session = Session {
                writer: subscriber.into_writer(),
                socket,
                record,
                records,
            };
            poll_fn(|cx| session.poll(cx, &mut random)).await;
            session.record.has_ended = true;
        });
    }

    fn publish(&mut self) {
        let progress = Rc::new(Progress::default());
        let publisher = self.publishers.len() as u64;
        self.publishers.push(Rc::clone(&progress));
        let leave_step = if self.random.one_in(6) {
            self.random.below(300)
        } else {
            u64::MAX
        };
        let (hub, random) = (self.hub.clone(), self.random.fork());
        self.spawn(leave_step, async move {
            if publish_runs(&hub, publisher, random, &progress)
                .await
                .is_err()
            {
                progress.closed.set(1);
            }
        });
    }

    fn spawn(&mut self, leave_step: u64, task: impl Future<Output = ()> + 'static) {
        self.tasks.push(Task {
            future: Some(Box::pin(task)),
            woken: Arc::new(Woken(AtomicBool::new(true))),
            leave_step,
        });
    }

    /// Plays until everybody is done, and checks what came of it.
    fn play(mut self) -> Tally {
        for step in 0.. {
            self.leave_and_close(step);
            if self.random.one_in(4) {
                self.read_somewhere(|socket| matches!(socket.room, Room::Sometimes(_)));
            }
            if self.random.one_in(8) {
                self.tick();
            }
            let woken: Vec<usize> = (0..self.tasks.len())
                .filter(|&index| self.tasks[index].is_woken())
                .collect();
            if !woken.is_empty() {
                let index = woken[to_len(self.random.below(woken.len() as u64))];
                self.tasks[index].poll();
            } else if self.tasks.iter().all(|task| task.future.is_none()) {
                break;
            } else {
                self.rest();
            }
        }
        self.check()
    }

    /// Has those leave whose time has come, in the middle of whatever they wait for.
    fn leave_and_close(&mut self, step: u64) {
        self.tasks
            .iter_mut()
            .filter(|task| task.leave_step <= step)
            .for_each(|task| task.future = None);
        let publishing = self
            .publishers
            .iter()
            .any(|progress| Rc::strong_count(progress) > 1);
        if !self.is_closed && (!publishing || self.close_step <= step) {
            self.is_closed = true;
            self.hub.close();
        }
    }

    /// Lets a step of the clock go by, if anybody is under a time limit.
    fn tick(&mut self) {
        let Some(clock) = &mut self.clock else {
            return;
        };
        if let Poll::Ready(Some(_)) = clock.poll_due(&mut Context::from_waker(Waker::noop())) {
            clock.tick();
            self.tally.ticks += 1;
        }
    }

    /// Nobody was woken. So nobody can go on before a socket has room.
    fn rest(&mut self) {
        if self.probes {
            // A laggard that tries in vain may find what it has lost.
            let progress = |hub: &Hub| (hub.stats().published, hub.stats().delivered);
            let before = progress(&self.hub);
            self.tasks.iter_mut().for_each(Task::poll);
            assert_eq!(
                progress(&self.hub),
                before,
                "somebody slept who could have gone on"
            );
            assert!(
                !self.tasks.iter().any(Task::is_woken),
                "somebody was woken by those who could not go on"
            );
        }
        // Time passes, until somebody has to try a full socket again.
        for _ in 0..20 {
            self.tick();
            if self.tasks.iter().any(Task::is_woken) {
                return;
            }
        }
        let reads = self.read_somewhere(|socket| matches!(socket.room, Room::Sometimes(_)))
            || self.read_somewhere(|socket| matches!(socket.room, Room::AtLast(_)));
        assert!(reads, "somebody sleeps for ever");
    }

    /// Has the far end of a random socket that is one of `these` read; tells whether there was
    /// anything to read.
    fn read_somewhere(&mut self, these: fn(&Socket) -> bool) -> bool {
        let full = |socket: &&Rc<RefCell<Socket>>| {
            !socket.borrow().unread.is_empty() && these(&socket.borrow())
        };
        let count = self.sockets.iter().filter(full).count() as u64;
        if count == 0 {
            return false;
        }
        let index = to_len(self.random.below(count));
        let mut socket = self
            .sockets
            .iter()
            .filter(full)
            .nth(index)
            .unwrap()
            .borrow_mut();
        let len = 1 + self.random.below(socket.unread.len() as u64);
        socket.read(to_len(len));
        true
    }

    /// Checks what everybody received against the reference, and the counts against both.
    fn check(mut self) -> Tally {
        for socket in &self.sockets {
            let mut socket = socket.borrow_mut();
            let len = socket.unread.len();
            socket.read(len);
        }
        let wire = mem::take(&mut self.sockets[0].borrow_mut().received);
        let log: Vec<Vec<u8>> = Messages::split(&wire)
            .0
            .iter()
            .map(|body| [&[body.header()], body.as_bytes()].concat())
            .collect();
        self.sockets[0].borrow_mut().received = wire;
        self.check_publishers(&log);
        let records = self.records.take();
        for record in &records {
            record.check(self.policy, &log);
            self.tally.delivered += record.delivered();
            self.tally.dropped += record.dropped;
            self.tally.stalls += record.stalls;
            self.tally.left += u64::from(!record.has_ended);
        }
        let stats = self.hub.stats();
        assert_eq!(
            (stats.published, stats.subscriber_count),
            (log.len() as u64, 0)
        );
        assert_eq!(
            (stats.delivered, stats.dropped),
            (self.tally.delivered, self.tally.dropped)
        );
        self.tally
    }

    /// Checks that the log has what each publisher published, once and in its order.
    fn check_publishers(&mut self, log: &[Vec<u8>]) {
        for (publisher, progress) in self.publishers.iter().enumerate() {
            let numbers = log
                .iter()
                .map(|message| u64::from_le_bytes(message[1..9].try_into().unwrap()));
            let own = numbers
                .filter(|number| number >> 32 == publisher as u64)
                .map(|number| number & 0xffff_ffff);
            assert!(
                own.eq(0..progress.published.get()),
                "the messages of publisher {publisher} are not in order"
            );
            self.tally.published += progress.published.get();
            self.tally.waits += progress.waits.get();
            self.tally.closed += progress.closed.get();
        }
        assert_eq!(self.tally.published, log.len() as u64);
    }
}

/// Publishes a random number of random runs.
async fn publish_runs(
    hub: &Hub,
    publisher: u64,
    mut random: Random,
    progress: &Progress,
) -> Result<(), Closed> {
    let mut handle = hub.publisher();
    let mut number = publisher << 32;
    for _ in 0..4 + random.below(10) {
        yield_now().await;
        let count = if random.one_in(6) {
            40
        } else {
            1 + random.below(10)
        };
        let wire = (number..number + count)
            .map(|number| message(number, to_len(8 + random.below(248))))
            .collect::<Vec<_>>()
            .concat();
        number += count;
        if random.one_in(3) {
            poll_fn(|cx| handle.poll_ready(cx)).await?;
        }
        let (mut messages, _) = Messages::split(&wire);
        poll_fn(|cx| {
            let before = messages.count();
            let poll = handle.poll_publish(cx, &mut messages);
            progress
                .published
                .set(progress.published.get() + (before - messages.count()) as u64);
            progress
                .waits
                .set(progress.waits.get() + u64::from(poll.is_pending()));
            poll
        })
        .await?;
    }
    Ok(())
}

/// What a publisher did.
#[derive(Default)]
struct Progress {
    published: Cell<u64>,
    waits: Cell<u64>,
    closed: Cell<u64>,
}

/// The policies that are played.
const POLICIES: [Policy; 4] = [
    Policy::Oldest,
    Policy::Newest,
    Policy::Disconnect,
    Policy::Block,
];

/// How many bytes per second a socket takes that keeps up: in the grace, about a message.
const RATE: u64 = 2000;

/// How many plays there are under each policy. A judgement: a second or two without optimisation.
const SEED_COUNT: u64 = 300;
