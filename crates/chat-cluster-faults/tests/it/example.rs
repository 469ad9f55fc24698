use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chat_cluster_faults::find_nats;

/// The example, which `cargo test -p chat-cluster-faults` builds.
fn example() -> Command {
    let test = std::env::current_exe().unwrap();
    let executable: PathBuf = test.ancestors().nth(2).unwrap().join("examples/faults");
    assert!(
        executable.is_file(),
        "build it: cargo build --example faults"
    );
    Command::new(executable)
}

#[test]
fn bad_values_are_refused_with_one_line_and_code_2() {
    let bad: [&[&str]; 11] = [
        &[],
        &["s", "--runs", "x"],
        &["s", "--runs", "0"],
        &["s", "--minutes", "-1"],
        &["s", "--seconds", "NaN"],
        &["s", "--nodes", "0"],
        &["s", "--storage", "paper"],
        &["s", "--fault", "rain"],
        &["s", "--rain", "1"],
        &["s", "--nats", "/nowhere/nats-server"],
        &["s", "--fault", "all disks full"],
    ];
    for args in bad {
        let output = example().args(args).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
        assert!(error.starts_with("faults: "), "{args:?}: {error}");
    }
}

#[test]
fn nothing_stays_behind_when_it_is_killed() {
    if find_nats().is_none() {
        assert!(std::env::var_os("CI").is_none(), "nats-server is missing");
        eprintln!("skipped: nats-server is not installed (Debian: apt-get install nats-server)");
        return;
    }
    // `cat` in place of a chat server ends at once; the servers of NATS are there by then.
    let mut example = example()
        .arg("/bin/cat")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Three servers of NATS, each with its guard.
    let path = format!("/proc/{0}/task/{0}/children", example.id());
    let mut children = Vec::new();
    wait_until(|| {
        let words = fs::read_to_string(&path).unwrap();
        children = words.split_whitespace().map(str::to_owned).collect();
        children.len() >= 6
    });
    example.kill().unwrap();
    example.wait().unwrap();
    wait_until(|| !children.iter().any(|pid| is_running(pid)));
}

/// Tells whether a process runs, and is not only waited for.
fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(") ").next().unwrap_or_default();
    !(state.is_empty() || state.starts_with('Z'))
}

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it took too long");
        thread::sleep(Duration::from_millis(5));
    }
}
