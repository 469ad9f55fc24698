use std::net::TcpListener;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::run::{Running, path, run, server, stresstest};

#[test]
fn what_cannot_be_proved_is_named_and_inconclusive() {
    let run = run(
        "swallow-closing",
        &["-m", "5", "-r", "1", "--timeout", "3s"],
    );
    let unresolved = "error: iteration 0: nothing went on for 3 s, and this is unresolved:\n  \
                      publisher 0 got neither publisher 0's closing message 0 nor anything that publisher 0 sent later";
    run.check(5, &[unresolved]);
    assert!(!run.stdout.contains("successfully"), "{}", run.stdout);
}

#[test]
fn a_client_that_gets_its_own_messages_late_is_not_said_to_be_left_out() {
    let run = run(
        "delay --delay-ms 5500",
        &["-m", "5", "-r", "1", "--patience", "4"],
    );
    // What it gets when depends on moments, but it is no conviction.
    assert!(matches!(run.code, Some(0 | 5)), "{}", run.stderr);
}

#[test]
fn a_server_that_hangs_halfway_is_told_of() {
    let told = "error: iteration 0: the server hangs, or drops everything: it has sent nothing to anybody for 3 s, though it was sent messages";
    let run = run("hang", &["--patience", "3"]);
    run.check(1, &[told]);
    assert!(!run.stdout.contains("successfully"), "{}", run.stdout);
}

#[test]
fn a_server_that_dies_halfway_is_told_of() {
    run("die", &[]).check(
        1,
        &[
            "error: the server died: exit status: 7",
            "the last it printed on stderr:\n  the load is too much",
        ],
    );
}

#[test]
fn a_server_that_exits_before_it_is_ready_is_told_of() {
    let told = "error: the server ended before it was ready: exit status: 9\n\
                the last it printed on stdout:\n  not yet\n\
                the last it printed on stderr:\n  no licence to chat\n";
    run("exit-at-once", &[]).check(1, &[told]);
}

#[test]
fn a_server_that_never_gets_ready_is_told_of() {
    let told = "error: the server printed no line that starts with `listening on ` within 3 s\n\
                the last it printed on stdout:\n  listening soon\n";
    run("never-ready", &["--patience", "3"]).check(1, &[told]);
}

#[test]
fn a_ready_line_without_an_address_is_told_of() {
    run("no-address", &[]).check(
        1,
        &["names no IP address and port: `listening on everything`"],
    );
}

#[test]
fn a_server_that_nobody_can_connect_to_is_told_of_and_proves_nothing() {
    let run = run("dead-port", &["--window", "2"]);
    run.check(
        1,
        &[
            "error: iteration 0: the connection of publisher 0 to 127.0.0.1:",
            " failed: Connection refused",
        ],
    );
    assert!(
        run.stdout.contains("\norder          not checked\n"),
        "{}",
        run.stdout
    );
    assert!(!run.stderr.contains("--seed"), "{}", run.stderr);
}

#[test]
fn a_server_that_leaves_its_process_group_is_told_of() {
    let (path, json) = (path("escaped.pid"), path("escaped.json"));
    let mut command = stresstest();
    command
        .args(["-a", "127.0.0.1:0", "-m", "2", "-r", "1", "--classic"])
        .arg("--json")
        .arg(&json)
        .env("WRONG_SERVER_ESCAPED_FILE", &path);
    let run = Running::start_command(command.arg(server()).args(["--", "escape"])).wait();
    let escaped = Pid::from_raw(std::fs::read_to_string(path).unwrap().parse().unwrap()).unwrap();
    kill_process(escaped, Signal::KILL).unwrap();
    run.check(
        3,
        &[
            "note: something still listens on 127.0.0.1:",
            "did it leave the group?",
            // The process that the run started did not.
            "error: the server breaks rule 10: it died of SIGTERM",
        ],
    );
    // What the process that serves takes is unknown, and not nothing.
    let server = &run.results(&json)["server"];
    assert!(
        server["cpus"].is_null() && server["cpu_us_per_delivery"].is_null(),
        "{server}"
    );
}

#[test]
fn a_server_that_closes_the_connection_of_a_client_that_keeps_up_breaks_rule_6() {
    let run = run("hang-up", &[]);
    run.check(
        3,
        &[
            "the server breaks rule 6: the server closed the connection of subscriber 0 of publisher 0 \
             under load, though that client kept up",
        ],
    );
    assert!(!run.stderr.contains("besides"), "{}", run.stderr);
}

#[test]
fn a_load_that_ends_in_its_warm_up_is_inconclusive() {
    let dir = path("no-measurements");
    let run = run(
        "honest",
        &[
            "--warmup",
            "1s",
            "-m",
            "1",
            "--save-baseline",
            "none",
            "--baseline-dir",
            dir.to_str().unwrap(),
        ],
    );
    run.check(
        5,
        &[
            "error: inconclusive: nothing was measured: the load was over before the warm-up was",
            "no baseline none is kept",
        ],
    );
    assert!(!dir.exists());
}

#[test]
fn files_that_cannot_be_written_are_told_of_and_the_others_are_written() {
    let csv = path("beside-full.csv");
    let _ = std::fs::remove_file(&csv);
    let files = [
        "--record",
        "/dev/full",
        "--json",
        "/dev/full",
        "--csv",
        csv.to_str().unwrap(),
    ];
    let run = run(
        "honest",
        &[&["-m", "5", "-r", "1", "--window", "2"], &files[..]].concat(),
    );
    run.check(1, &["error: cannot write /dev/full: No space left"]);
    assert!(run.stdout.contains("\nverdict        "), "{}", run.stdout);
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), 2);
}

#[test]
fn the_json_tells_of_every_other_file_that_cannot_be_written() {
    let json = path("beside-full.json");
    for option in ["--csv", "--hdr", "--html"] {
        let files = [option, "/dev/full", "--json", json.to_str().unwrap()];
        let run = run("honest", &[&["-m", "5", "-r", "1"], &files[..]].concat());
        run.check(1, &[]);
        let results = run.results(&json);
        assert_eq!(
            results["verdict"]["is"], "stopped",
            "{option}: it is what the exit code says"
        );
        let why = results["verdict"]["why"].as_str().unwrap();
        assert!(why.contains("cannot write /dev/full"), "{option}: {why}");
    }
}

#[test]
fn no_baseline_is_kept_of_a_run_that_died() {
    let dir = path("no-baselines");
    run(
        "die",
        &[
            "--save-baseline",
            "dead",
            "--baseline-dir",
            dir.to_str().unwrap(),
        ],
    )
    .check(1, &["no baseline dead is kept"]);
    assert!(!dir.join("dead.json").exists());
}

#[test]
fn an_address_in_use_is_the_servers_to_explain() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let run = Running::start_command(
        stresstest()
            .args(["-a", &addr])
            .arg(server())
            .args(["--", "honest"]),
    )
    .wait();
    run.check(
        1,
        &[
            "the server ended before it was ready: exit status: 101",
            "AddrInUse",
        ],
    );
}

#[test]
fn an_executable_that_is_none_is_told_of() {
    let run =
        Running::start_command(stresstest().args(["-a", "127.0.0.1:0", "/nonexistent/server"]))
            .wait();
    run.check(1, &["error: cannot start /nonexistent/server: "]);
}

#[test]
fn more_clients_than_descriptors_are_refused() {
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "ulimit -n 100; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_stresstest"),
    ]);
    let run = Running::start_command(
        shell
            .args(["-a", "127.0.0.1:0", "-s", "100"])
            .arg(server())
            .args(["--", "honest"]),
    )
    .wait();
    run.check(
        1,
        &["error: 234 open files are needed, and the limit is 100"],
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn the_last_words_of_a_server_are_told_with_any_failure() {
    let log = path("server.log");
    let options = ["-m", "5", "-r", "1", "--server-log", log.to_str().unwrap()];
    let run = run("duplicate", &options);
    run.check(
        3,
        &["note: the last that the server printed on stderr:\n  it is wrong on purpose: duplicate\n"],
    );
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log, "it is wrong on purpose: duplicate\n");
}

#[test]
fn a_name_alone_has_a_hint() {
    let mut command = stresstest();
    command.current_dir(server().parent().unwrap()).args([
        "-m",
        "1",
        "wrong_server",
        "--",
        "honest",
    ]);
    Running::start_command(&mut command).wait().check(
        1,
        &["; did you mean ./wrong_server? A name alone is looked for in $PATH"],
    );
}
