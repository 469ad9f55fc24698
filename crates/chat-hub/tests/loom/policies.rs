use std::sync::Arc;

use chat_hub::{Closed, Hub, Policy, Subscriber};
use loom::thread;

use crate::clock::tick;
use crate::explore::{Moment, explore};
use crate::socket::{Served, Socket, spawn_serving};
use crate::steps::{
    assert_counts, behind, check_waiting_publisher_goes_on, far_behind, hub, nearly_lagging,
    publish_all, receive, spawn_publishing_behind,
};
use crate::util::{Read, message, read, run, stall};

#[test]
fn under_block_a_stalled_laggard_stops_all_and_loses_nothing() {
    static STALLS: Moment = Moment::new("the laggard stalls");
    static WAITS: Moment = Moment::new("the publisher waits for the laggard");
    explore(Some(2), &[&STALLS, &WAITS], || {
        let hub = hub(Policy::Block);
        let (mut publisher, laggard) = (hub.publisher(), hub.subscribe());
        let socket = Arc::new(Socket::default());
        let serving = spawn_serving(laggard, &socket, 12, &STALLS);
        let emptying = thread::spawn({
            let socket = Arc::clone(&socket);
            move || socket.empty()
        });
        publish_all(&mut publisher, &run(0..12, 255), &WAITS).unwrap();
        assert!(
            socket.has_room(),
            "so much cannot be published before the laggard reads"
        );
        let served = serving.join().unwrap();
        emptying.join().unwrap();
        assert!(served.received.into_iter().eq(0..12));
        assert_counts(&hub, [served.writer], (12, 12, 0));
    });
}

#[test]
fn under_block_a_stalled_laggard_that_reads_on_stops_nobody() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Block, &WAITS, |mut laggard, count| {
        stall(&mut laggard);
        let received = receive(&mut laggard, count, &Moment::new("the laggard waits"));
        assert!(received.into_iter().eq(0..count as u64), "nothing is lost");
        Some(laggard)
    });
}

#[test]
fn under_block_a_stalled_laggard_that_ends_stops_nobody() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Block, &WAITS, |mut laggard, _| {
        stall(&mut laggard);
        laggard.end_at(laggard.position());
        assert_eq!(read(&mut laggard), Read::End);
        Some(laggard)
    });
}

#[test]
fn under_block_a_stalled_laggard_that_leaves_stops_nobody() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Block, &WAITS, |mut laggard, _| {
        stall(&mut laggard);
        drop(laggard);
        None
    });
}

#[test]
fn under_block_closing_loses_nothing_of_a_stalled_laggard() {
    static STALLS: Moment = Moment::new("the laggard stalls");
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(Some(3), &[&STALLS, &WAITS], || {
        let hub = hub(Policy::Block);
        let (laggard, count) = behind(&hub);
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        let socket = Arc::new(Socket::default());
        let serving = spawn_serving(laggard, &socket, u64::MAX, &STALLS);
        hub.close();
        assert_eq!(publishing.join().unwrap(), Err(Closed));
        socket.empty();
        let served = serving.join().unwrap();
        assert!(served.received.into_iter().eq(0..count as u64));
        assert_counts(&hub, [served.writer], (count as u64, count as u64, 0));
    });
}

#[test]
fn under_disconnect_an_overrun_laggard_is_woken_for_its_end() {
    static STALLS: Moment = Moment::new("the laggard stalls");
    static WAITS: Moment = Moment::new("the publisher waits for it to try");
    static EARLY: Moment = Moment::new("the laggard is disconnected before all is published");
    explore(Some(5), &[&STALLS, &WAITS, &EARLY], || {
        let hub = hub(Policy::Disconnect);
        let (mut publisher, laggard) = (hub.publisher(), far_behind(&hub, 26));
        // Its socket is full for ever: nobody wakes it but the hub.
        let serving = spawn_serving(laggard, &Arc::default(), 36, &STALLS);
        publish_all(&mut publisher, &run(26..34, 255), &WAITS).unwrap();
        publish_all(&mut publisher, &run(34..36, 255), &WAITS).unwrap();
        let served = serving.join().unwrap();
        assert_eq!(served.received, []);
        assert_disconnected(served.writer.subscriber(), 0);
        let dropped = served.dropped();
        if dropped < 36 {
            EARLY.comes();
        }
        assert_eq!(hub.stats().disconnected, 1);
        assert_counts(&hub, [served.writer], (36, 0, dropped));
    });
}

#[test]
fn under_disconnect_a_laggard_reads_all_or_is_disconnected() {
    static STALLS: Moment = Moment::new("the laggard stalls");
    static WAITS: Moment = Moment::new("the publisher waits");
    static DISCONNECTED: Moment = Moment::new("the laggard is disconnected");
    static LOSES_NOTHING: Moment = Moment::new("the laggard loses nothing");
    let moments: [&'static Moment; 4] = [&STALLS, &WAITS, &DISCONNECTED, &LOSES_NOTHING];
    explore(Some(2), &moments, || {
        let (hub, served) = serve_nearly_lagging(Policy::Disconnect, (31, 33), &STALLS, &WAITS);
        let (delivered, dropped) = (served.delivered(), served.dropped());
        assert!(
            served.received.into_iter().eq(0..delivered),
            "what it reads has no gap"
        );
        let laggard = served.writer.subscriber();
        if laggard.is_disconnected() {
            DISCONNECTED.comes();
            assert_disconnected(laggard, delivered);
        } else {
            LOSES_NOTHING.comes();
            assert_eq!((delivered, dropped), (33, 0));
        }
        assert_eq!(hub.stats().disconnected, laggard.is_disconnected().into());
        assert_counts(&hub, [served.writer], (33, delivered, dropped));
    });
}

#[test]
fn under_newest_a_laggard_reads_its_window_and_then_jumps() {
    static STALLS: Moment = Moment::new("the laggard stalls");
    static WAITS: Moment = Moment::new("the publisher waits");
    static LOSES_NOTHING: Moment = Moment::new("the laggard loses nothing");
    static WINDOW: Moment = Moment::new("the laggard jumps from the end of the window");
    static BATCH: Moment = Moment::new("the laggard jumps from the end of a batch it had");
    let moments: [&'static Moment; 5] = [&STALLS, &WAITS, &LOSES_NOTHING, &WINDOW, &BATCH];
    explore(Some(2), &moments, || {
        let (hub, served) = serve_nearly_lagging(Policy::Newest, (31, 36), &STALLS, &WAITS);
        let (delivered, dropped) = (served.delivered(), served.dropped());
        // Half of the log is the window. What was in a batch already is no part of the gap.
        let gap_start = (0..)
            .zip(&served.received)
            .find(|(pos, number)| pos != *number);
        let gap_start = gap_start.map_or(delivered, |(pos, _)| pos);
        match (gap_start, dropped) {
            (_, 0) => LOSES_NOTHING.comes(),
            (16, _) => WINDOW.comes(),
            _ => BATCH.comes(),
        }
        assert!(gap_start >= 16, "the window has no gap");
        let received = served.received.into_iter();
        let expected = (0..gap_start).chain(gap_start + dropped..36);
        assert!(received.eq(expected), "there is one gap");
        assert!(
            dropped == 0 || gap_start + dropped >= 33,
            "the gap reaches to the end of a log that was full"
        );
        assert_counts(&hub, [served.writer], (36, delivered, dropped));
    });
}

/// Serves a subscriber that is about to be a laggard with `count` messages to read, while messages
/// are published up to `end`. Its socket is emptied when the grace is over.
fn serve_nearly_lagging(
    policy: Policy,
    (count, end): (u64, u64),
    stalls: &'static Moment,
    waits: &Moment,
) -> (Hub, Served) {
    let (hub, mut clock, laggard) = nearly_lagging(policy, count);
    let socket = Arc::new(Socket::default());
    let serving = spawn_serving(laggard, &socket, end, stalls);
    let ticking = thread::spawn(move || {
        tick(&mut clock, 2);
        socket.empty();
        clock
    });
    let mut publisher = hub.publisher();
    for number in count..end {
        publish_all(&mut publisher, &message(number, 255), waits).unwrap();
    }
    let served = serving.join().unwrap();
    drop(ticking.join().unwrap());
    (hub, served)
}

/// Checks what a laggard that was disconnected can tell, which has read `delivered` messages.
#[track_caller]
fn assert_disconnected(laggard: &Subscriber, delivered: u64) {
    assert!(laggard.is_disconnected());
    assert_eq!(
        delivered + laggard.dropped(),
        laggard.position().message_pos(),
        "what was published until it was disconnected"
    );
}
