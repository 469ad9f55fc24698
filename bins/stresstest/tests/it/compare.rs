use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const STRESSTEST: &str = env!("CARGO_BIN_EXE_stresstest");

/// Returns the path of the right server of the tests, or a wrong one, as an argument.
fn server(name: &str, kind: &str) -> String {
    let examples = PathBuf::from(STRESSTEST).with_file_name("examples");
    format!("{name}={} {kind}", examples.join("wrong_server").display())
}

/// Compares with a short load.
fn compare(args: &[&str]) -> Output {
    let short = ["compare", "-m", "20", "--no-ceiling", "-r", "2"];
    let output = Command::new(STRESSTEST)
        .args(short)
        .args(args)
        .stdin(Stdio::null())
        .output();
    output.unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, told: &[&str]) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{all}");
    for part in told {
        assert!(all.contains(part), "{part:?} is missing in:\n{all}");
    }
    all
}

/// Makes a fresh file that is or is not executable.
fn script(name: &str, text: &str, mode: u32) -> String {
    let path = std::env::temp_dir().join(format!("compare-{}-{name}", std::process::id()));
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    format!("{name}={}", path.display())
}

#[test]
fn servers_that_cannot_be_started_are_told_of_in_the_report() {
    let right = server("right", "honest");
    let plain = script("plain", "no program", 0o600);
    let lost = script("lost", "#!/nonexistent/interpreter\n", 0o700);
    let output = compare(&[&right, "gone=/nonexistent/server", &plain, &lost]);
    let text = check(
        &output,
        1,
        &["right        proved", "cannot start /nonexistent/server"],
    );
    // Nothing is known of its drops.
    assert_eq!(text.matches("STOPPED\n").count(), 3, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 60),
        "{text}"
    );
    for file in [plain, lost] {
        fs::remove_file(file.split_once('=').unwrap().1).unwrap();
    }
}

#[test]
fn a_wrong_server_is_shown_as_wrong() {
    let output = compare(&[&server("right", "honest"), &server("wrong", "duplicate")]);
    check(&output, 3, &["right        proved", "wrong        WRONG"]);
}

#[test]
fn a_server_that_dies_in_one_load_is_tried_in_the_next() {
    // It can be started once only.
    let flag = std::env::temp_dir().join(format!("compare-{}-flag", std::process::id()));
    let right = PathBuf::from(STRESSTEST)
        .with_file_name("examples")
        .join("wrong_server");
    let text = format!(
        "#!/bin/sh\nif [ -e {0} ]; then exec {1} honest \"$@\"; fi\n: > {0}\nexit 7\n",
        flag.display(),
        right.display()
    );
    let fragile = script("fragile", &text, 0o700);
    let output = compare(&[
        &server("right", "honest"),
        &fragile,
        "--window",
        "1,2",
        "--json",
        "-",
    ]);
    fs::remove_file(flag).unwrap();
    fs::remove_file(fragile.split_once('=').unwrap().1).unwrap();
    check(&output, 1, &[]);
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    let standing = |workload: usize| {
        comparison["workloads"][workload]["outcomes"][1]["standing"]["is"].clone()
    };
    assert_eq!(
        (standing(0), standing(1)),
        ("stopped".into(), "proved".into())
    );
    assert!(comparison["seed"].is_string() && comparison["environment"]["kernel"].is_string());
}

#[test]
fn a_full_disk_takes_no_table_and_no_verdict() {
    let files = ["--csv", "/dev/full", "--json", "/dev/full"];
    let right = server("right", "honest");
    let output = compare(&[&[right.as_str()][..], &files].concat());
    let text = check(&output, 1, &["right        proved"]);
    let told = "error: cannot write /dev/full: No space left on device";
    assert_eq!(text.matches(told).count(), 2, "{text}");
    let wrong = server("wrong", "duplicate");
    let output = compare(&[&[wrong.as_str()][..], &files].concat());
    check(&output, 3, &["wrong        WRONG", told]);
}

#[test]
fn a_full_standard_output_takes_no_verdict() {
    for (kind, code) in [("honest", 1), ("duplicate", 3)] {
        let output = Command::new(STRESSTEST)
            .args(["compare", "-m", "20", "--no-ceiling", "-r", "2"])
            .arg(server("it", kind))
            .stdout(fs::File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        check(
            &output,
            code,
            &["error: cannot print the table: No space left"],
        );
    }
}

#[test]
fn an_interrupt_shows_what_there_is() {
    let json =
        std::env::temp_dir().join(format!("compare-{}-interrupted.json", std::process::id()));
    let (one, other) = (server("one", "honest"), server("other", "honest"));
    let child = Command::new(STRESSTEST)
        .args([
            "compare",
            "--duration",
            "100ms",
            "-r",
            "1000",
            "--no-ceiling",
            "--json",
        ])
        .arg(&json)
        .args([&one, &other])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nothing is told before the end where there is no terminal; some rounds are over by then.
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    check(
        &output,
        130,
        &[
            "Interrupted: there is what was found until then.",
            "medians of pairs of up to 1000 rounds",
            "one          ",
        ],
    );
    assert!(start.elapsed() < Duration::from_secs(60));
    let comparison: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    fs::remove_file(json).unwrap();
    assert_eq!(comparison["is_interrupted"], true);
}

#[test]
fn servers_of_one_name_are_a_usage_error() {
    let right = server("right", "honest");
    check(
        &compare(&[&right, &right]),
        2,
        &["two servers are called right"],
    );
    check(
        &compare(&["a=@nowhere"]),
        2,
        &["an IP address and a port are needed"],
    );
}
