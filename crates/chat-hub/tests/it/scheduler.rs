//! Whole crowds of publishers and subscribers, polled one at a time in a random order that a seed
//! repeats.
//!
//! Where loom walks through every order of a few steps, this plays some orders of many. A task is
//! polled when the waker of its last poll was called, and not otherwise. So when nobody is to be
//! polled, nobody may be able to go on; that is checked, by polling everybody.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::{mem, thread};

use chat_hub::{Clock, Closed, Config, Hub, Policy, Writer};
use chat_proto::Messages;

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

/// A writer, and the socket that it writes to.
struct Session {
    writer: Writer,
    socket: Rc<RefCell<Socket>>,
    record: Record,
    records: Rc<RefCell<Vec<Record>>>,
}

impl Session {
    fn poll(&mut self, cx: &mut Context<'_>, random: &mut Random) -> Poll<()> {
        let was_laggard = self.writer.subscriber().is_laggard();
        let retry = cx.waker().clone();
        let Self { writer, socket, .. } = self;
        let progress = writer.advance(cx, &retry, |slices| {
            socket.borrow_mut().write_some(&retry, slices, random)
        });
        let lost = self.writer.subscriber().dropped() - self.record.dropped;
        assert!(
            lost == 0 || was_laggard,
            "one that keeps up lost {lost} messages"
        );
        self.record.dropped += lost;
        match progress {
            Ok(chat_hub::Progress::CaughtUp | chat_hub::Progress::Yielded) => Poll::Pending,
            Ok(chat_hub::Progress::Stalled) => {
                self.record.stalls += 1;
                Poll::Pending
            }
            Ok(chat_hub::Progress::Ended) => Poll::Ready(()),
            Err(error) => {
                let is_disconnected = self.writer.subscriber().is_disconnected();
                assert!(is_disconnected, "{error}");
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut record = mem::take(&mut self.record);
        let subscriber = self.writer.subscriber();
        record.end = subscriber.position().message_pos();
        record.is_disconnected = subscriber.is_disconnected();
        record.socket = Rc::clone(&self.socket);
        self.records.borrow_mut().push(record);
    }
}

/// What became of a subscription.
#[derive(Default)]
struct Record {
    room: Room,
    /// Number of the first message it could read, and of the one it would have read next.
    joined: u64,
    end: u64,
    dropped: u64,
    /// Whether the hub ended it, and not its own leaving.
    has_ended: bool,
    is_disconnected: bool,
    stalls: u64,
    socket: Rc<RefCell<Socket>>,
}

impl Record {
    fn check(&self, policy: Policy, log: &[Vec<u8>]) {
        let socket = self.socket.borrow();
        let (messages, rest) = Messages::split(&socket.received);
        let mut places = self.joined..self.end;
        for body in messages {
            let wire = [&[body.header()], body.as_bytes()].concat();
            let is_next = |place| log[to_len(place)] == wire;
            assert!(places.any(is_next), "messages are in the one order");
        }
        // Whoever left or was disconnected may have been in the middle of a message.
        let is_cut = !rest.is_empty();
        let delivered = messages.count() as u64 + u64::from(is_cut);
        assert_eq!(delivered, self.delivered(), "the counts add up");
        if self.has_ended && !self.is_disconnected {
            assert!(
                !is_cut && self.end == log.len() as u64,
                "it was served to the end"
            );
        }
        assert!(
            !self.is_disconnected || (policy == Policy::Disconnect && self.dropped > 0),
            "only for a loss is it disconnected"
        );
        if matches!(self.room, Room::Always) || !is_lossy(policy) {
            assert_eq!(self.dropped, 0, "a client that keeps up loses nothing");
        }
    }

    fn delivered(&self) -> u64 {
        self.end - self.joined - self.dropped
    }
}

/// Tells whether a subscriber whose socket is full may lose messages.
fn is_lossy(policy: Policy) -> bool {
    match policy {
        Policy::Oldest | Policy::Newest | Policy::Disconnect => true,
        Policy::Block => false,
        other => panic!("nobody said what {other:?} promises"),
    }
}

/// A socket's buffer, and its far end.
#[derive(Default)]
struct Socket {
    room: Room,
    unread: Vec<u8>,
    received: Vec<u8>,
    writer: Option<Waker>,
}

/// How many bytes a socket takes before its far end reads, and when that reads.
#[derive(Clone, Copy, Default)]
enum Room {
    #[default]
    Always,
    Sometimes(usize),
    /// When nobody else can go on.
    AtLast(usize),
}

impl Socket {
    fn room_len(&self) -> usize {
        match self.room {
            Room::Always => usize::MAX,
            Room::Sometimes(len) | Room::AtLast(len) => len - self.unread.len(),
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.room_len() > 0 {
            return Poll::Ready(());
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Writes as much as there is room for, and sometimes less.
    fn write_some(
        &mut self,
        retry: &Waker,
        slices: &[IoSlice<'_>],
        random: &mut Random,
    ) -> io::Result<usize> {
        if self.poll_room(&mut Context::from_waker(retry)).is_pending() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        let all = bytes.len().min(self.room_len());
        let len = if random.one_in(3) {
            1 + to_len(random.below(all as u64))
        } else {
            all
        };
        self.unread.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn read(&mut self, len: usize) {
        self.received.extend(self.unread.drain(..len));
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

/// When a subscriber comes, in turns of its own, and goes, in steps of the play.
struct Stay {
    join_delay: u64,
    leave_step: u64,
}

struct Task {
    /// `None` when it is done.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
    leave_step: u64,
}

impl Task {
    fn is_woken(&self) -> bool {
        self.future.is_some() && self.woken.0.load(Ordering::Relaxed)
    }

    /// Polls it with a waker of its own: those of earlier polls are as good as dead.
    fn poll(&mut self) {
        self.woken = Arc::default();
        let waker = Waker::from(Arc::clone(&self.woken));
        if self.future.as_mut().is_some_and(|future| {
            future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
        }) {
            self.future = None;
        }
    }
}

/// A waker that remembers that it was called.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Gives everybody else a turn.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Random numbers that a seed repeats. Source: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn room(&mut self) -> Room {
        let len = to_len(1 + self.below(3000));
        [
            Room::Always,
            Room::Sometimes(len),
            Room::Sometimes(len),
            Room::AtLast(len),
        ][to_len(self.below(4))]
    }

    fn stay(&mut self) -> Stay {
        let join_delay = if self.one_in(2) { self.below(60) } else { 0 };
        let leave_step = if self.one_in(4) {
            self.below(400)
        } else {
            u64::MAX
        };
        Stay {
            join_delay,
            leave_step,
        }
    }
}

/// What came to pass in all plays: where nothing does, nothing is proved.
#[derive(Debug, Default)]
struct Tally {
    published: u64,
    delivered: u64,
    dropped: u64,
    /// How often a publisher waited, and was told of the close.
    waits: u64,
    closed: u64,
    /// How often a subscriber stalled, and left before the end.
    stalls: u64,
    left: u64,
    ticks: u64,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            published: self.published + other.published,
            delivered: self.delivered + other.delivered,
            dropped: self.dropped + other.dropped,
            waits: self.waits + other.waits,
            closed: self.closed + other.closed,
            stalls: self.stalls + other.stalls,
            left: self.left + other.left,
            ticks: self.ticks + other.ticks,
        }
    }

    fn assert_telling(&self, policy: Policy) {
        let counts = [
            self.published,
            self.delivered,
            self.waits,
            self.closed,
            self.stalls,
            self.left,
            self.ticks,
        ];
        assert!(
            counts.iter().all(|&count| count >= SEED_COUNT / 10),
            "{self:?}"
        );
        assert_eq!(self.dropped > 0, is_lossy(policy), "{self:?}");
    }
}

/// Tells how to repeat a play that fails.
struct Repeat {
    policy: Policy,
    seed: u64,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this is seed {} under {:?}", self.seed, self.policy);
        }
    }
}

fn to_len(number: u64) -> usize {
    usize::try_from(number).expect("a play's numbers are small")
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
