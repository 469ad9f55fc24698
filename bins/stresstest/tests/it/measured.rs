use std::fs;

use serde_json::Value;

use crate::run::{measure, number, path, run};

#[test]
fn a_known_delay_is_measured_within_five_per_cent() {
    // Of 500 milliseconds, five per cent are more than most hiccups of this machine. These can add
    // to a delay, and take nothing from it.
    let measure = || {
        measure(
            "delay.json",
            "delay --delay-ms 500",
            &["--rate", "200", "--duration", "2s"],
        )
    };
    // An eighth of all deliveries is to the client that is late.
    let p90 = |results: &Value| number(results, "/latency/delivery/p90_us");
    let runs = || std::iter::repeat_with(measure).take(3);
    let (run, results) = runs()
        .find(|(_, results)| p90(results) < 525_000.0)
        .expect("one of three runs");
    run.check(0, &[]);
    assert!(p90(&results) >= 500_000.0, "{results:#}");
    let spread = number(&results, "/latency/spread/p50_us");
    assert!((475_000.0..525_000.0).contains(&spread), "{spread} µs");
    assert!(
        number(&results, "/latency/echo/p50_us") < 250_000.0,
        "{results:#}"
    );
}

#[test]
fn a_client_that_is_served_late_crosses_a_threshold() {
    let options = ["--window", "10", "-m", "50", "--fail-on", "spread.p50>20ms"];
    run("delay", &options).check(4, &["error: `spread.p50>20ms` holds: spread.p50 is "]);
}

#[test]
fn a_leak_crosses_a_threshold() {
    let options = [
        "--window",
        "10",
        "-m",
        "200",
        "--fail-on",
        "rss-growth>10MiB",
    ];
    run("leak", &options).check(4, &["error: `rss-growth>10MiB` holds: rss-growth is "]);
    run("honest", &options).check(0, &[]);
}

#[test]
fn a_schedule_is_kept_or_what_is_unsent_is_counted() {
    let (run, results) = measure(
        "rate.json",
        "honest",
        &["--rate", "1000", "--duration", "1s"],
    );
    run.check(0, &[]);
    let (sent, unsent) = (
        number(&results, "/counts/sent"),
        number(&results, "/counts/unsent"),
    );
    assert_eq!(sent + unsent, 1000.0);
    assert_eq!(number(&results, "/health/achieved"), sent / 1000.0);
    assert_eq!(number(&results, "/health/lateness/count"), sent);
    assert_eq!(number(&results, "/counts/delivered"), sent * 8.0);
}

#[test]
fn drops_are_counted_exactly_at_a_rate() {
    let options = [
        "-m", "1000", "-r", "1", "--rate", "5000", "-p", "1", "-s", "3",
    ];
    let (run, results) = measure("rate-drop.json", "drop-half-bulk", &options);
    run.check(0, &[]);
    let sent = number(&results, "/counts/sent");
    assert_eq!(sent + number(&results, "/counts/unsent"), 1000.0);
    // The first of two is dropped, for all four clients.
    assert_eq!(
        number(&results, "/drops/dropped"),
        4.0 * (sent / 2.0).ceil()
    );
    assert_eq!(
        number(&results, "/counts/delivered"),
        4.0 * (sent / 2.0).floor()
    );
}

#[test]
fn what_a_server_does_not_take_in_time_is_unsent_and_its_fault() {
    // A fifth of what comes in the pause is more than sockets can hold.
    let options = [
        "--rate",
        "100000",
        "--duration",
        "3500ms",
        "--size",
        "255",
        "-p",
        "1",
        "-s",
        "1",
    ];
    let (run, results) = measure("pause.json", "pause", &options);
    run.check(0, &[]);
    let (sent, unsent) = (
        number(&results, "/counts/sent"),
        number(&results, "/counts/unsent"),
    );
    assert_eq!(sent + unsent, 350_000.0);
    assert!(
        unsent > 1000.0 && number(&results, "/health/missed") < unsent,
        "{results:#}"
    );
    // What was sent is what was in the buffers, and from the schedule on it was late.
    let [delivery, raw] = ["/latency/delivery/mean_us", "/latency/delivery_raw/mean_us"]
        .map(|pointer| number(&results, pointer));
    assert!(
        number(&results, "/latency/delivery/max_us") > 500_000.0 && delivery > raw,
        "{results:#}"
    );
}

#[test]
fn a_drop_at_a_rate_that_is_lower_than_the_patience_is_no_hang() {
    let options = [
        "--rate",
        "0.3",
        "-p",
        "1",
        "-s",
        "2",
        "-m",
        "3",
        "--patience",
        "3",
    ];
    let (run, results) = measure("slow-drop.json", "drop-half-bulk", &options);
    run.check(0, &[]);
    let sent = number(&results, "/counts/sent");
    // The first of two is dropped, for all three clients.
    assert_eq!(
        number(&results, "/drops/dropped"),
        3.0 * (sent / 2.0).ceil()
    );
}

#[test]
fn lengths_are_as_asked_and_a_warm_up_is_not_measured() {
    let options = [
        "--rate",
        "500",
        "--duration",
        "500ms",
        "--warmup",
        "500ms",
        "--size",
        "64",
    ];
    let (run, results) = measure("size.json", "honest", &options);
    run.check(0, &[]);
    let delivered = number(&results, "/counts/delivered");
    assert_eq!(
        number(&results, "/counts/delivered_bytes"),
        delivered * 65.0
    );
    // Half of the schedule is warm-up, and all figures are of the other half.
    let timed = number(&results, "/latency/delivery/count");
    let [sent, unsent] = ["sent", "unsent"].map(|of| number(&results, &format!("/counts/{of}")));
    assert_eq!(sent + unsent, 250.0, "{results:#}");
    assert_eq!((delivered, timed), (8.0 * sent, 8.0 * sent), "{results:#}");
    let load_s = number(&results, "/counts/load_s");
    let rate = number(&results, "/counts/deliveries_per_s");
    assert!(
        (rate * load_s / delivered - 1.0).abs() < 1e-9,
        "{results:#}"
    );
}

#[test]
fn guests_of_all_kinds_change_nothing_in_what_is_proved() {
    let options = [
        "--window",
        "20",
        "--duration",
        "3s",
        "--stalled",
        "2",
        "--slow",
        "2:100000",
        "--churn",
        "20",
        "-s",
        "2",
    ];
    let (run, results) = measure("guests.json", "honest", &options);
    run.check(0, &[]);
    assert_eq!(results["order"]["is"], "proved");
    let delivered = number(&results, "/counts/delivered");
    assert_eq!(
        delivered + number(&results, "/drops/dropped"),
        number(&results, "/counts/sent") * 6.0
    );
    assert!(number(&results, "/counts/churned") >= 5.0, "{results:#}");
}

#[test]
fn a_slow_client_whose_connection_the_server_closes_is_counted() {
    // The slow one is the last of nine.
    let options = ["--window", "10", "-m", "200", "--slow", "1:1000000"];
    run(
        "hang-up --victim 8",
        &[&options[..], &["--fail-on", "closed>0"]].concat(),
    )
    .check(4, &["`closed>0` holds: closed is 1"]);
    let (run, results) = measure("closed.json", "hang-up --victim 8", &options);
    run.check(0, &[]);
    assert_eq!(
        (
            number(&results, "/counts/closed"),
            number(&results, "/counts/delivered")
        ),
        (1.0, 8.0 * 400.0)
    );
    assert!(
        run.stdout
            .contains("the server closed 1 connection of clients that do not keep up"),
        "{}",
        run.stdout
    );
    // So are stalled ones, which come after all others.
    let (run, results) = measure(
        "closed.json",
        "hang-up --victim 8",
        &["--window", "10", "-m", "2000", "--stalled", "1"],
    );
    run.check(0, &[]);
    assert_eq!(number(&results, "/counts/closed"), 1.0);
}

#[test]
fn publishers_that_do_not_read_are_served() {
    let (run, results) = measure(
        "classic.json",
        "honest",
        &["--classic", "-m", "50", "-r", "2"],
    );
    run.check(0, &[]);
    assert_eq!(number(&results, "/counts/delivered"), 2.0 * 100.0 * 6.0);
    assert_eq!(results["latency"]["echo"], Value::Null);
}

#[test]
fn isolation_compares_with_a_run_without_guests() {
    let csv = path("isolation.csv");
    let options = [
        "--window",
        "10",
        "-m",
        "200",
        "--stalled",
        "1",
        "--isolation",
        "--csv",
        csv.to_str().unwrap(),
    ];
    let (run, results) = measure("isolation.json", "honest", &options);
    run.check(0, &[]);
    let csv = fs::read_to_string(csv).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let value = |run: usize, name: &str| {
        lines[run][lines[0].iter().position(|&column| column == name).unwrap()]
    };
    assert_eq!(
        [(1, "run"), (1, "stalled"), (2, "run"), (2, "stalled")]
            .map(|(run, name)| value(run, name)),
        ["without", "0", "run", "1"]
    );
    for (ratio, figure) in [
        ("deliveries", "deliveries_per_s"),
        ("p99", "delivery_p99_us"),
        ("rss", "server_rss_peak_kib"),
    ] {
        let [without, with]: [f64; 2] = [1, 2].map(|run| value(run, figure).parse().unwrap());
        let told = number(&results, &format!("/isolation/{ratio}"));
        // The last bit of a number may be lost in a file.
        assert!(
            (told / (with / without) - 1.0).abs() < 1e-12,
            "{ratio} is {told}, of {with} and {without}"
        );
    }
    assert!(
        run.stdout
            .contains("isolation      compared with no stalled, slow and visiting clients: "),
        "{}",
        run.stdout
    );
}

#[test]
fn calibration_tells_what_the_load_tester_can_do() {
    // The server takes 50 milliseconds for each half of a window, and the null broadcaster next to
    // nothing.
    let (run, results) = measure(
        "calibrate.json",
        "delay --victim 2",
        &["--window", "10", "-m", "50", "--calibrate"],
    );
    run.check(0, &[]);
    let ceiling = number(&results, "/health/ceiling");
    assert!(
        ceiling > 10.0 * number(&results, "/counts/deliveries_per_s"),
        "{results:#}"
    );
    assert_eq!(results["health"]["limit"], "server");
    assert!(number(&results, "/health/ceiling_used_ratio") < 0.1);
    assert!(
        run.stdout
            .contains("limit          the server (the load tester is at "),
        "{}",
        run.stdout
    );
}
