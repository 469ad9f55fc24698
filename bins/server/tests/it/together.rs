use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::util::{Server, run};

/// Returns the path of another binary of the workspace, built as this test was.
pub(crate) fn binary(name: &str) -> PathBuf {
    let server = Path::new(env!("CARGO_BIN_EXE_chat-server"));
    let profile_dir = server.parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            name,
            "--target-dir",
        ])
        .arg(profile_dir.parent().unwrap());
    if profile_dir.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "cannot build {name}");
    server.with_file_name(name)
}

#[test]
fn what_is_piped_into_the_client_comes_back() {
    let server = Server::start();
    let output = run(
        Command::new(binary("commandline-client")).arg(server.address.to_string()),
        b"hello\n\nworld\n",
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n\nworld\n");
    assert_eq!(
        (output.status.code(), &output.stderr[..]),
        (Some(0), &b""[..])
    );
}

#[test]
fn a_slow_reader_of_the_client_gets_every_line() {
    // Far more than the server keeps.
    let server = Server::start_with(&["--log-bytes", "1048576"]);
    let mut client = Command::new(binary("commandline-client"))
        .arg(server.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = (0..200_000)
        .map(|number| format!("{number:039}\n"))
        .collect();
    let mut stdin = client.stdin.take().unwrap();
    let mut stdout = client.stdout.take().unwrap();
    let mut received = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            // It may take as long as it likes to write, but not to end.
            stdin.write_all(lines.as_bytes()).unwrap();
            drop(stdin);
        });
        let mut buf = [0; 65536];
        while let Ok(len @ 1..) = stdout.read(&mut buf) {
            received.extend_from_slice(&buf[..len]);
            // Far less than the rate at which a client keeps up, so that it is a laggard.
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(received == lines.as_bytes(), "{} bytes", received.len());
    assert!(client.wait().unwrap().success());
}

#[test]
fn one_clients_lines_reach_another() {
    let server = Server::start();
    let mut listener = server.join(b"listener");
    let lines: String = (0..5000).map(|number| format!("line {number}\n")).collect();
    let output = run(
        Command::new(binary("commandline-client")).arg(server.address.to_string()),
        lines.as_bytes(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), lines);
    for number in 0..5000 {
        assert_eq!(listener.receive(), format!("line {number}").as_bytes());
    }
}

#[test]
fn the_load_tester_passes_the_server() {
    let mut stresstest = Command::new(binary("stresstest"));
    stresstest.args([
        "--server",
        "127.0.0.1:0",
        "--repetitions",
        "2",
        "--messages",
        "200",
        env!("CARGO_BIN_EXE_chat-server"),
    ]);
    let output = run(&mut stresstest, b"");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // On a machine that is busy with other things, its figures say nothing of the server. Its proof does.
    match output.status.code() {
        Some(0) => assert_eq!(stderr, "", "{stdout}"),
        Some(5) => assert!(stderr.contains("inconclusive: generator-bound"), "{stderr}"),
        code => panic!("{code:?}: {stdout}{stderr}"),
    }
    let passed = "successfully received 1200 messages out of 1200 sent (= drop rate of 0)";
    assert_eq!(
        stdout.lines().filter(|line| *line == passed).count(),
        2,
        "{stdout}"
    );
}
