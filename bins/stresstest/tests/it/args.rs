use crate::run::{Running, run, server, stresstest};

/// Expects a usage error that tells `told`, before anything is started.
#[track_caller]
fn check(options: &[&str], told: &str) {
    let run = run("honest", options);
    run.check(2, &[told]);
    assert!(!run.was_server_started && run.stdout.is_empty(), "{}", run.stdout);
}

#[test]
fn zero_of_anything_is_refused() {
    for option in ["--publishers", "--subscribers", "--messages", "--repetitions", "--patience", "-p", "-s", "-m", "-r"] {
        check(&[option, "0"], "invalid value '0'");
    }
}

#[test]
fn more_than_a_tag_can_tell_apart_is_refused() {
    check(&["-p", "256", "-s", "256"], "65792 clients are too many");
    check(&["-p", "1000", "-s", "1", "-m", "4000000000"], "4000000000000 messages are too many");
    check(&["-r", "65537"], "invalid value '65537'");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let run = Running::start_command(stresstest().args(["-a", "localhost"]).arg(server())).wait();
    run.check(2, &["invalid value 'localhost' for '--server <ADDR>'"]);
}

#[test]
fn an_executable_is_required() {
    Running::start_command(&mut stresstest()).wait().check(2, &["<EXECUTABLE>"]);
}

#[test]
fn help_teaches() {
    let run = Running::start_command(stresstest().arg("--help")).wait();
    run.check(0, &[]);
    for part in
        ["Exit codes:", "130  interrupted", "Examples:", "listening on ADDRESS", "[default: 127.0.0.1:8080]", "--subscribers <N>"]
    {
        assert!(run.stdout.contains(part), "{part:?} is missing in:\n{}", run.stdout);
    }
}
