use chat_hub::{Closed, Policy, Position, Subscriber};
use loom::sync::Arc;
use loom::thread;

use crate::explore::{Moment, explore};
use crate::protocol::check_waiting_publisher_goes_on;
use crate::steps::{
    Socket, assert_counts, behind, hub, publish_all, receive, spawn_publishing_behind,
    spawn_serving,
};
use crate::util::{Read, block, publish_past, read, run};

#[test]
fn under_block_publishers_wait_for_a_blocked_laggard_and_it_loses_nothing() {
    static BLOCKS: Moment = Moment::new("the laggard blocks");
    static WAITS: Moment = Moment::new("the publisher waits for the laggard");
    explore(Some(3), &[&BLOCKS, &WAITS], || {
        let hub = hub(Policy::Block);
        let (mut publisher, laggard) = (hub.publisher(), hub.subscribe());
        let socket = Arc::new(Socket::default());
        let serving = spawn_serving(laggard, &socket, 22, &BLOCKS);
        let emptying = thread::spawn({
            let socket = Arc::clone(&socket);
            move || socket.empty()
        });
        publish_all(&mut publisher, &run(0..22, 255), &WAITS).unwrap();
        assert!(
            socket.has_room(),
            "so much cannot be published before the laggard reads"
        );
        let (received, laggard) = serving.join().unwrap();
        emptying.join().unwrap();
        assert!(received.into_iter().eq(0..22));
        assert_counts(&hub, [laggard], (22, 22, 0));
    });
}

#[test]
fn under_block_a_blocked_laggard_that_reads_on_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Block, &WAITS, |mut laggard, count| {
        block(&mut laggard);
        let received = receive(&mut laggard, count, &Moment::new("the laggard waits"));
        assert!(received.into_iter().eq(0..count as u64), "nothing is lost");
        Some(laggard)
    });
}

#[test]
fn under_block_a_blocked_laggard_that_ends_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Block, &WAITS, |mut laggard, _| {
        block(&mut laggard);
        laggard.end_at(Position::default());
        assert_eq!(read(&mut laggard), Read::End);
        Some(laggard)
    });
}

#[test]
fn under_block_a_blocked_laggard_that_leaves_lets_a_waiting_publisher_go_on() {
    static WAITS: Moment = Moment::new("the publisher waits");
    check_waiting_publisher_goes_on(Policy::Block, &WAITS, |mut laggard, _| {
        block(&mut laggard);
        drop(laggard);
        None
    });
}

#[test]
fn under_block_closing_lets_a_waiting_publisher_go_and_the_blocked_laggard_loses_nothing() {
    static BLOCKS: Moment = Moment::new("the laggard blocks");
    static WAITS: Moment = Moment::new("the publisher waits");
    explore(Some(4), &[&BLOCKS, &WAITS], || {
        let hub = hub(Policy::Block);
        let (laggard, count) = behind(&hub);
        let publishing = spawn_publishing_behind(&hub, count, &WAITS);
        let socket = Arc::new(Socket::default());
        let serving = spawn_serving(laggard, &socket, u64::MAX, &BLOCKS);
        hub.close();
        assert_eq!(publishing.join().unwrap(), Err(Closed));
        socket.empty();
        let (received, laggard) = serving.join().unwrap();
        assert!(received.into_iter().eq(0..count as u64));
        assert_counts(&hub, [laggard], (count as u64, count as u64, 0));
    });
}

#[test]
fn under_disconnect_an_overrun_laggard_is_woken_and_finds_that_it_is_disconnected() {
    static BLOCKS: Moment = Moment::new("the laggard blocks");
    static ASKED: Moment = Moment::new("the publisher waits for the answer");
    static EARLY: Moment = Moment::new("the laggard is disconnected before all is published");
    explore(Some(3), &[&BLOCKS, &ASKED, &EARLY], || {
        let hub = hub(Policy::Disconnect);
        let (mut publisher, mut laggard) = (hub.publisher(), hub.subscribe());
        assert_eq!(read(&mut laggard), Read::Pending);
        publish_past(&mut publisher, &run(0..26, 255), &mut laggard);
        // It is asked before it is overrun. Its socket is full for ever: nobody wakes it but the
        // hub.
        let serving = spawn_serving(laggard, &Arc::default(), 36, &BLOCKS);
        publish_all(&mut publisher, &run(26..34, 255), &ASKED).unwrap();
        publish_all(&mut publisher, &run(34..36, 255), &ASKED).unwrap();
        let (received, laggard) = serving.join().unwrap();
        assert_eq!(received, []);
        assert_disconnected(&laggard, 0);
        if laggard.dropped() < 36 {
            EARLY.comes();
        }
        let dropped = laggard.dropped();
        assert_eq!(hub.stats().disconnected, 1);
        assert_counts(&hub, [laggard], (36, 0, dropped));
    });
}

#[test]
fn under_disconnect_a_laggard_reads_everything_or_is_disconnected() {
    static BLOCKS: Moment = Moment::new("the laggard blocks");
    static ASKED: Moment = Moment::new("the publisher waits for the answer");
    static DISCONNECTED: Moment = Moment::new("the laggard is disconnected");
    static LOSES_NOTHING: Moment = Moment::new("the laggard loses nothing");
    explore(
        Some(3),
        &[&BLOCKS, &ASKED, &DISCONNECTED, &LOSES_NOTHING],
        || {
            let hub = hub(Policy::Disconnect);
            let (mut publisher, mut laggard) = (hub.publisher(), hub.subscribe());
            assert_eq!(read(&mut laggard), Read::Pending);
            publish_past(&mut publisher, &run(0..28, 255), &mut laggard);
            let socket = Arc::new(Socket::default());
            let serving = spawn_serving(laggard, &socket, 34, &BLOCKS);
            let emptying = thread::spawn(move || socket.empty());
            publish_all(&mut publisher, &run(28..34, 255), &ASKED).unwrap();
            let (received, laggard) = serving.join().unwrap();
            emptying.join().unwrap();
            let (delivered, dropped) = (received.len() as u64, laggard.dropped());
            assert!(
                received.into_iter().eq(0..delivered),
                "what it reads has no gap"
            );
            if laggard.is_disconnected() {
                DISCONNECTED.comes();
                assert_disconnected(&laggard, delivered);
            } else {
                LOSES_NOTHING.comes();
                assert_eq!((delivered, dropped), (34, 0));
            }
            assert_eq!(hub.stats().disconnected, laggard.is_disconnected().into());
            assert_counts(&hub, [laggard], (34, delivered, dropped));
        },
    );
}

#[test]
fn under_newest_a_laggard_reads_its_window_and_then_jumps() {
    static BLOCKS: Moment = Moment::new("the laggard blocks");
    static ASKED: Moment = Moment::new("the publisher waits for the answer");
    static LOSES_NOTHING: Moment = Moment::new("the laggard loses nothing");
    static JUMPS: Moment = Moment::new("the laggard jumps and has nothing more to read");
    static READS_ON: Moment = Moment::new("the laggard jumps and reads on");
    explore(
        Some(3),
        &[&BLOCKS, &ASKED, &LOSES_NOTHING, &JUMPS, &READS_ON],
        || {
            let hub = hub(Policy::Newest);
            let (mut publisher, mut laggard) = (hub.publisher(), hub.subscribe());
            assert_eq!(read(&mut laggard), Read::Pending);
            publish_past(&mut publisher, &run(0..31, 255), &mut laggard);
            let socket = Arc::new(Socket::default());
            let serving = spawn_serving(laggard, &socket, 36, &BLOCKS);
            let emptying = thread::spawn(move || socket.empty());
            publish_all(&mut publisher, &run(31..34, 255), &ASKED).unwrap();
            publish_all(&mut publisher, &run(34..36, 255), &ASKED).unwrap();
            let (received, laggard) = serving.join().unwrap();
            emptying.join().unwrap();
            let (delivered, dropped) = (received.len() as u64, laggard.dropped());
            match (delivered, dropped) {
                (36, 0) => LOSES_NOTHING.comes(),
                (16, 20) => JUMPS.comes(),
                _ => READS_ON.comes(),
            }
            // Half of the log is the window, and what is behind it is lost when the other half is
            // full.
            assert!(
                received.into_iter().eq((0..16).chain(16 + dropped..36)),
                "one gap, behind the window"
            );
            assert!(
                dropped == 0 || dropped > 16,
                "the gap reaches to the end of the log"
            );
            assert_counts(&hub, [laggard], (36, delivered, dropped));
        },
    );
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
