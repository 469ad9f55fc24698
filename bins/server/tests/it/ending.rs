use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::util::{Client, Server};

/// Longer than any test waits.
const LONG: [&str; 2] = ["--drain-timeout", "600"];

#[test]
fn clients_that_have_everything_and_stay_do_not_hold_the_server_up() {
    let server = Server::start_with(&LONG);
    let _clients: Vec<_> = (0..20_u8).map(|i| server.join(&[i])).collect();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn clients_that_have_everything_and_go_on_sending_are_left_early() {
    let server = Server::start_with(&["--drain-timeout", "40", "--log", "info"]);
    let mut client = server.join(b"I go on");
    thread::scope(|scope| {
        // From the end on nobody is there any more.
        scope.spawn(|| {
            while client.stream.write(b"\x02on").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let log = server.end();
        assert!(log.contains("1 client took nothing for 10s"), "{log}");
        assert!(!log.contains("did not take everything"), "{log}");
    });
}

#[test]
fn two_signals_at_the_same_moment_are_one() {
    for signals in [[Signal::TERM, Signal::INT], [Signal::INT, Signal::TERM]] {
        let server = Server::start();
        let _clients: Vec<_> = (0..20_u8).map(|i| server.join(&[i])).collect();
        server.signal_at_once(&signals);
        assert_eq!(server.wait().0.code(), Some(0), "{signals:?}");
    }
}

#[test]
fn a_server_that_ends_still_answers_signals() {
    let args = [&LONG[..], &["--log", "info"]].concat();
    let mut server = Server::start_with(&args);
    let mut log = server.log_lines();
    let mut told = move |part: &str| {
        let line = log.find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("it is not logged that {part:?}"))
    };
    let mut slow = join_with_small_buffer(&server);
    let mut sender = server.join(b"sender");
    say(&mut sender, COUNT);
    server.signal(Signal::TERM);
    told("ending");
    server.signal(Signal::HUP);
    told("the configuration stays as it was: the server is ending");
    server.signal(Signal::USR1);
    told("somebody asked for the state");
    assert!(!slow.receive_all().is_empty());
    drop((slow, sender));
    assert_eq!(server.wait().0.code(), Some(0));
}

/// Connects a client whose system takes little for it.
pub(crate) fn join_with_small_buffer(server: &Server) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut client = Client::of(TcpStream::from(socket));
    client.send(b"small");
    while client.receive() != b"small" {}
    client
}

/// How many of the longest messages a socket takes, so that the server has nothing more to write.
const COUNT: usize = 100;

/// Has a client send the longest messages, each when the one before has come back.
pub(crate) fn say(sender: &mut Client, count: usize) {
    for _ in 0..count {
        sender.send(&[b'x'; 255]);
        while sender.receive() != [b'x'; 255] {}
    }
}

#[test]
fn a_client_that_speaks_late_does_not_lose_what_is_on_its_way() {
    let server = Server::start_with(&LONG);
    let mut slow = join_with_small_buffer(&server);
    let mut sender = server.join(b"sender");
    say(&mut sender, COUNT);
    server.signal(Signal::TERM);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| server.wait());
        // Far longer than the server waits for a client that has been sent everything.
        thread::sleep(Duration::from_secs(2));
        slow.send(b"too late");
        let received = slow.receive_all();
        let whole = received.iter().filter(|body| body.len() == 255).count();
        assert_eq!(whole, COUNT, "it kept up, and loses nothing");
        assert_eq!(waiting.join().unwrap().0.code(), Some(0));
    });
}

#[test]
fn the_stall_timeout_does_not_cut_a_client_that_still_takes_what_was_sent() {
    let args = [&LONG[..], &["--stall-timeout", "1"]].concat();
    let server = Server::start_with(&args);
    let mut slow = join_with_small_buffer(&server);
    let mut sender = server.join(b"sender");
    say(&mut sender, COUNT);
    server.signal(Signal::TERM);
    // Longer than the timeout, a little at a time.
    let mut whole = 0;
    while let Some(body) = slow.try_receive() {
        whole += usize::from(body.len() == 255);
        thread::sleep(Duration::from_millis(30));
    }
    assert_eq!(whole, COUNT);
    drop((slow, sender));
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn clients_that_take_nothing_are_left_early_and_that_is_told() {
    let args = ["--drain-timeout", "40", "--log", "debug"];
    let server = Server::start_with(&args);
    let stalled = join_with_small_buffer(&server);
    let mut sender = server.join(b"sender");
    say(&mut sender, 2000);
    drop(sender);
    let log = server.end();
    let address = stalled.stream.local_addr().unwrap();
    let told = log.lines().find(|line| line.contains("cut off:"));
    let told = told.unwrap_or_else(|| panic!("{log}"));
    assert!(
        told.contains(&format!("peer={address} published=1 delivered=")),
        "{told}"
    );
    assert!(log.contains("1 client took nothing for 10s"), "{log}");
    assert!(!log.contains("did not take everything"), "{log}");
}
