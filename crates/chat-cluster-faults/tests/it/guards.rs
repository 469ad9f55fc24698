use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chat_cluster_faults::{Cluster, Settings};
use rustix::process::{Pid, Signal, kill_process};

use crate::example::example;
use crate::installed::nats;

/// Set in a process that starts servers and is ended by a signal.
const VICTIM: &str = "CHAT_CLUSTER_FAULTS_VICTIM";

/// What is in place of a chat server. It makes no stream, so that the start of a cluster waits for that when
/// all servers are there.
const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/stand_in.sh");

/// Three servers of NATS and two chat servers, each with its guard, and that of the directory.
const CHILD_COUNT: usize = 11;

#[test]
fn nothing_stays_behind_of_a_test_that_a_signal_ends() {
    let Some(nats) = nats() else { return };
    if std::env::var_os(VICTIM).is_some() {
        Cluster::start(&Settings::new(nats, STAND_IN)).unwrap();
    }
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let mut victim = Command::new(std::env::current_exe().unwrap());
        let name = "guards::nothing_stays_behind_of_a_test_that_a_signal_ends";
        check(victim.args(["--exact", name]), signal);
    }
}

#[test]
fn nothing_stays_behind_of_an_example_that_a_signal_ends() {
    if nats().is_none() {
        return;
    }
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        check(example().arg(STAND_IN), signal);
    }
}

/// Starts a process that starts a cluster, ends it by a signal, and looks for what is left.
#[track_caller]
fn check(command: &Command, signal: Signal) {
    let dir = std::env::temp_dir().join(format!("chat-guards-{:016x}", fastrand::u64(..)));
    fs::create_dir(&dir).unwrap();
    // A shell that starts tests in the background has them ignore SIGINT.
    let mut victim = Command::new("env")
        .arg("--default-signal=INT")
        .arg(command.get_program())
        .args(command.get_args())
        .env(VICTIM, "yes")
        .env("TMPDIR", &dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut children = Vec::new();
    wait_until(|| {
        children = children_of(victim.id());
        children.len() == CHILD_COUNT
    });
    assert_eq!(entry_count(&dir), 1);
    kill_process(Pid::from_child(&victim), signal).unwrap();
    let status = victim.wait().unwrap();
    assert_eq!(status.signal(), Some(signal.as_raw()));
    wait_until(|| !children.iter().any(|pid| is_running(pid)));
    assert_eq!(entry_count(&dir), 0, "{signal:?}");
    fs::remove_dir(&dir).unwrap();
}

/// Returns the processes that all threads of a process have started.
pub(crate) fn children_of(pid: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")));
    // A thread may have ended meanwhile.
    let words = lists.flatten().collect::<Vec<_>>().join(" ");
    words.split_whitespace().map(str::to_owned).collect()
}

/// Tells whether a process runs, and is not only waited for.
fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(") ").next().unwrap_or_default();
    !(state.is_empty() || state.starts_with('Z'))
}

fn entry_count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it took too long");
        thread::sleep(Duration::from_millis(5));
    }
}
