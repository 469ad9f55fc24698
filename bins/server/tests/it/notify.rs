use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::util::{DEADLINE, Server, chat_server};

/// The end of a service manager: a socket that a server tells how it is.
struct Manager {
    socket: UnixDatagram,
    /// As the variable has it.
    name: String,
}

impl Manager {
    fn at_path(name: &str) -> Self {
        // The path of a socket is short.
        let path = std::env::temp_dir().join(format!("chat-{name}-{}", process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::of(socket, path.to_str().unwrap())
    }

    fn abstract_of(name: &str) -> Self {
        let name = format!("chat-{name}-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Self::of(socket, &format!("@{name}"))
    }

    fn of(socket: UnixDatagram, name: &str) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let name = name.to_owned();
        Self { socket, name }
    }

    /// Starts a server under this manager.
    fn start(&self, vars: &[(&str, &str)]) -> Server {
        let mut command = chat_server();
        command.arg("127.0.0.1:0").env("NOTIFY_SOCKET", &self.name);
        command.envs(vars.iter().copied());
        Server::spawn(command)
    }

    /// Returns the lines of the next message.
    fn next(&self) -> Vec<String> {
        let mut buf = [0; 4096];
        let len = self.socket.recv(&mut buf).expect("the server tells more");
        let text = std::str::from_utf8(&buf[..len]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for a message with a line; returns all of its lines.
    fn wait_for(&self, line: &str) -> Vec<String> {
        std::iter::repeat_with(|| self.next())
            .find(|lines| lines.iter().any(|told| told == line))
            .expect("it is repeated for ever")
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.name);
    }
}

/// Returns what follows a name and `=` in one of the lines, as a number.
#[track_caller]
fn number(lines: &[String], name: &str) -> u64 {
    let value = lines.iter().find_map(|line| line.strip_prefix(name));
    value.unwrap().strip_prefix('=').unwrap().parse().unwrap()
}

#[test]
fn the_manager_is_told_each_stage() {
    let manager = Manager::at_path("stages");
    let server = manager.start(&[]);
    assert_eq!(manager.next(), ["READY=1"]);
    assert_eq!(manager.next(), ["STATUS=0 clients"]);

    let before = clock_gettime(ClockId::Monotonic);
    server.signal(Signal::HUP);
    let lines = manager.wait_for("RELOADING=1");
    let before = u64::try_from(before.tv_sec * 1_000_000 + before.tv_nsec / 1000).unwrap();
    let micros = number(&lines, "MONOTONIC_USEC");
    assert!((before..before + 3_600_000_000).contains(&micros));
    assert_eq!(manager.next(), ["READY=1"]);

    server.signal(Signal::TERM);
    let lines = manager.wait_for("STOPPING=1");
    assert_eq!(lines[1], "STATUS=ending");
    assert!(number(&lines, "EXTEND_TIMEOUT_USEC") > 5_000_000);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn clients_can_connect_when_the_manager_is_told_so() {
    let manager = Manager::abstract_of("ready");
    let server = manager.start(&[]);
    manager.wait_for("READY=1");
    server.join(b"hello");
}

#[test]
fn a_watchdog_is_told_that_all_take_turns_and_how_many_clients_there_are() {
    let manager = Manager::abstract_of("watchdog");
    let server = manager.start(&[("WATCHDOG_USEC", "20000")]);
    let client = server.join(b"hello");
    while manager.wait_for("STATUS=1 client")[0] != "WATCHDOG=1" {}
    drop(client);
    while manager.wait_for("STATUS=0 clients")[0] != "WATCHDOG=1" {}
}

#[test]
fn a_watchdog_of_another_process_is_told_nothing() {
    let manager = Manager::abstract_of("other");
    let server = manager.start(&[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    (0..50).for_each(|_| drop(server.join(b"hello")));
    server.signal(Signal::TERM);
    let mut lines = Vec::new();
    while !lines.contains(&"STOPPING=1".to_owned()) {
        lines.extend(manager.next());
    }
    assert!(!lines.contains(&"WATCHDOG=1".to_owned()), "{lines:?}");
}

#[test]
fn a_manager_that_is_not_there_stops_nobody() {
    let mut command = chat_server();
    command
        .arg("127.0.0.1:0")
        .env("NOTIFY_SOCKET", "/nobody/is/here");
    let server = Server::spawn(command);
    server.join(b"hello");
    let log = server.end();
    assert!(log.contains("cannot reach the service manager"), "{log}");
}

#[test]
fn a_manager_that_takes_nothing_stops_nobody() {
    let manager = Manager::abstract_of("deaf");
    let server = manager.start(&[("WATCHDOG_USEC", "10")]);
    manager.wait_for("READY=1");
    // Its queue is full at once, and nobody reads it any more.
    (0..50).for_each(|_| drop(server.join(b"hello")));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
}
