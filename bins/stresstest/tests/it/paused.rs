use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;

use crate::run::{Run, Running, number, path, server, stresstest};

/// Who is stopped in the middle of a run.
#[derive(Clone, Copy, Debug)]
enum Stopped {
    LoadTester,
    Server,
}

/// Runs under a load, stops one of the two for a time, and returns what came of it.
fn paused(name: &str, stopped: Stopped, time: Duration, options: &[&str]) -> (Run, Value) {
    let path = path(&format!("{name}.json"));
    let running = Running::start(
        "honest",
        &[options, &["--json", path.to_str().unwrap()]].concat(),
    );
    let server: i32 = running.wait_for_child().parse().unwrap();
    // Long after all have joined, and long before the end.
    thread::sleep(JOINED);
    let pid = match stopped {
        Stopped::LoadTester => Pid::from_child(&running.child),
        Stopped::Server => Pid::from_raw(server).unwrap(),
    };
    kill_process(pid, Signal::STOP).unwrap();
    thread::sleep(time);
    kill_process(pid, Signal::CONT).unwrap();
    let run = running.wait();
    let results = run.results(&path);
    (run, results)
}

/// Checks several such runs, which go on at the same time.
fn check(
    name: &str,
    stopped: Stopped,
    time: Duration,
    options: &[&str],
    is_as_expected: fn(&Run, &Value),
) {
    thread::scope(|scope| {
        for number in 0..RUNS {
            scope.spawn(move || {
                let (run, results) = paused(&format!("{name}-{number}"), stopped, time, options);
                is_as_expected(&run, &results);
            });
        }
    });
}

#[test]
fn a_load_tester_that_was_stopped_blames_no_server() {
    check(
        "stopped-tester",
        Stopped::LoadTester,
        BEYOND_TIMEOUT,
        &["--rate", "500", "--duration", "14s"],
        |run, results| {
            run.check(5, &["since it did not run for 10."]);
            assert!(number(results, "/health/paused_s") > 10.0, "{results:#}");
            assert!(number(results, "/health/untimed_count") > 0.0);
            assert_eq!(results["order"]["is"], "proved");
            assert!(run.stdout.contains("did not run for 10."), "{}", run.stdout);
        },
    );
}

#[test]
fn a_pause_of_the_load_tester_is_no_latency() {
    check(
        "stopped-window",
        Stopped::LoadTester,
        Duration::from_millis(1500),
        &["--window", "10", "--duration", "5s"],
        |run, results| {
            run.check(5, &["since it did not run for "]);
            assert!(number(results, "/health/untimed_count") > 0.0);
            let max = number(results, "/latency/delivery/max_us");
            assert!(max < 1_400_000.0, "{results:#}");
        },
    );
}

#[test]
fn a_server_that_was_stopped_hangs() {
    check(
        "stopped-server",
        Stopped::Server,
        BEYOND_TIMEOUT,
        &["--rate", "500", "--duration", "14s"],
        |run, _| run.check(1, &["the server hangs"]),
    );
}

#[test]
fn a_pause_of_the_server_is_its_latency() {
    check(
        "slow-server",
        Stopped::Server,
        Duration::from_secs(2),
        &["--rate", "500", "--duration", "6s"],
        |run, results| {
            run.check(0, &[]);
            let max = number(results, "/latency/delivery/max_us");
            assert!(max > 1_900_000.0, "{results:#}");
            assert_eq!(results["order"]["is"], "proved");
        },
    );
}

#[test]
fn a_pause_while_the_server_starts_is_not_the_servers() {
    let running = Running::start_command(
        stresstest()
            // Without --classic the server starts a second time, and nobody is paused then.
            .args([
                "-a",
                "127.0.0.1:0",
                "--classic",
                "-m",
                "1",
                "-r",
                "1",
                "--timeout",
                "3s",
            ])
            .args(["/bin/sh", "--", "-c", "sleep 5; exec \"$0\" \"$@\""])
            .arg(server())
            .arg("honest"),
    );
    running.wait_for_child();
    // Of the five seconds until the server is ready, the load tester runs for less than two.
    running.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(4_500));
    running.signal(Signal::CONT);
    running.wait().check(0, &[]);
}

#[test]
fn a_pause_while_the_server_ends_is_not_the_servers() {
    let ending = path("ending");
    let script = "\"$0\" \"$@\" & trap 'echo > \"$ENDING_FILE\"; sleep 5; exit 0' TERM; \
                  while :; do wait; done";
    let running = Running::start_command(
        stresstest()
            .env("ENDING_FILE", &ending)
            .args(["-a", "127.0.0.1:0", "-m", "1", "--window", "1"])
            .args(["--timeout", "3s", "/bin/sh", "--", "-c", script])
            .arg(server())
            .arg("honest"),
    );
    let start = Instant::now();
    while !ending.exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "no SIGTERM came");
        thread::sleep(Duration::from_millis(1));
    }
    // Of the five seconds until the server has ended, the load tester runs for less than one.
    running.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(4_500));
    running.signal(Signal::CONT);
    running.wait().check(0, &[]);
}

#[test]
fn a_run_tells_that_both_share_one_processor() {
    let results = path("shared.json");
    let options = [
        "--window",
        "100",
        "--duration",
        "3s",
        "--json",
        results.to_str().unwrap(),
    ];
    // On a busy machine something else may be worse.
    let run = (0..RUNS)
        .map(|_| run_on_one_processor(&options))
        .find(|run| run.stderr.contains("since it waited for a processor for "));
    let run = run.expect("it is told in one of the runs");
    run.check(5, &[]);
    let results = run.results(&results);
    assert!(number(&results, "/health/processor_wait/run_delay_s") > 0.6);
}

fn run_on_one_processor(options: &[&str]) -> Run {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                let allowed = sched_getaffinity(None).unwrap();
                let first = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu));
                let mut shared = CpuSet::new();
                shared.set(first.unwrap());
                // Processes keep to the processors of the thread that starts them.
                sched_setaffinity(None, &shared).unwrap();
                Running::start("honest", options).wait()
            })
            .join()
            .unwrap()
    })
}

/// How many runs of a kind are checked. A judgement: the mistakes that these tests are for happened
/// in every run.
const RUNS: u32 = 3;

/// When a load is well under way. A judgement: joining takes milliseconds.
const JOINED: Duration = Duration::from_secs(2);

/// Somewhat longer than the default timeout, of ten seconds.
const BEYOND_TIMEOUT: Duration = Duration::from_millis(10_500);
