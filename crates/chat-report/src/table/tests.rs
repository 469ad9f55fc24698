use chat_results::Limit;
use chat_results::sample::results;

use super::*;

fn printed(results: &Results) -> String {
    let mut out = Vec::new();
    print(results, false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn several_servers_are_counted() {
    let mut results = results();
    results.asked.server_count = 3;
    results.asked.server = "a, b, c".to_owned();
    let text = printed(&results);
    let told = text.lines().find(|line| line.starts_with("servers"));
    let told = told.unwrap();
    assert!(
        told.contains("3, with clients on each in turn: a, b, c"),
        "{told}"
    );
}

#[test]
fn every_line_fits_a_terminal_and_names_what_it_tells() {
    let mut results = results();
    results.asked.server = "/a/long/way".repeat(30);
    results.verdict = Verdict::Failed {
        why: vec!["`p99>3ms` holds: delivery.p99 is 4 ms ".repeat(5)],
    };
    results.health.bound_by = Some("it took 99 % of a processor".to_owned());
    results.isolation = Some(Isolation::new(&results, &results));
    let text = printed(&results);
    for line in text.lines() {
        assert!(line.chars().count() < 80, "{line}");
    }
    for name in [
        "server",
        "load",
        "deliveries",
        "drops",
        "unresolved",
        "order",
        "latency",
        "its memory",
        "load tester",
        "isolation",
        "verdict",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name} is missing in\n{text}"
        );
    }
    assert!(
        text.contains("generator-bound: it was the limit, since it took 99 % of a"),
        "{text}"
    );
}

#[test]
fn that_the_load_tester_was_the_limit_is_told_once() {
    let mut results = results();
    results.health.bound_by = Some("it took 99 % of a processor".to_owned());
    results.verdict = Verdict::Inconclusive {
        why: "generator-bound: since it took 99 % of a processor".to_owned(),
    };
    assert_eq!(printed(&results).matches("generator-bound").count(), 1);
}

#[test]
fn what_does_not_apply_is_absent() {
    let mut results = results();
    results.server = None;
    results.latency = Latency::default();
    results.drops = chat_results::Drops::default();
    let text = printed(&results);
    for name in [
        "latency",
        "server's cost",
        "its memory",
        "isolation",
        "unresolved",
    ] {
        assert!(
            !text.lines().any(|line| line.starts_with(name)),
            "{name} is in\n{text}"
        );
    }
    assert!(text.contains("drops          none\n"), "{text}");
}

#[test]
fn a_broken_order_is_told_with_its_story() {
    let mut results = results();
    results.order = Order::Broken {
        iteration: 3,
        class: "duplicate".into(),
        story: "it came twice".into(),
    };
    assert!(
        printed(&results)
            .contains("order          BROKEN in iteration 3 (duplicate): it came twice\n")
    );
}

#[test]
fn colours_are_for_terminals() {
    let (mut plain, mut coloured) = (Vec::new(), Vec::new());
    print(&results(), false, &mut plain).unwrap();
    print(&results(), true, &mut coloured).unwrap();
    assert!(!plain.contains(&0x1b) && coloured.contains(&0x1b));
}

#[test]
fn the_limit_of_a_calibrated_run_is_told() {
    #[track_caller]
    fn check(limit: Limit, expected: &str) {
        let mut results = results();
        results.health.limit = Some(limit);
        results.health.ceiling_used_ratio = Some(0.49);
        let text = printed(&results);
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(expected), "{text}");
    }
    check(
        Limit::Server,
        "limit the server (the load tester is at 49 % of what it can do)",
    );
    check(
        Limit::Schedule,
        "limit the schedule, which was kept (the load tester is at 49 % of what it can do)",
    );
    check(
        Limit::LoadTester,
        "limit the load tester, at 49 % of what it can do with a server that takes no time",
    );
}

#[test]
fn pauses_and_waits_are_told_when_there_are_any() {
    let mut results = results();
    results.health.observed_s = 10.0;
    results.health.processor_wait.run_delay_s = Some(0.5);
    assert!(!printed(&results).contains("waited for a processor"));
    results.health.processor_wait.run_delay_s = Some(0.6);
    results.health.pause_count = 2;
    results.health.paused_s = 0.25;
    results.health.untimed_count = 3;
    let text = printed(&results);
    let words: Vec<&str> = text.split_whitespace().collect();
    let told = "did not run for 0.25 s in 2 pauses; 3 latencies left out for that; waited for a processor for 0.60 s";
    assert!(words.join(" ").contains(told), "{text}");
}
