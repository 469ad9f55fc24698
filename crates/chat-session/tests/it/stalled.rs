use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use chat_hub::{Config, Policy};
use chat_session::{EndReason, Session};

use crate::tasks::Order;
use crate::time::Time;
use crate::util::{Client, Server, check_counts, messages, numbers};
use crate::wire::{Stream, Wire};

#[test]
fn a_blocked_session_that_goes_on_publishing_does_not_write() {
    let mut server = Server::new(16 * 1024);
    // It waits, and does not come when it is woken: publishers wait for it.
    let mut slow = server.hub.subscribe();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(slow.poll_batch(&mut cx).is_pending());
    let stalled = server.connect_with(5);
    stalled.send(&messages(0..800));
    server.run();
    let write_count = stalled.wire().write_count;
    let published = server.hub.stats().published;
    assert!(published < 800 && server.hub.stats().waiting_publisher_count == 1);
    drop(slow);
    server.run();
    assert_eq!(server.hub.stats().published, 800, "it goes on publishing");
    assert_eq!(stalled.wire().write_count, write_count);
}

#[test]
fn a_laggard_is_disconnected_in_time() {
    for room in [0, 5, 1000] {
        let config = Config::default().with_capacity(CAPACITY);
        let mut server = Server::of(config.with_policy(Policy::Disconnect), Order::Fifo);
        let sender = server.connect();
        let mut laggard = server.connect_with(room);
        laggard.send(&messages([0, 1]));
        server.run();
        let mut published = 2;
        let error = loop {
            sender.send(&messages([published]));
            published += 1;
            server.run();
            if let Some(ended) = laggard.end() {
                break ended.unwrap_err();
            }
            let unread_len = (published as usize * 100).saturating_sub(room);
            assert!(unread_len <= CAPACITY, "it is not told");
        };
        assert!(published as usize * 100 - room > CAPACITY * 7 / 8, "early");
        assert!(matches!(error.reason(), EndReason::Lagged));
        let delivered = room.div_ceil(100) as u64;
        check_counts(error.summary(), [2, delivered, published - delivered]);
        assert_eq!(server.hub.stats().disconnected, 1);
        assert_eq!(numbers(&sender.receive()).len() as u64, published);
    }
}

#[test]
fn a_stalled_stream_is_tried_again_at_each_step() {
    let mut limited = Limited::new(Policy::Oldest, 5);
    for step in 1..STEP_COUNT {
        let write_count = limited.client.wire().write_count;
        limited.pass_steps(1);
        assert_eq!(limited.client.wire().write_count, write_count + 1);
        assert!(limited.client.end().is_none(), "after step {step}");
    }
    // It takes more, though it has not said so.
    limited.client.make_room_unnoticed();
    limited.pass_steps(1);
    assert_eq!(numbers(&limited.client.receive()).len(), 10);
    limited.pass(10 * TIMEOUT);
    assert!(limited.client.end().is_none(), "there is nothing for it");
}

#[test]
fn a_client_that_takes_nothing_is_closed_after_the_whole_time() {
    let mut limited = Limited::new(Policy::Oldest, 250);
    limited.client.send(&messages([10, 11]));
    limited.server.run();
    limited.pass_steps(STEP_COUNT - 1);
    assert!(limited.client.end().is_none());
    limited.pass_steps(1);
    let error = limited.client.end().expect("its time is over").unwrap_err();
    assert!(matches!(error.reason(), EndReason::Stalled(timeout) if *timeout == TIMEOUT));
    assert_eq!(error.to_string(), "the client took nothing for 8s");
    check_counts(error.summary(), [2, 3, 0]);
}

#[test]
fn a_client_that_takes_a_little_is_given_the_whole_time_again() {
    for is_noticed in [true, false] {
        let mut limited = Limited::new(Policy::Oldest, 5);
        for _ in 0..20 {
            limited.pass_steps(STEP_COUNT - 1);
            if is_noticed {
                limited.client.receive_with(1);
            } else {
                limited.client.wire().room = 1;
            }
            limited.pass_steps(1);
            assert_eq!(limited.client.wire().room, 0);
            assert!(limited.client.end().is_none());
        }
        limited.pass_steps(STEP_COUNT - 1);
        assert!(limited.client.end().is_none());
        // It may take a step until it is seen that the client took something.
        limited.pass_steps(2);
        assert!(limited.client.end().unwrap().is_err());
    }
}

#[test]
fn the_time_begins_when_the_client_takes_something() {
    let mut limited = Limited::new(Policy::Oldest, 5);
    limited.pass_steps(2);
    limited.pass(STEP / 2);
    limited.client.receive_with(1);
    limited.server.run();
    limited.pass(STEP / 2);
    limited.pass_steps(STEP_COUNT - 1);
    assert!(
        limited.client.end().is_none(),
        "half a step of the whole time is left"
    );
    limited.pass_steps(1);
    assert!(limited.client.end().unwrap().is_err());
}

#[test]
fn the_time_is_whole_again_after_the_client_caught_up() {
    let mut limited = Limited::new(Policy::Oldest, 5);
    limited.pass_steps(STEP_COUNT - 1);
    limited.client.receive_with(995);
    limited.server.run();
    limited.sender.send(&messages([10]));
    limited.server.run();
    limited.pass_steps(STEP_COUNT - 1);
    assert!(limited.client.end().is_none());
    limited.pass_steps(1);
    assert!(limited.client.end().unwrap().is_err());
}

#[test]
fn the_time_limit_holds_after_the_end_of_what_it_sends() {
    for is_half_close in [true, false] {
        let mut limited = Limited::new(Policy::Oldest, 5);
        limited.client.send(&messages([10]));
        limited.server.run();
        if is_half_close {
            limited.client.end_sending();
        } else {
            limited.server.hub.close();
        }
        limited.pass_steps(STEP_COUNT + 1);
        let error = limited.client.end().unwrap().unwrap_err();
        assert!(matches!(error.reason(), EndReason::Stalled(_)));
    }
}

#[test]
fn a_client_without_a_time_limit_is_never_closed() {
    let mut limited = Limited::with_timeout(Policy::Oldest, 5, None);
    limited.pass(1000 * TIMEOUT);
    assert!(limited.client.end().is_none());
    assert_eq!(limited.time.sleep_count(), 0);
}

#[test]
fn a_client_that_keeps_up_needs_no_timer() {
    let mut limited = Limited::new(Policy::Oldest, usize::MAX);
    limited.pass(2 * TIMEOUT);
    limited.client.end_sending();
    limited.server.run();
    check_counts(limited.client.end().unwrap().unwrap(), [0, 10, 0]);
    assert_eq!(limited.time.sleep_count(), 0);
}

#[test]
fn a_client_that_takes_less_than_the_rate_is_closed() {
    for taken_per_step in [0, 1, RATE as usize / 2, RATE as usize - 5] {
        let mut limited = Limited::with_rate_min(RATE);
        // With each step it is behind by so much more, and may be by as much as in the whole time. What
        // it takes in the last try counts, too.
        let missing = RATE as usize - taken_per_step;
        let least = (STEP_COUNT as usize * RATE as usize).div_ceil(missing);
        let most = least + taken_per_step.div_ceil(missing) + 1;
        let is_open = |limited: &mut Limited| {
            limited.client.wire().room = taken_per_step;
            limited.pass_steps(1);
            !limited.client.has_ended()
        };
        let steps = 1 + (0..2 * most).take_while(|_| is_open(&mut limited)).count();
        assert!((least..=most).contains(&steps), "{taken_per_step}: {steps}");
        let error = limited.client.end().expect("it is too slow").unwrap_err();
        let told = match taken_per_step {
            0 => "the client took nothing for 8s",
            _ => "the client took less than 100 bytes per second",
        };
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn a_client_that_takes_lumps_at_the_rate_is_not_closed() {
    for steps_between in 1..STEP_COUNT {
        let mut limited = Limited::with_rate_min(RATE);
        for _ in 0..40 {
            limited.pass_steps(steps_between);
            assert!(limited.client.end().is_none(), "{steps_between}");
            limited.client.wire().room = (RATE * u64::from(steps_between)) as usize;
        }
        // What it took before does not count for later.
        limited.pass_steps(STEP_COUNT + 2);
        assert!(limited.client.end().is_some(), "{steps_between}");
    }
}

#[test]
fn under_block_a_time_limit_lets_the_others_go_on() {
    let mut limited = Limited::new(Policy::Block, 5);
    limited.sender.send(&messages(10..800));
    limited.server.run();
    assert!(limited.server.hub.stats().published < 400, "all wait");
    limited.pass_steps(STEP_COUNT);
    assert!(limited.client.end().unwrap().is_err());
    let received = numbers(&limited.sender.receive());
    assert_eq!(received, (0..800).collect::<Vec<_>>());
}

/// A client under a time limit that was sent ten messages, and their sender.
struct Limited {
    server: Server,
    sender: Client,
    client: Client,
    time: Time,
}

impl Limited {
    fn new(policy: Policy, room: usize) -> Self {
        Self::with_timeout(policy, room, Some(TIMEOUT))
    }

    /// Makes one that has much to take, at a rate.
    fn with_rate_min(rate_min: u64) -> Self {
        let mut limited = Self::of(Policy::Block, 5, Some(TIMEOUT), rate_min);
        limited.sender.send(&messages(10..2000));
        limited.server.run();
        limited
    }

    fn with_timeout(policy: Policy, room: usize, timeout: Option<Duration>) -> Self {
        Self::of(policy, room, timeout, 0)
    }

    fn of(policy: Policy, room: usize, timeout: Option<Duration>, rate_min: u64) -> Self {
        let config = Config::default().with_capacity(CAPACITY);
        let mut server = Server::of(config.with_policy(policy), Order::Fifo);
        let sender = server.connect();
        let time = Time::default();
        let wire = Wire::with_room(room);
        let session = Session::new(Stream(Arc::clone(&wire)), &server.hub);
        let sleep = {
            let time = time.clone();
            move |duration| time.sleep(duration)
        };
        let session = session.with_stall_timeout(timeout, sleep);
        let client = server.serve(wire, session.with_rate_min(rate_min));
        server.run();
        sender.send(&messages(0..10));
        server.run();
        Self {
            server,
            sender,
            client,
            time,
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.time.pass(duration);
        self.server.run();
    }

    fn pass_steps(&mut self, count: u32) {
        for _ in 0..4 * count {
            self.pass(STEP / 4);
        }
    }
}

/// The capacity of the log in bytes.
const CAPACITY: usize = 16 * 1024;

/// How long a client may take nothing, in how many steps.
const TIMEOUT: Duration = Duration::from_secs(8);
const STEP_COUNT: u32 = 8;
const STEP: Duration = Duration::from_secs(1);

/// How many bytes per second, and so in each step, a client must take where there is a rate.
const RATE: u64 = 100;
