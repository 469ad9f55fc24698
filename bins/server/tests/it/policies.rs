use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::util::{Client, DEADLINE, Server};

/// Enough messages of 256 bytes to fill every buffer between the server and a client that does not
/// read, and the log.
const COUNT: u32 = 100_000;

/// How many messages are sent before their echo is awaited: far fewer than the log holds, so that
/// who sends them keeps up.
const WINDOW: u32 = 1000;

const LOG: [&str; 2] = ["--log-bytes", "1000000"];

/// Sends [`COUNT`] numbered messages and checks that all come back.
fn flood(server: &Server) {
    let mut client = server.join(b"flood");
    for first in (0..COUNT).step_by(WINDOW as usize) {
        let wire: Vec<u8> = (first..first + WINDOW).flat_map(message).collect();
        client.send_raw(&wire);
        for expected in first..first + WINDOW {
            assert_eq!(number(&client.receive()), Some(expected));
        }
    }
}

/// Receives until a message that is no number arrives or the connection is cut; returns how many
/// numbers came, from 0 on without a gap.
fn receive_in_order(client: &mut Client) -> u32 {
    let mut count = 0;
    while let Some(number) = client.receive_until_cut().as_deref().and_then(number) {
        assert_eq!(number, count, "a gap");
        count += 1;
    }
    count
}

fn number(body: &[u8]) -> Option<u32> {
    (body.len() == 255).then(|| u32::from_le_bytes([body[0], body[1], body[2], body[3]]))
}

fn message(number: u32) -> [u8; 256] {
    let mut message = [255; 256];
    message[1..5].copy_from_slice(&number.to_le_bytes());
    message
}

fn start(policy: &str, args: &[&str]) -> Server {
    Server::start_with(&[&["--drop-policy", policy], &LOG[..], args].concat())
}

#[test]
fn by_every_policy_a_client_that_keeps_up_loses_nothing_beside_one_that_never_reads() {
    for policy in ["oldest", "newest", "disconnect", "block"] {
        let server = start(policy, &["--stall-timeout", "1"]);
        let _stalled = server.join(b"stalled");
        flood(&server);
    }
}

#[test]
fn newest_gives_a_laggard_what_was_there_for_it_and_then_what_is_new() {
    let server = start("newest", &[]);
    let mut laggard = server.join(b"laggard");
    flood(&server);
    while laggard.receive() != b"flood" {}
    let (count, next) = thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        let mut prober = server.connect();
        scope.spawn(move || {
            // What is sent while it still reads its window passes it by.
            while stopped.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                prober.send(b"new");
            }
        });
        let mut count = 0;
        let next = loop {
            let body = laggard.receive();
            if number(&body) != Some(count) {
                break body;
            }
            count += 1;
        };
        drop(stop);
        (count, next)
    });
    assert!(
        (1900..COUNT).contains(&count),
        "{count} messages were there for it"
    );
    assert_eq!(
        next, b"new",
        "behind the window it goes on at the end of the log"
    );
}

#[test]
fn disconnect_closes_a_laggard_and_logs_why() {
    let server = start("disconnect", &["--log", "info"]);
    let before = server.descriptor_count();
    let mut laggard = server.join(b"laggard");
    flood(&server);
    server.wait_for_descriptors(before);
    assert_eq!(
        laggard.unsent_len(),
        None,
        "the system holds nothing for it"
    );
    while laggard.receive() != b"flood" {}
    let count = receive_in_order(&mut laggard);
    assert!(count < COUNT, "it cannot have received everything");
    let log = server.end();
    assert!(
        log.contains("closed: the client did not keep up, and the policy is to disconnect"),
        "{log}"
    );
    assert!(log.contains("disconnected=1"), "{log}");
}

#[test]
fn block_makes_everybody_wait_for_a_slow_reader_which_loses_nothing() {
    let server = start("block", &[]);
    let mut slow = server.join(b"slow");
    thread::scope(|scope| {
        scope.spawn(|| flood(&server));
        while slow.receive() != b"flood" {}
        for expected in 0..COUNT {
            assert_eq!(number(&slow.receive()), Some(expected));
            if expected % 10_000 == 0 {
                // Slower than the sender, on any machine.
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
}

#[test]
fn a_client_that_takes_nothing_is_closed_after_the_stall_timeout_and_an_idle_one_is_not() {
    let server = start("oldest", &["--stall-timeout", "1", "--log", "info"]);
    let before = server.descriptor_count();
    let start = Instant::now();
    let stalled = server.join(b"stalled");
    flood(&server);
    let mut idle = server.join(b"idle");
    server.wait_for_descriptors(before + 1);
    assert!(
        start.elapsed() > Duration::from_secs(1) && start.elapsed() < DEADLINE,
        "closed after {:?}",
        start.elapsed()
    );
    drop(stalled);
    idle.send(b"still here");
    assert_eq!(idle.receive(), b"still here");
    let log = server.end();
    assert_eq!(
        log.matches("closed: the client took nothing for 1s")
            .count(),
        1,
        "{log}"
    );
    assert!(log.contains("disconnected=1"), "{log}");
}

#[test]
fn block_has_a_stall_timeout_by_itself() {
    let server = start("block", &[]);
    let _stalled = server.join(b"stalled");
    let start = Instant::now();
    flood(&server);
    assert!(
        start.elapsed() > Duration::from_secs(30),
        "it took {:?}",
        start.elapsed()
    );
}

/// Joins a client for which the system holds little: with a large buffer, it would not tell the server
/// for seconds that the client has read.
fn join_slow(server: &Server) -> TcpStream {
    let slow = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    slow.set_recv_buffer_size(4096).unwrap();
    slow.connect(&server.address.into()).unwrap();
    let mut slow = TcpStream::from(slow);
    slow.set_read_timeout(Some(DEADLINE)).unwrap();
    slow.write_all(b"\x04slow").unwrap();
    slow.read_exact(&mut [0; 5]).unwrap();
    slow
}

#[test]
fn under_block_a_client_that_takes_less_than_the_rate_is_closed() {
    let limits = ["--stall-timeout", "2", "--min-drain-rate", "100KiB"];
    let server = start("block", &[&limits[..], &["--log", "info"]].concat());
    let slow = join_slow(&server);
    thread::scope(|scope| {
        scope.spawn(|| {
            // It takes a few bytes all the time, which would keep it connected for ever.
            while (&slow).read_exact(&mut [0; 500]).is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        flood(&server);
        let _ = slow.shutdown(Shutdown::Both);
    });
    let log = server.end();
    assert_eq!(
        log.matches("closed: the client took less than 102400 bytes per second")
            .count(),
        1,
        "{log}"
    );
}

#[test]
fn a_client_that_takes_little_but_steadily_is_not_closed() {
    let server = start("block", &["--stall-timeout", "2", "--log", "info"]);
    let mut slow = join_slow(&server);
    let sender = server.join(b"sender");
    thread::scope(|scope| {
        // It reads nothing, until its connection is closed. All that it has sent is more than the
        // other can read meanwhile.
        scope.spawn(|| while (&sender.stream).write_all(&message(0)).is_ok() {});
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(6) {
            slow.read_exact(&mut [0; 2000]).expect("it is still served");
            thread::sleep(Duration::from_millis(50));
        }
    });
    let log = server.end();
    let (served, _) = log.split_once("ending").unwrap();
    assert_eq!(
        served.matches("closed: the client took nothing").count(),
        1,
        "the sender takes nothing, but no other: {log}"
    );
}
