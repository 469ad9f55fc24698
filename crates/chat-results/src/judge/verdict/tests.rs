use std::time::Duration;

use super::*;
use crate::distribution::Summary;
use crate::health::ProcessorWait;
use crate::results::{Drops, ServerSeen};
use crate::sample::results;

/// Returns results of ten seconds without a schedule, in which the load tester took this much
/// of a processor, and the server that much.
fn busy_results(cpu: f64, server_cpus: f64) -> Results {
    let mut results = results();
    results.counts.load_s = 10.0;
    results.health.cpu = cpu;
    results.drops = Drops::default();
    results.server = Some(ServerSeen {
        cpus: Some(server_cpus),
        ..ServerSeen::default()
    });
    results
}

#[track_caller]
fn check_bound(results: &Results, told: Option<&str>) {
    assert_eq!(bound_by(results).as_deref(), told);
}

#[test]
fn who_has_no_time_left_is_the_limit_unless_the_server_has_less() {
    check_bound(&busy_results(0.79, 0.1), None);
    check_bound(
        &busy_results(0.9, 0.7),
        Some("it took 90 % of a processor, and the server 70 %"),
    );
    check_bound(&busy_results(0.9, 1.1), None);
    check_bound(
        &Results {
            server: None,
            ..busy_results(0.9, 0.0)
        },
        Some("it took 90 % of a processor"),
    );
    let mut dropped = busy_results(0.9, 1.1);
    dropped.drops.dropped = 1;
    check_bound(
        &dropped,
        Some("it took 90 % of a processor, so it may have read too slowly what was dropped"),
    );
    let mut short = busy_results(0.9, 0.7);
    short.counts.load_s = 0.4;
    check_bound(&short, None);
    let mut scheduled = busy_results(1.0, 0.7);
    scheduled.health.achieved = Some(1.0);
    check_bound(&scheduled, None);
}

#[test]
fn who_is_near_its_ceiling_is_the_limit() {
    let mut results = busy_results(0.5, 0.5);
    results.health.ceiling = Some(2.3e6);
    check_bound(&results, None);
    results.health.ceiling = Some(2.2e6);
    check_bound(
        &results,
        Some("with a server that takes no time it would make 2.2 million deliveries a second"),
    );
}

#[test]
fn who_sends_late_or_not_at_all_is_the_limit() {
    let mut results = busy_results(0.5, 0.5);
    results.health.lateness = Some(Summary {
        p90: 199.0,
        p99: 3999.0,
        ..Summary::default()
    });
    check_bound(&results, None);
    results.health.lateness = Some(Summary {
        p90: 201.0,
        ..Summary::default()
    });
    check_bound(
        &results,
        Some("it sent messages so late that this is most of their latency"),
    );
    let mut results = busy_results(0.5, 0.5);
    results.health.missed = 10;
    check_bound(&results, None);
    results.health.missed = 11;
    check_bound(
        &results,
        Some("it came too late to send 11 of the messages that the schedule had"),
    );
}

#[test]
fn the_worst_that_applies_is_the_verdict() {
    let measured = || busy_results(0.5, 0.5);
    let bound = || {
        let mut results = measured();
        results.health.bound_by = Some("it was".to_owned());
        results
    };
    let why = || "because".to_owned();
    let complaints = || Complaints {
        of_both: vec![why()],
        ..Complaints::default()
    };
    let failed = Verdict::Failed { why: vec![why()] };
    let unresolved = Verdict::Inconclusive {
        why: "unresolved".to_owned(),
    };
    for ended in [
        Verdict::Broken { why: why() },
        Verdict::Stopped { why: why() },
        Verdict::Interrupted,
    ] {
        assert_eq!(
            verdict(&bound(), Some(ended.clone()), complaints(), Some(why())),
            ended
        );
    }
    assert_eq!(
        verdict(
            &measured(),
            Some(unresolved.clone()),
            complaints(),
            Some(why())
        ),
        failed
    );
    assert_eq!(verdict(&measured(), None, complaints(), None), failed);
    assert_eq!(
        verdict(
            &bound(),
            Some(unresolved.clone()),
            Complaints::default(),
            Some(why())
        ),
        unresolved
    );
    assert_eq!(
        verdict(&bound(), None, Complaints::default(), Some(why())),
        Verdict::Inconclusive { why: why() }
    );
    let told = "generator-bound: the load tester was the limit, since it was".to_owned();
    assert_eq!(
        verdict(&bound(), None, Complaints::default(), None),
        Verdict::Inconclusive { why: told.clone() }
    );
    assert_eq!(
        verdict(&bound(), None, complaints(), None),
        Verdict::Inconclusive {
            why: format!("{told}; so it may be the reason why because")
        }
    );
    assert_eq!(
        verdict(&measured(), None, Complaints::default(), None),
        Verdict::Passed
    );
    // A leak is one however slow the load tester is.
    let leak = Complaints {
        of_server: vec![why()],
        ..Complaints::default()
    };
    assert_eq!(verdict(&bound(), None, leak, None), failed);
}

#[test]
fn without_figures_nothing_passes() {
    let mut nothing = busy_results(0.0, 0.0);
    nothing.counts.load_s = 0.0;
    nothing.asked.load.warmup = Duration::from_secs(1);
    assert!(
        matches!(verdict(&nothing, None, Complaints::default(), None), Verdict::Inconclusive { why } if why.contains("warm-up"))
    );
    nothing.counts.sent = 0;
    nothing.asked.load.warmup = Duration::ZERO;
    assert!(
        matches!(verdict(&nothing, None, Complaints::default(), None), Verdict::Inconclusive { why } if why.contains("no message"))
    );
}

#[test]
fn what_goes_wrong_later_outweighs_all_but_the_worst() {
    let stopped = || Verdict::Stopped {
        why: "the disk is full".to_owned(),
    };
    for mild in [
        Verdict::Passed,
        Verdict::Interrupted,
        Verdict::Failed { why: Vec::new() },
    ] {
        let mut verdict = mild;
        outweigh(&mut verdict, stopped());
        assert_eq!(verdict, stopped());
    }
    let mut broken = Verdict::Broken {
        why: "it is".to_owned(),
    };
    outweigh(&mut broken, stopped());
    assert!(matches!(broken, Verdict::Broken { .. }));
}

/// Returns results of ten seconds in which the load tester did well, but for what `change` does.
fn paused_results(change: fn(&mut Health)) -> Results {
    let mut results = busy_results(0.5, 0.5);
    results.latency[Distribution::Delivery] = Some(Summary {
        count: 990,
        ..Summary::default()
    });
    results.health.observed_s = 10.0;
    change(&mut results.health);
    results
}

#[test]
fn who_does_not_run_is_the_limit_beyond_a_stated_share() {
    let wait = |run_delay_s, steal_s| ProcessorWait {
        run_delay_s,
        steal_s,
        // Others may wait as long as they like: they may be the server.
        pressure_s: Some(10.0),
    };
    check_bound(&paused_results(|health| health.paused_s = 0.5), None);
    check_bound(
        &paused_results(|health| health.paused_s = 0.51),
        Some("it did not run for 0.51 of the 10.00 s of the load, in pauses of its own"),
    );
    check_bound(&paused_results(|health| health.untimed_count = 10), None);
    check_bound(
        &paused_results(|health| health.untimed_count = 11),
        Some("its own pauses are part of 11 of 1001 latencies"),
    );
    let mut results = paused_results(|_| ());
    results.health.processor_wait = wait(Some(3.3), Some(0.5));
    check_bound(&results, None);
    results.health.processor_wait = wait(Some(3.31), None);
    check_bound(
        &results,
        Some("it waited for a processor for 3.31 of the 10.00 s of the load"),
    );
    results.health.processor_wait = wait(None, Some(0.51));
    check_bound(
        &results,
        Some("the processors were kept from this machine for 0.51 of the 10.00 s of the load"),
    );
    results.health.processor_wait = wait(Some(0.4), None);
    results.health.observed_s = 0.4;
    check_bound(&results, None);
}

#[test]
fn a_calibrated_run_names_its_limit() {
    #[track_caller]
    fn check(change: fn(&mut Health), expected: Option<Limit>) {
        let mut results = busy_results(0.5, 0.5);
        results.health.ceiling = Some(4e6);
        change(&mut results.health);
        assert_eq!(limit(&results), expected);
    }
    check(|health| health.ceiling = None, None);
    check(|_| (), Some(Limit::Server));
    check(|health| health.achieved = Some(0.98), Some(Limit::Server));
    check(|health| health.achieved = Some(0.99), Some(Limit::Schedule));
    check(
        |health| {
            health.achieved = Some(1.0);
            health.bound_by = Some("it was".to_owned());
        },
        Some(Limit::LoadTester),
    );
}
