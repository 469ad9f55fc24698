use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use chat_proto::Messages;
use rustix::process::Signal;

use crate::run::{Running, is_running, stresstest};

/// A null broadcaster that ends with the test.
struct Null {
    child: Child,
    addr: SocketAddr,
}

impl Null {
    fn start() -> Self {
        let mut child = stresstest()
            .args(["null-broadcaster", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addr = line
            .strip_prefix("listening on ")
            .and_then(|addr| addr.trim_end().parse().ok());
        Self {
            child,
            addr: addr.expect("the ready line names the address"),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Waits until the client has joined. Others say the same when they do.
fn join(mut stream: &TcpStream) {
    stream.write_all(b"\x05hello").unwrap();
    let mut echo = [0; 6];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"\x05hello");
}

#[track_caller]
fn check_proof(options: &[&str], told: &str) {
    let mut command = stresstest();
    command
        .args(["-a", "127.0.0.1:0"])
        .args(options)
        .arg(env!("CARGO_BIN_EXE_stresstest"))
        .args(["--", "null-broadcaster"]);
    let run = Running::start_command(&mut command).wait();
    run.check(0, &[]);
    assert_eq!(run.stdout.matches(told).count(), 2, "{}", run.stdout);
}

#[test]
fn the_proof_passes_on_it() {
    check_proof(
        &["-m", "50", "-r", "2"],
        "successfully received 300 messages out of 300 sent (= drop rate of 0)",
    );
}

#[test]
fn the_proof_passes_on_it_with_many_clients() {
    check_proof(
        &["-p", "20", "-s", "10", "-m", "20", "-r", "2"],
        "successfully received 4000 messages out of 4000 sent (= drop rate of 0)",
    );
}

#[test]
fn a_half_closed_client_gets_everything_up_to_its_last_message() {
    let null = Null::start();
    let mut client = null.connect();
    // The last message is unfinished: it is nobody's.
    client.write_all(b"\x02hi\0\x03you\x09and").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"\x02hi\0\x03you");
}

#[test]
fn a_client_that_reads_late_gets_whole_messages_and_costs_others_nothing() {
    let null = Null::start();
    let (mut late, mut client) = (null.connect(), null.connect());
    join(&late);
    // Much more than sockets take, in messages of all lengths.
    let messages: Vec<u8> = (0..=255)
        .cycle()
        .take(1 << 16)
        .flat_map(|len: u8| std::iter::once(len).chain((0..len).rev()))
        .collect();
    let sent = messages.clone();
    let mut sender = client.try_clone().unwrap();
    let sending = thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    sending.join().unwrap();
    assert!(
        received.ends_with(&messages),
        "{} of {}",
        received.len(),
        messages.len()
    );
    late.shutdown(Shutdown::Write).unwrap();
    received.clear();
    late.read_to_end(&mut received).unwrap();
    let (whole, rest) = Messages::split(&received);
    assert!(
        rest.is_empty() && whole.count() == 1 << 16,
        "{} messages and {} bytes",
        whole.count(),
        rest.len()
    );
}

#[test]
fn a_client_that_vanishes_leaves_no_socket_behind() {
    let null = Null::start();
    let files = format!("/proc/{}/fd", null.child.id());
    let count = || std::fs::read_dir(&files).unwrap().count();
    let before = count();
    for _ in 0..10 {
        let clients: Vec<_> = (0..10).map(|_| null.connect()).collect();
        clients.iter().for_each(join);
        clients
            .iter()
            .for_each(|mut client| client.write_all(b"\x05hel").unwrap());
    }
    for _ in 0..DEADLINE.as_millis() {
        if count() == before {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("{} sockets are left", count() - before);
}

#[test]
fn it_ends_with_a_load_tester_that_is_killed() {
    let running = Running::start("honest", &["--calibrate", "--duration", "60s"]);
    let null = running.wait_for_child();
    running.signal(Signal::KILL);
    let run = running.wait();
    assert_eq!(run.code, None);
    for _ in 0..DEADLINE.as_millis() {
        if !is_running(&null) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("{null} still runs");
}

#[test]
fn without_an_address_it_ends() {
    for args in [
        &["null-broadcaster"][..],
        &["null-broadcaster", "everywhere"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stresstest"))
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "usage: stresstest null-broadcaster ADDRESS\n"
        );
    }
}

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);
