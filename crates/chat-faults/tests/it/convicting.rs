use std::thread;
use std::time::Duration;

use chat_faults::{Fault, Schedule, judge, run};

use crate::toy::{Wrong, start};

/// How many seeds a wrong server may take to be convicted. A judgement: most take one or two.
const SEED_COUNT: u64 = 12;

/// Plays a schedule against a toy server. It drops nothing and heeds no signal.
fn play(wrong: Wrong, seed: u64) -> Result<(), Fault> {
    let mut schedule = Schedule::draw(seed);
    schedule.is_lossless = true;
    schedule.may_disconnect = false;
    schedule.event = None;
    schedule.time_max = Duration::from_secs(15);
    let reports = run(&schedule, start(wrong), || {});
    judge(&schedule, &reports).map(drop)
}

/// Plays schedules until one convicts the server.
#[track_caller]
fn check_convicted(wrong: Wrong, is_it: impl Fn(&Fault) -> bool) {
    let mut faults = (0..SEED_COUNT).filter_map(|seed| play(wrong, seed).err());
    let fault = faults.next().unwrap_or_else(|| panic!("{wrong:?} passes"));
    assert!(is_it(&fault), "{wrong:?}: {fault}");
}

fn is_of_order(fault: &Fault) -> bool {
    matches!(fault, Fault::Order(_))
}

#[test]
fn a_right_server_passes() {
    thread::scope(|scope| {
        for seed in 0..SEED_COUNT {
            scope.spawn(move || {
                if let Err(fault) = play(Wrong::Nothing, seed) {
                    panic!("seed {seed}: {fault}");
                }
            });
        }
    });
}

#[test]
fn bytes_that_are_forwarded_as_they_come_are_no_messages() {
    check_convicted(Wrong::Relay, |fault| {
        is_of_order(fault) || matches!(fault, Fault::Inside { .. } | Fault::Empties { .. })
    });
}

#[test]
fn the_beginning_of_a_message_is_none() {
    check_convicted(Wrong::ForwardUnfinished, |fault| {
        is_of_order(fault) || matches!(fault, Fault::Inside { .. })
    });
}

#[test]
fn an_echo_before_its_turn_is_another_order() {
    check_convicted(Wrong::EchoFirst, |fault| {
        is_of_order(fault) || matches!(fault, Fault::Missed { .. })
    });
}

#[test]
fn a_message_that_comes_twice_is_found() {
    check_convicted(Wrong::Duplicate, is_of_order);
}

#[test]
fn a_message_that_comes_late_is_found() {
    check_convicted(Wrong::Late, is_of_order);
}

#[test]
fn a_message_that_is_lost_is_missed() {
    check_convicted(Wrong::Lose, |fault| matches!(fault, Fault::Missed { .. }));
}

#[test]
fn a_connection_that_is_closed_early_is_found() {
    check_convicted(Wrong::CloseEarly, |fault| {
        matches!(
            fault,
            Fault::Missed { .. } | Fault::Ended { .. } | Fault::Inside { .. }
        )
    });
}

#[test]
fn a_connection_that_is_never_closed_is_found() {
    check_convicted(Wrong::StayOpen, |fault| {
        matches!(fault, Fault::Ended { .. })
    });
}
