use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::util::{Client, DEADLINE, Server, chat_server, full_pipe, run, wait_for_exit};

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let mut server = Server::spawn_limited("trap '' INT");
    server.signal(Signal::INT);
    server.assert_serves();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_signal_ends_the_server_at_any_moment_of_its_start() {
    for delay in (0..100).map(|step| step * Duration::from_micros(50)) {
        let mut child = chat_server()
            .arg("127.0.0.1:0")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(delay);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        wait_for_exit(&mut child);
    }
}

#[test]
fn the_longest_times_are_no_trouble() {
    let max = format!("{}s", u64::MAX);
    let names = [
        "--drain-timeout",
        "--grace",
        "--half-closed-timeout",
        "--message-timeout",
        "--proxy-timeout",
        "--stall-timeout",
        "--stats",
    ];
    let args: Vec<_> = names.iter().flat_map(|name| [name, &max[..]]).collect();
    let mut server = Server::start_with(&args);
    server.assert_serves();
    let log = server.end();
    assert!(log.is_empty(), "{log}");
}

#[test]
fn too_few_threads_are_an_error() {
    // Root has no such limit, and nobody cannot read where the tests are built.
    let path = std::env::temp_dir().join(format!("chat-server-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_chat-server"), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("prlimit");
    command.arg("--nproc=1").arg(&path).arg("127.0.0.1:0");
    if geteuid().is_root() {
        command.uid(NOBODY).current_dir("/");
    }
    let output = run(&mut command, b"");
    fs::remove_file(&path).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("error: cannot start ") && stderr.contains("ulimit -u"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// The user that owns nothing.
const NOBODY: u32 = 65534;

#[test]
fn a_server_whose_output_nobody_takes_serves_and_ends() {
    let (unread, stdout) = full_pipe();
    let mut command = chat_server();
    let address = free_address();
    command.arg(&address).stdout(stdout).stderr(Stdio::null());
    assert_serves_and_ends(command, &address);
    drop(unread);
}

#[test]
fn a_server_without_outputs_serves_and_ends() {
    let address = free_address();
    let mut command = Command::new("sh");
    let server = env!("CARGO_BIN_EXE_chat-server");
    command.args(["-c", "exec \"$0\" \"$1\" <&- >&- 2>&-", server, &address]);
    assert_serves_and_ends(command, &address);
}

/// Returns an address that was free a moment ago. Another program may take it, which has not been
/// seen.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[track_caller]
fn assert_serves_and_ends(mut command: Command, address: &str) {
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    let stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < DEADLINE, "{error}"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut client = Client::of(stream);
    client.send(b"hello");
    assert_eq!(client.receive(), b"hello");
    drop(client);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
}
