use std::process::Command;

use crate::run::{Running, path, run, server, stresstest};

/// Expects a usage error that tells `told`, before anything is started.
#[track_caller]
fn check(options: &[&str], told: &str) {
    let run = run("honest", options);
    run.check(2, &[told]);
    assert!(
        !run.was_server_started && run.stdout.is_empty(),
        "{}",
        run.stdout
    );
}

#[test]
fn zero_of_anything_is_refused() {
    for option in [
        "--publishers",
        "--subscribers",
        "--messages",
        "--repetitions",
        "--patience",
        "-p",
        "-s",
        "-m",
        "-r",
    ] {
        check(&[option, "0"], "invalid value '0'");
    }
}

#[test]
fn more_than_a_tag_can_tell_apart_is_refused() {
    check(&["-p", "256", "-s", "256"], "65792 clients are too many");
    check(
        &["-p", "1000", "-s", "1", "-m", "4000000000"],
        "4000000000000 messages are too many",
    );
    check(&["-r", "65537"], "invalid value '65537'");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let run = Running::start_command(stresstest().args(["-a", "localhost"]).arg(server())).wait();
    run.check(2, &["invalid value 'localhost' for '--server <ADDR>': an IP address and a port are needed, like 127.0.0.1:8080"]);
}

#[test]
fn without_an_executable_the_server_beside_this_program_is_tested() {
    let dir = path("beside");
    std::fs::create_dir_all(&dir).unwrap();
    let alone = dir.join("stresstest");
    // A link, since nobody may have an executable open for writing that is started.
    let _ = std::fs::remove_file(&alone);
    std::fs::hard_link(env!("CARGO_BIN_EXE_stresstest"), &alone).unwrap();
    let told = format!(
        "error: cannot start {}: ",
        dir.join("chat-server").display()
    );
    Running::start_command(&mut Command::new(alone))
        .wait()
        .check(1, &[&told]);
}

#[test]
fn what_contradicts_is_refused() {
    check(
        &["--window", "5", "--rate", "100"],
        "the argument '--window <N>' cannot be used with '--rate <N>'",
    );
    check(&["--connect", "127.0.0.1:1"], "cannot be used with");
}

#[test]
fn lengths_without_room_for_a_tag_are_refused() {
    for size in ["7..255", "8..256", "0", "64..63", "x", "8..", ""] {
        check(&["--size", size], "invalid value '");
    }
}

#[test]
fn times_and_rates_that_are_none_are_refused() {
    check(
        &["--duration", "soon"],
        "is no duration; write it like 5s, 100ms or 1m 30s",
    );
    check(&["--duration", "0s"], "it has to be more than 0");
    check(&["--rate", "0"], "it has to be more than 0");
    check(&["--rate", "-5"], "unexpected argument '-5' found");
    check(&["--rate", "1e10"], "the highest is 1000000000");
    check(&["--rate", "1e-300"], "the lowest is 0.000001");
    check(
        &["--duration", "99999999999999999s"],
        "the longest is 365 days",
    );
    check(&["--warmup", "1e12"], "the longest is 365 days");
    check(
        &["--slow", "1:99999999999"],
        "bytes a second up to 4294967295",
    );
    check(&["--slow", "many"], "a number of clients is needed");
    check(&["--slow", "1:0"], "that is --stalled");
    check(&["--window", "65537"], "invalid value '65537'");
}

#[test]
fn unknown_conditions_and_names_are_refused() {
    check(
        &["--fail-on", "speed>5"],
        "there is no metric `speed`: there are drop",
    );
    check(
        &["--save-baseline", "../escape"],
        "invalid value '../escape'",
    );
}

#[test]
fn a_file_that_cannot_be_written_is_refused_and_none_is_left() {
    let long = format!("/tmp/{}", "x".repeat(256));
    for option in ["--json", "--csv", "--hdr", "--record"] {
        for path in ["/nonexistent/results", "/proc/results", "/", &long] {
            check(&[option, path], "it cannot be written: ");
        }
    }
    check(
        &[
            "--save-baseline",
            "main",
            "--baseline-dir",
            "/proc/baselines",
        ],
        "cannot write the baseline /proc/baselines/main.json: ",
    );
    check(
        &["--save-baseline", "main", "--baseline-dir", "/dev/null"],
        "cannot write the baseline /dev/null/main.json: ",
    );
}

#[test]
fn one_file_for_two_things_is_refused() {
    let dir = path("twice");
    std::fs::create_dir(&dir).unwrap();
    let (one, same) = (dir.join("twice.json"), dir.join("./twice.json"));
    let [dir, one, same] = [&dir, &one, &same].map(|path| path.to_str().unwrap());
    check(
        &["--json", one, "--csv", same],
        "--json and --csv write to one file, ",
    );
    check(
        &[
            "--json",
            one,
            "--save-baseline",
            "twice",
            "--baseline-dir",
            dir,
        ],
        "--json and --save-baseline write to one file, ",
    );
    check(
        &["--json", one, "--server-log", same],
        "--json and --server-log write to one file, ",
    );
    let without = format!("{one}.without");
    check(
        &[
            "--isolation",
            "--stalled",
            "1",
            "--record",
            one,
            "--json",
            &without,
        ],
        "--json and --record, without antagonists, write to one file, ",
    );
    assert!(!std::path::Path::new(one).exists());
}

#[test]
fn isolation_of_nothing_is_refused() {
    check(
        &["--isolation"],
        "--isolation needs --stalled, --slow or --churn",
    );
}

#[test]
fn a_load_that_cannot_be_recorded_is_refused() {
    check(
        &["-p", "1", "-s", "999", "-m", "1000000"],
        "messages to 1000 clients take 3.774 GiB to check, which is more than 2 GiB: take --check basic, or ",
    );
}

#[test]
fn help_names_the_words_that_differ_in_a_group() {
    for command in [None, Some("compare"), Some("conform")] {
        let run = Running::start_command(stresstest().args(command).arg("--help")).wait();
        run.check(0, &[]);
        let words: Vec<_> = run.stdout.split_whitespace().collect();
        let text = words.join(" ");
        assert!(text.contains("the letter n in braces"), "{text}");
        assert!(text.contains("and {run}"), "{text}");
    }
}

#[test]
fn help_teaches() {
    let run = Running::start_command(stresstest().arg("--help")).wait();
    run.check(0, &[]);
    for part in [
        "Exit codes:",
        "130  interrupted",
        "Examples:",
        "listening on ADDRESS",
        "[default: 127.0.0.1:8080]",
        "--subscribers <N>",
        // For a shell, it is one word.
        "--node '{'n'}'",
    ] {
        assert!(
            run.stdout.contains(part),
            "{part:?} is missing in:\n{}",
            run.stdout
        );
    }
}
