use serde_json::Value;

use crate::run::{Run, Running, number, path, stresstest};

/// Tells whether an executable is installed. Where it is not, its test has nothing to run.
fn is_installed(executable: &str) -> bool {
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&dirs).any(|dir| dir.join(executable).exists());
    if !is_there {
        eprintln!("note: skipped, since {executable} is not installed");
    }
    is_there
}

/// Loads the server that people know a protocol by, from `$PATH`.
#[track_caller]
fn load(protocol: &str) -> (Run, Value) {
    let json = path(&format!("known-{protocol}.json"));
    let mut command = stresstest();
    command
        .args(["-a", "127.0.0.1:0", "--protocol", protocol])
        .args(["--window", "20", "-p", "4", "-s", "2", "-m", "500"])
        .args(["--timeout", "60s", "--json"])
        .arg(&json);
    let run = Running::start_command(&mut command).wait();
    let results = run.results(&json);
    (run, results)
}

#[track_caller]
fn check_all_delivered(results: &Value) {
    let delivered = number(results, "/counts/delivered");
    assert!(delivered >= 500.0 * 4.0 * 12.0, "{results:#}");
    assert_eq!(number(results, "/drops/dropped"), 0.0, "{results:#}");
}

#[track_caller]
fn check_server(results: &Value, settings: &str) {
    let server = results
        .pointer("/load/server")
        .and_then(Value::as_str)
        .unwrap_or_default();
    assert!(server.contains(settings), "{results:#}");
}

#[test]
fn nats_loses_nothing_and_keeps_each_publisher_in_order() {
    if !is_installed("nats-server") {
        return;
    }
    let (run, results) = load("nats");
    check_all_delivered(&results);
    check_server(&results, "nats-server -c /dev/stdin (max_pending: 64MB; ");
    // It has no one order of all, so clients may disagree, but not on the messages of one publisher.
    if run.code == Some(3) {
        run.check(3, &["the promise is broken (contradiction)"]);
    } else {
        run.check(0, &[]);
    }
}

#[test]
fn redis_keeps_one_order() {
    if !is_installed("redis-server") {
        return;
    }
    let (run, results) = load("redis");
    run.check(0, &[]);
    check_all_delivered(&results);
    check_server(&results, "redis-server - (save \"\"; appendonly no; ");
}

#[test]
fn mosquitto_keeps_one_order() {
    if !is_installed("mosquitto") {
        return;
    }
    let (run, results) = load("mqtt");
    run.check(0, &[]);
    check_all_delivered(&results);
    check_server(&results, "set_tcp_nodelay true; persistence false; ");
}

#[test]
fn a_server_that_is_not_installed_is_named_with_how_to_get_it() {
    for (protocol, package) in [
        ("nats", "nats-server"),
        ("redis", "redis-server"),
        ("mqtt", "mosquitto"),
    ] {
        let mut command = stresstest();
        command
            .args(["-a", "127.0.0.1:0", "--protocol", protocol])
            .env("PATH", "/nonexistent");
        let told = format!("in Debian and Ubuntu, the package {package}");
        Running::start_command(&mut command)
            .wait()
            .check(1, &[&format!("error: cannot start {package}: "), &told]);
    }
}

#[test]
fn an_address_that_somebody_listens_on_is_not_mistaken_for_the_server() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let mut command = stresstest();
    command
        .args(["-a", &addr, "--protocol", "redis"])
        .arg("true");
    Running::start_command(&mut command)
        .wait()
        .check(1, &["the server cannot be told to listen on", "port 0"]);
}

#[test]
fn the_ceiling_of_another_protocol_is_not_claimed() {
    let mut command = stresstest();
    command.args(["--protocol", "nats", "--calibrate"]);
    let told = "--calibrate tells what this program can do in the protocol of the chat";
    Running::start_command(&mut command)
        .wait()
        .check(2, &[told]);
}
