use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use socket2::SockRef;

use crate::util::{Client, Server, chat_server, full_pipe, run};

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    // Its stderr is a pipe, which is not read until the end.
    let mut server = Server::start_with(&["--log", "debug"]);
    for _ in 0..1500 {
        drop(server.connect());
    }
    server.assert_serves();
    server.signal(Signal::TERM);
    let (status, printed) = server.wait();
    assert_eq!((status.code(), &printed[..]), (Some(0), ""));
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let mut command = chat_server();
    command.args(["127.0.0.1:0", "--log", "debug"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    command.stderr(full);
    let mut server = Server::spawn_as_it_is(command);
    for _ in 0..1500 {
        drop(server.connect());
    }
    server.assert_serves();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn an_error_that_nobody_reads_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_unread, stderr) = full_pipe();
    let mut command = chat_server();
    command
        .arg(taken.local_addr().unwrap().to_string())
        .stderr(stderr);
    let output = run(&mut command, b"");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_filter_for_other_programs_is_ignored_with_a_warning() {
    let values: [&[u8]; 4] = [
        b"my_app[span{id=1}]=debug",
        b"warn,my_app=verbose",
        b"a=b=c",
        b"\xFF\xFE",
    ];
    for value in values {
        let mut command = chat_server();
        command
            .arg("127.0.0.1:0")
            .env("RUST_LOG", OsStr::from_bytes(value));
        let log = Server::spawn(command).end();
        assert_eq!(
            log.matches("WARN chat_server::logging: the variable RUST_LOG is ignored: ")
                .count(),
            1,
            "{log}"
        );
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[test]
fn the_variable_is_heeded_unless_the_option_is_given() {
    let log = |args: &[&str]| {
        let mut command = chat_server();
        command
            .arg("127.0.0.1:0")
            .args(args)
            .env("RUST_LOG", "info");
        Server::spawn(command).end()
    };
    let told = log(&[]);
    let serving = format!(
        "version=\"{}\" policy=\"oldest\" log_bytes=8388608",
        env!("CARGO_PKG_VERSION")
    );
    assert!(told.contains(&serving), "{told}");
    assert!(!told.contains("tls_addresses"), "{told}");
    assert_eq!(log(&["--log", "warn"]), "");
}

#[test]
fn a_filter_in_the_arguments_is_checked() {
    for filter in ["foo", "a=b=c", "warn,chat_server=loud", "3"] {
        let mut command = chat_server();
        command.args(["--log", filter]).env("RUST_LOG", "a=b=c");
        let output = run(&mut command, b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{filter}");
        assert!(
            stderr.contains("the levels are off, error, warn, info, debug and trace"),
            "{stderr}"
        );
    }
}

#[test]
fn each_end_of_a_client_is_told_in_one_line_with_its_counts() {
    let server = Server::start_with(&["--log", "debug"]);
    let mut witness = server.join(b"witness");
    let descriptor_count = server.descriptor_count();
    let mut polite = server.join(b"polite");
    polite.end_sending();
    // It is not to get what comes later.
    assert_eq!(polite.try_receive(), None);
    assert_eq!(witness.receive(), b"polite");
    let reset = server.join(b"reset");
    assert_eq!(witness.receive(), b"reset");
    let addresses = [&polite, &reset, &witness].map(|client| client.stream.local_addr().unwrap());
    SockRef::from(&reset.stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop((polite, reset));
    server.wait_for_descriptors(descriptor_count);
    let log = server.end();
    let expected = [
        "left peer=@ published=1 delivered=1 dropped=0",
        "left: cannot read from the client: Connection reset by peer (os error 104) peer=@ published=1 delivered=1 dropped=0",
        "left peer=@ published=1 delivered=3 dropped=0",
    ];
    for (address, expected) in addresses.iter().zip(expected) {
        let peer = format!("peer={address}");
        let told: Vec<_> = log.lines().filter(|line| line.contains(&peer)).collect();
        let [connected, left] = told[..] else {
            panic!("{told:?}");
        };
        assert!(connected.contains("connected"), "{connected}");
        assert!(
            left.contains(&expected.replace('@', &address.to_string())),
            "{left}"
        );
    }
}

/// Says enough that a client that does not read loses some of it.
fn talk(talker: &mut Client) {
    for _ in 0..200 {
        talker.send_raw(&[255; 256].repeat(100));
        for _ in 0..100 {
            assert_eq!(talker.receive(), [255; 255]);
        }
    }
}

#[test]
fn a_client_that_begins_to_lose_messages_is_warned_of_once_in_a_while() {
    let server = Server::start_with(&["--log-bytes", "100000", "--log", "debug"]);
    let mut slow = server.join(b"slow");
    let mut talker = server.join(b"talker");
    let address = slow.stream.local_addr().unwrap();
    for round in [&b"first"[..], b"second"] {
        talk(&mut talker);
        talker.send(round);
        assert_eq!(talker.receive(), round);
        // It finds out about its losses.
        while slow.receive() != round {}
    }
    drop(slow);
    let log = server.end();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let expected = format!("a client does not keep up and loses messages peer={address} lost=");
    let (_, lost) = warnings[0].split_once(&expected).unwrap();
    let left = log.lines().find(|line| line.contains("left peer="));
    let (_, dropped) = left.unwrap().split_once("dropped=").unwrap();
    let [lost, dropped] = [lost, dropped].map(|count| count.parse::<u64>().unwrap());
    assert!(lost > 0 && dropped > lost, "it lost more later: {log}");
}

#[test]
fn a_crowd_that_loses_messages_does_not_fill_the_log() {
    let server = Server::start_with(&["--log-bytes", "100000"]);
    let mut crowd: Vec<_> = (0..100_u8).map(|i| server.join(&[i])).collect();
    let mut talker = server.join(b"talker");
    let start = Instant::now();
    talk(&mut talker);
    talker.send(b"over");
    for client in &mut crowd {
        // It finds out about its losses.
        while client.receive() != b"over" {}
    }
    drop(crowd);
    let log = server.end();
    let periods = start.elapsed().as_secs() / 10 + 2;
    let count = log.matches("loses messages").count() as u64;
    assert!((1..=16 * periods).contains(&count), "{log}");
}

#[test]
fn the_losses_of_a_client_that_never_reads_are_told() {
    let mut server = Server::start_with(&["--log-bytes", "100000", "--log", "debug"]);
    let stalled = server.join(b"stalled");
    let address = stalled.stream.local_addr().unwrap();
    let mut talker = server.join(b"talker");
    let mut log = server.log_lines();
    talk(&mut talker);
    let warning = format!("a client does not keep up and loses messages peer={address} lost=");
    log.find(|line| line.contains(&warning)).expect("a warning");
    drop(stalled);
    let left = format!("peer={address} published=1 delivered=");
    let left = log.find(|line| line.contains(&left)).unwrap();
    let (_, dropped) = left.split_once("dropped=").unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 10_000, "{left}");
}

/// Runs the server on a terminal, in an environment of these variables and no other; returns what
/// it logs.
fn log_on_terminal(variables: &[(&str, &str)]) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let controller = openpt(flags).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let terminal = ioctl_tiocgptpeer(&controller, flags).unwrap();
    let mut command = chat_server();
    command
        .args(["127.0.0.1:0", "--log", "info"])
        .env_clear()
        .envs(variables.iter().copied())
        .stderr(Stdio::from(terminal));
    let server = Server::spawn_as_it_is(command);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
    let mut shown = Vec::new();
    // It ends with an error, since nobody has the terminal any more.
    let _ = File::from(controller).read_to_end(&mut shown);
    String::from_utf8(shown).unwrap()
}

#[test]
fn the_log_has_colours_on_a_terminal_that_wants_them() {
    let xterm = ("TERM", "xterm-256color");
    assert!(log_on_terminal(&[xterm]).contains("\x1b["));
    assert!(log_on_terminal(&[xterm, ("NO_COLOR", "")]).contains("\x1b["));
    for variables in [&[xterm, ("NO_COLOR", "1")][..], &[("TERM", "dumb")]] {
        let shown = log_on_terminal(variables);
        assert!(
            shown.contains("serving") && !shown.contains("\x1b["),
            "{shown}"
        );
    }
}
