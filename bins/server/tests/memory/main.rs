//! Memory: what the server and the system hold for many clients. Nothing else runs beside it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use chat_faults::{Crowd, Target, socket_memory};

/// One test at a time, since what the system holds is counted for all of them.
static ALONE: Mutex<()> = Mutex::new(());

fn start() -> Target {
    Target::start(Path::new(env!("CARGO_BIN_EXE_chat-server")), &[]).unwrap()
}

#[test]
fn a_broadcast_reaches_a_thousand_who_are_connected_at_once() {
    let _alone = ALONE.lock();
    let server = start();
    let descriptor_count = server.descriptor_count().unwrap();
    let before = server.rss_kib().unwrap();
    let crowd = Crowd::gather(server.addr(), 1000, None).unwrap();
    assert_eq!(crowd.settle().unwrap(), 0);
    assert_eq!(crowd.broadcast(999, b"is everybody there?").unwrap(), 0);
    let grown = server.rss_kib().unwrap().saturating_sub(before);
    assert!(grown < 1000 * CLIENT_KIB_MAX + SLACK_KIB, "{grown} KiB");
    drop(crowd);
    let open = server.wait_for_descriptors(descriptor_count).unwrap();
    assert_eq!(open, descriptor_count);
}

#[test]
fn a_flood_beside_500_who_never_read_stays_below_the_formula() {
    let _alone = ALONE.lock();
    let server = start();
    let before = (server.rss_kib().unwrap(), socket_memory());
    let crowd = Crowd::gather(server.addr(), SLEEPER_COUNT, Some(RECV_BUF_LEN)).unwrap();
    assert_eq!(crowd.settle().unwrap(), 0);
    // More than the log and all buffers hold.
    flood(&server, FLOOD_LEN);
    let grown = server.rss_peak_kib().unwrap().saturating_sub(before.0);
    let max = LOG_KIB + SLEEPER_COUNT as u64 * CLIENT_KIB_MAX + SLACK_KIB;
    println!("the server took {grown} KiB, and the formula allows {max}");
    assert!(
        grown < max,
        "the server took {grown} KiB, and the formula allows {max}"
    );
    if let (Some(before), Some(after)) = (before.1, socket_memory()) {
        let held = after.saturating_sub(before) / 1024;
        let max = SLEEPER_COUNT as u64 * SOCKETS_KIB_MAX + SLACK_KIB;
        println!("the system holds {held} KiB, and the formula allows {max}");
        assert!(
            held < max,
            "the system holds {held} KiB, and the formula allows {max}"
        );
        // A test of nothing otherwise: each has something waiting.
        assert!(
            held > SLEEPER_COUNT as u64 * 8,
            "the system holds {held} KiB"
        );
    }
}

/// Sends so many bytes of messages as one client, which reads them.
fn flood(server: &Target, len: usize) {
    let stream = TcpStream::connect(server.addr()).unwrap();
    let mut sending = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let burst = [255; 256].repeat(256);
            for _ in 0..len / burst.len() {
                sending.write_all(&burst).unwrap();
            }
            sending.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut buf = vec![0; 1 << 16];
        while (&stream).read(&mut buf).unwrap() > 0 {}
    });
}

const SLEEPER_COUNT: usize = 500;

/// How much those let their own system hold.
const RECV_BUF_LEN: usize = 4 << 10;

const FLOOD_LEN: usize = 64 << 20;

/// The log as it is unless the server is told otherwise, and a quarter for segments in use.
const LOG_KIB: u64 = (8 << 10) + (2 << 10);

/// How much the server holds for a client: its session, and an unfinished message.
const CLIENT_KIB_MAX: u64 = 4;

/// How much the system holds for a client that never reads, at both ends: 64 KiB that are not sent,
/// what is in the client's receive buffer, and its own bookkeeping. Measured: 96 KiB.
const SOCKETS_KIB_MAX: u64 = 128;

/// What is no client's: the buffers of threads, what allocators keep, the one that floods.
const SLACK_KIB: u64 = 8 << 10;
