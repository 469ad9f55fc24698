use std::io::{Read, Write, pipe};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Child;
use std::thread;
use std::time::Duration;

use chat_faults::{Schedule, Target, judge, run};
use socket2::SockRef;

use crate::util::{Client, assert_given_back, spawn, start, start_limited};

/// How much more memory may be resident after many rounds of a fault than after the first few: what
/// allocators keep. A judgement; a leak of a kilobyte for each client would be more.
const GROWTH_KIB_MAX: u64 = 2048;

/// Does something again and again; afterwards, descriptors and memory must be what they were when
/// it had been done a few times.
#[track_caller]
fn check_given_back(server: &Target, mut fault: impl FnMut()) {
    let descriptor_count = server.descriptor_count().unwrap();
    let mut round = || {
        fault();
        assert_given_back(server, descriptor_count);
        server.rss_kib().unwrap()
    };
    let early = (0..4).map(|_| round()).max().unwrap_or(0);
    let late = (0..8).map(|_| round()).last().unwrap_or(0);
    assert!(
        late < early + GROWTH_KIB_MAX,
        "{late} KiB after {early} KiB"
    );
}

#[test]
fn a_flood_of_connections_is_given_back() {
    let server = start(&[]);
    let mut witness = Client::join(server.addr(), b"witness");
    check_given_back(&server, || {
        let clients = (0..300).map(|_| TcpStream::connect(server.addr()).unwrap());
        let clients: Vec<TcpStream> = clients.collect();
        for (number, client) in clients.iter().enumerate() {
            if number % 2 == 0 {
                SockRef::from(client)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
        }
        drop(clients);
        assert!(witness.echo(b"still here").is_empty());
    });
}

#[test]
fn descriptors_that_ran_out_are_given_back() {
    let server = start_limited("ulimit -n 64");
    let mut witness = Client::join(server.addr(), b"witness");
    check_given_back(&server, || {
        let clients = (0..200).map(|_| TcpStream::connect(server.addr()).unwrap());
        drop(clients.collect::<Vec<_>>());
        assert!(witness.echo(b"still here").is_empty());
    });
}

#[test]
fn clients_that_never_read_and_are_gone_are_given_back() {
    let server = start(&["--log-bytes=262144"]);
    let mut talker = Client::join(server.addr(), b"talker");
    check_given_back(&server, || {
        let join = |_| Client::join(server.addr(), b"joined");
        let sleepers: Vec<Client> = (0..20).map(join).collect();
        for _ in 0..2000 {
            talker.echo(&[b'x'; 255]);
        }
        drop(sleepers);
    });
}

#[test]
fn a_flood_of_empty_messages_arrives_as_it_is() {
    let server = start(&["--drop-policy=block"]);
    let mut witness = Client::join(server.addr(), b"witness");
    let sender = TcpStream::connect(server.addr()).unwrap();
    let count = 300_000;
    let reading = sender.try_clone().unwrap();
    let writer = thread::spawn(move || {
        (&sender).write_all(&vec![0; count]).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let reader = thread::spawn(move || {
        let mut echoed = Vec::new();
        (&reading).read_to_end(&mut echoed).unwrap();
        echoed
    });
    for _ in 0..count {
        assert_eq!(witness.receive(), b"");
    }
    writer.join().unwrap();
    assert_eq!(reader.join().unwrap(), vec![0; count]);
    assert!(witness.echo(b"still here").is_empty());
}

/// A server whose log goes to a pipe that nobody reads.
struct Unread {
    child: Child,
    addr: SocketAddr,
}

impl Unread {
    fn start() -> (Self, std::io::PipeReader) {
        let (unread, stderr) = pipe().unwrap();
        let (child, addr) = spawn(&["--log=trace", "--drop-policy=block"], stderr);
        (Self { child, addr }, unread)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_that_is_full_changes_nothing_of_the_chat() {
    let (server, unread) = Unread::start();
    // Enough lines to fill any pipe.
    for _ in 0..2000 {
        drop(TcpStream::connect(server.addr).unwrap());
    }
    for seed in 0..4 {
        let mut schedule = Schedule::draw(seed);
        (schedule.event, schedule.may_disconnect) = (None, false);
        // What those of the room before sent may come late.
        schedule.is_shared = true;
        // Under another policy, some may sleep for ever.
        schedule.is_lossless = schedule.server_args[0].ends_with("block");
        let reports = run(&schedule, server.addr, || {});
        let _ = judge(&schedule, &reports).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
    }
    drop(unread);
}
