use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::Value;

use crate::util::{DEADLINE, Server, chat_server, run, wait_for_exit};

/// Starts a server with an admin socket that is named after the test.
fn start(name: &str) -> (Server, PathBuf) {
    let path = std::env::temp_dir().join(format!("chat-{}-{name}", std::process::id()));
    let server = Server::start_with(&["--admin", path.to_str().unwrap()]);
    (server, path)
}

/// A connection to the socket.
struct Admin {
    output: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Admin {
    fn connect(path: &PathBuf) -> Self {
        let output = UnixStream::connect(path).unwrap();
        output.set_read_timeout(Some(DEADLINE)).unwrap();
        let lines = BufReader::new(output.try_clone().unwrap());
        Self { output, lines }
    }

    /// Sends a command; returns the lines of the answer, the last one apart.
    fn ask(&mut self, command: &str) -> (Vec<Value>, Value) {
        writeln!(self.output, "{command}").unwrap();
        let mut rows = Vec::new();
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get("ok").or(value.get("error")).is_some() {
                return (rows, value);
            }
            rows.push(value);
        }
    }
}

#[test]
fn a_client_is_found_and_closed_by_number_or_address() {
    let (server, path) = start("close");
    let mut admin = Admin::connect(&path);
    let mut one = server.join(b"hello");
    let mut two = server.join(b"hi");
    assert_eq!(one.receive(), b"hi");
    let address = one.stream.local_addr().unwrap().to_string();
    // What was delivered is known from the client's next turn on.
    let is_known = |row: &Value| row["published"] == 1 && row["delivered"] == 2;
    let row = loop {
        let (rows, last) = admin.ask("clients");
        assert_eq!((rows.len(), &last["clients"]), (2, &2.into()));
        let mut rows = rows.into_iter();
        let row = rows.find(|row| row["address"] == address).unwrap();
        if is_known(&row) {
            break row;
        }
    };
    assert_eq!((&row["lag"], &row["dropped"]), (&0.into(), &0.into()));

    let (_, closed) = admin.ask(&format!("close {address}"));
    assert_eq!(closed["closed"], 1);
    assert_eq!(one.try_receive(), None);
    two.send(b"still here");
    assert_eq!(two.receive(), b"still here");
    while admin.ask("clients").1["clients"] != 1 {}
    let (rows, _) = admin.ask("clients");
    let (_, closed) = admin.ask(&format!("close {}", rows[0]["id"]));
    assert_eq!(closed["closed"], 1);
    assert_eq!(two.try_receive(), None);
    while admin.ask("state").1["state"]["ended"]["closed"] != 2 {}
    for unknown in [
        "close 99",
        &format!("close {address}"),
        "close me",
        "close",
        "quit",
    ] {
        assert!(admin.ask(unknown).1["error"].is_string(), "{unknown}");
    }
}

#[test]
fn a_client_that_takes_nothing_can_be_closed() {
    let (server, path) = start("stalled");
    let silent = server.join(b"I do not read");
    let address = silent.stream.local_addr().unwrap().to_string();
    let mut sender = server.connect();
    let mut stream = sender.stream.try_clone().unwrap();
    let count = 100_000;
    let sending = std::thread::spawn(move || {
        let message = [[255].as_slice(), &[b'x'; 255]].concat();
        (0..count).for_each(|_| stream.write_all(&message).unwrap());
    });
    (0..count).for_each(|_| drop(sender.receive()));
    sending.join().unwrap();
    let mut admin = Admin::connect(&path);
    let (rows, _) = admin.ask("clients");
    let worst = rows.iter().max_by_key(|row| row["lag"].as_u64()).unwrap();
    assert_eq!(worst["address"], address);
    assert_eq!(worst["is_stalled"], true);
    let mut top = chat_server();
    let top = run(top.args(["top", "--once", "--admin"]).arg(&path), b"");
    let table = String::from_utf8(top.stdout).unwrap();
    let first = table
        .lines()
        .find(|line| line.contains("127.0.0.1:"))
        .unwrap();
    assert!(
        first.contains(&address) && first.contains("stalled"),
        "{table}"
    );
    assert!(top.status.success() && !table.contains('\x1b'), "{table}");

    assert_eq!(admin.ask(&format!("close {address}")).1["closed"], 1);
    while admin.ask("clients").1["clients"] != 1 {}
}

#[test]
fn the_table_leaves_the_terminal_as_it_was() {
    let (server, path) = start("top");
    let _client = server.join(b"hello");
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let terminal = ioctl_tiocgptpeer(&screen, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    let mut top = chat_server();
    top.args(["top", "--interval", "100ms", "--admin"])
        .arg(&path);
    let mut top = top.stdout(terminal).spawn().unwrap();
    let mut screen = File::from(screen);
    let (mut shown, mut buf) = (String::new(), [0; 4096]);
    // It is drawn again and again.
    while shown.matches("LAG BYTES").count() < 2 {
        let len = screen.read(&mut buf).unwrap();
        shown += std::str::from_utf8(&buf[..len]).unwrap();
    }
    kill_process(Pid::from_child(&top), Signal::INT).unwrap();
    assert!(wait_for_exit(&mut top).success());
    while let Ok(len) = screen.read(&mut buf)
        && len > 0
    {
        shown += std::str::from_utf8(&buf[..len]).unwrap();
        if shown.ends_with("l") && shown.contains("\x1b[?25h") {
            break;
        }
    }
    assert!(shown.starts_with("\x1b[?1049h\x1b[?25l"), "{shown:?}");
    assert!(shown.contains("1 clients, 0 do not keep up"), "{shown:?}");
    assert!(shown.ends_with("\x1b[?25h\x1b[?1049l"), "{shown:?}");
}

#[test]
fn the_socket_is_for_its_user_alone_and_is_gone_at_the_end() {
    let (server, path) = start("mode");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = run(
        chat_server().arg("127.0.0.1:0").arg("--admin").arg(&path),
        b"",
    );
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains("another program listens there"), "{told}");
    assert_eq!(second.status.code(), Some(1));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(!path.exists());

    // Where a server did not end well, its socket is left. One that starts takes it over.
    drop(UnixListener::bind(&path).unwrap());
    let (server, path) = start("mode");
    assert_eq!(Admin::connect(&path).ask("state").1["state"]["clients"], 0);
    drop(server);
    fs::remove_file(&path).unwrap();

    fs::write(&path, "precious").unwrap();
    let third = run(
        chat_server().arg("127.0.0.1:0").arg("--admin").arg(&path),
        b"",
    );
    assert_eq!(third.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
}

#[test]
fn connections_that_are_silent_keep_nobody_out() {
    let (_server, path) = start("silent");
    let mut admins: Vec<_> = (0..8).map(|_| Admin::connect(&path)).collect();
    for admin in &mut admins {
        admin.ask("state");
    }
    // The first one speaks again, so it is the second that has been silent for longest.
    admins[0].ask("state");
    assert_eq!(Admin::connect(&path).ask("state").1["ok"], "state");
    let mut line = String::new();
    let closed = admins[1].lines.read_line(&mut line);
    assert_eq!((closed.unwrap(), &line[..]), (0, ""));
    admins.remove(1);
    for admin in &mut admins {
        assert_eq!(admin.ask("state").1["ok"], "state");
    }
}

#[test]
fn a_line_that_is_too_long_ends_the_connection() {
    let (mut server, path) = start("long");
    let mut admin = Admin::connect(&path);
    let (_, last) = admin.ask(&"x".repeat(10_000));
    assert_eq!(last["error"], "the line is too long");
    let mut rest = Vec::new();
    // What was not read may reset it.
    let _ = admin.lines.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    server.assert_serves();
}
