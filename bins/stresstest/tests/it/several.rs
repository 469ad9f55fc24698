use std::path::PathBuf;
use std::process::Command;

use crate::run::{Run, Running, number, path, server, stresstest};
use crate::running::{with_running_server, with_server_at};

/// Runs stresstest on servers that run already, and returns the results, too.
fn connect(name: &str, addrs: &str, options: &[&str]) -> (Run, PathBuf) {
    let json = path(name);
    let mut command = stresstest();
    command.args(["--connect", addrs, "--timeout", "3s", "--json"]);
    let run = Running::start_command(command.arg(&json).args(options)).wait();
    (run, json)
}

/// Runs stresstest on a group of servers that it starts, with this fault.
fn group(command: &mut Command, fault: &[&str]) -> Run {
    let command = command.args(["--timeout", "3s", "--servers", "2", "-a", "127.0.0.1:0"]);
    Running::start_command(command.arg(server()).arg("--").args(fault)).wait()
}

/// Returns the options of servers that stand for one.
fn room(name: &str) -> String {
    let mut room = path(name).into_os_string();
    room.push("-{run}");
    room.into_string().unwrap()
}

#[test]
fn two_addresses_of_one_server_are_proved_together() {
    with_server_at("honest", "0.0.0.0:0", |addr| {
        let port = addr.rsplit(':').next().unwrap();
        let addrs = format!("127.0.0.1:{port},127.0.0.2:{port}");
        let (run, json) = connect("two-addresses.json", &addrs, &["-m", "50", "-r", "2"]);
        run.check(0, &[]);
        let results = run.results(&json);
        assert!((number(&results, "/load/server_count") - 2.0).abs() < 0.5);
        assert_eq!(results["load"]["server"], addrs.replace(',', ", "));
        assert_eq!(results["order"]["is"], "proved");
    });
}

#[test]
fn two_servers_without_a_room_in_common_are_convicted() {
    with_running_server("honest", |one| {
        with_running_server("honest", |other| {
            let addrs = format!("{one},{other}");
            for options in [&["-m", "50", "-r", "1"][..], &["--window", "9", "-m", "99"]] {
                let (run, _) = connect("two-rooms.json", &addrs, options);
                run.check(3, &["(forgotten)", "do these serve one room?", one, other]);
            }
        });
    });
}

#[test]
fn a_group_that_is_started_has_a_number_and_a_word() {
    let (json, log) = (path("group.json"), path("group.log"));
    let mut command = stresstest();
    command.args(["-m", "50", "-r", "2", "--json"]).arg(&json);
    command.arg("--server-log").arg(&log);
    let run = group(&mut command, &["honest", "--room", &room("group-room")]);
    run.check(0, &[]);
    let results = run.results(&json);
    assert!((number(&results, "/load/server_count") - 2.0).abs() < 0.5);
    // Two processes took it.
    assert!(number(&results, "/server/threads") >= 4.0, "{results:#}");
    for number in ["1", "2"] {
        let mut log = log.clone().into_os_string();
        log.push(format!(".{number}"));
        assert!(PathBuf::from(log).exists(), "the log of server {number}");
    }

    group(stresstest().args(["-m", "50", "-r", "1"]), &["honest"]).check(3, &["(forgotten)"]);
}

#[test]
fn a_server_of_a_group_that_misbehaves_is_told_of() {
    for (fault, told) in [
        (
            "exit-non-zero",
            "rule 10: it ended after SIGTERM, but not with code 0",
        ),
        ("talkative", "rule 2: it printed 2 lines on standard output"),
    ] {
        let room = room(&format!("{fault}-room"));
        let run = group(
            stresstest().args(["-m", "10", "-r", "1", "--classic"]),
            &[fault, "--room", &room],
        );
        run.check(3, &[told]);
    }
}

#[test]
fn cases_run_on_several_servers_and_skip_what_is_about_a_process() {
    let conform = |options: &[&str]| {
        let mut command = stresstest();
        command.args(["conform=rule-1/*,rule-4/once-each,rule-5/*,rule-9/*"]);
        let output = command.args(options).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let (server, room) = (server().to_str().unwrap().to_owned(), room("case-room"));
    let (code, text) = conform(&["--servers", "2", &server, "honest", "--room", &room]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("here is a group"), "{text}");
    with_server_at("honest", "0.0.0.0:0", |addr| {
        let port = addr.rsplit(':').next().unwrap();
        let addrs = format!("127.0.0.1:{port},127.0.0.2:{port}");
        let (code, text) = conform(&["--connect", &addrs]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("these run already"), "{text}");
    });
    let (code, text) = conform(&["--servers", "2", "--timeout", "1s", &server, "honest"]);
    assert_eq!(code, Some(3), "{text}");
}

#[test]
fn a_group_that_does_not_start_any_more_is_one_failure() {
    // What its servers share is used up after some cases.
    let count = path("group-starts");
    let script = format!(
        "echo >> {0}; test $(wc -l < {0}) -lt 6 || {{ echo the disk is full >&2; exit 1; }}; exec \"$@\"",
        count.display()
    );
    let (server, room) = (server().to_str().unwrap().to_owned(), room("full-room"));
    let output = stresstest()
        .args([
            "conform=rule-4/*,rule-5/*",
            "--servers",
            "2",
            "--jobs",
            "2",
            "sh",
            "-c",
        ])
        .args([&script, "sh", &server, "honest", "--room", &room])
        .output()
        .unwrap();
    std::fs::remove_file(count).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert_eq!(text.matches("  FAIL").count(), 1, "{text}");
    assert!(text.contains("the disk is full"), "{text}");
    assert!(text.contains("a group of servers did not start"), "{text}");
}

#[test]
fn a_group_is_compared_with_a_server() {
    let json = path("compared-group.json");
    let server = server().to_str().unwrap().to_owned();
    let room = room("compared-room");
    let output = stresstest()
        .args(["compare", "-m", "30", "-r", "2", "--no-ceiling", "--json"])
        .arg(&json)
        .arg(format!("one={server} honest"))
        .arg(format!("two=2*{server} honest --room {room}"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let text = std::fs::read_to_string(&json).unwrap();
    let comparison: serde_json::Value = serde_json::from_str(&text).unwrap();
    let command = &comparison["servers"][1]["command"][0];
    assert_eq!(*command, format!("2*{server}"));
}
