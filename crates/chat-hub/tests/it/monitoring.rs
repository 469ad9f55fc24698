use chat_hub::{Config, Hub, Monitor, Policy};

use crate::util::{drain, hub, message, publish, run, stall};

/// Returns what was delivered, dropped and lost.
#[track_caller]
fn counts(monitor: &Monitor) -> (u64, u64, u64) {
    let stats = monitor.stats().expect("the subscriber is there");
    (stats.delivered, stats.dropped, stats.lost)
}

#[test]
fn a_monitor_counts_from_the_joining_on() {
    let hub = hub(1 << 20);
    let (mut publisher, _early) = (hub.publisher(), hub.subscribe());
    assert!(publish(&mut publisher, &run(0..100, 63)).is_ready());
    let mut subscriber = hub.subscribe();
    let monitor = subscriber.monitor();
    assert!(publish(&mut publisher, &run(100..110, 63)).is_ready());
    assert_eq!(counts(&monitor), (0, 0, 0));
    assert_eq!(monitor.stats().unwrap().lag, 640);
    drain(&mut subscriber);
    assert_eq!(counts(&monitor), (10, 0, 0));
    assert_eq!(monitor.stats().unwrap().lag, 0);
}

#[test]
fn a_monitor_knows_a_loss_before_its_subscriber_does() {
    for policy in [Policy::Oldest, Policy::Newest] {
        let config = Config::default().with_capacity(64 * 1024);
        let hub = config.with_policy(policy).build().unwrap();
        let (mut publisher, mut slow) = (hub.publisher(), hub.subscribe());
        let monitor = slow.monitor();
        stall(&mut slow);
        for number in 0..5000 {
            assert!(publish(&mut publisher, &message(number, 63)).is_ready());
        }
        let stats = monitor.stats().unwrap();
        assert!(stats.is_stalled && stats.is_laggard, "{policy:?}");
        assert_eq!((stats.delivered, stats.dropped), (0, 0), "{policy:?}");
        assert_eq!(stats.lost, slow.lost(), "{policy:?}");
        assert!(stats.lost > 3000, "{policy:?}");
        assert_eq!(stats.lag, slow.lag(), "{policy:?}");
        let (wire, _) = drain(&mut slow);
        let dropped = slow.dropped();
        assert!(dropped >= stats.lost, "a loss is never taken back");
        let delivered = wire.len() as u64 / 64;
        assert_eq!(counts(&monitor), (delivered, dropped, dropped));
        let stats = monitor.stats().unwrap();
        assert!(!stats.is_stalled, "{policy:?}");
    }
}

#[test]
fn a_monitor_of_a_disconnected_subscriber_says_what_it_lost() {
    let config = Config::default().with_capacity(64 * 1024);
    let hub = config.with_policy(Policy::Disconnect).build().unwrap();
    let (mut publisher, mut slow) = (hub.publisher(), hub.subscribe());
    let monitor = slow.monitor();
    stall(&mut slow);
    for number in 0..5000 {
        assert!(publish(&mut publisher, &message(number, 63)).is_ready());
    }
    stall(&mut slow);
    let dropped = slow.dropped();
    assert!(slow.is_disconnected() && dropped > 0);
    assert_eq!(counts(&monitor), (0, dropped, dropped));
    assert_eq!(monitor.stats().unwrap().lag, 0, "it is over");
}

#[test]
fn a_monitor_of_one_that_is_gone_tells_of_nobody_else() {
    let hub = Hub::default();
    let gone = hub.subscribe();
    let monitor = gone.monitor();
    drop(gone);
    let other = hub.subscribe();
    assert!(publish(&mut hub.publisher(), b"\0").is_ready());
    assert_eq!(monitor.stats(), None);
    assert_eq!(other.monitor().stats().unwrap().lag, 1);
}
