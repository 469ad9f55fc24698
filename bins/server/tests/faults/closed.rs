use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use chat_proto::Messages;
use socket2::{Domain, Socket, Type};

use crate::util::{DEADLINE, Logged, message};

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// By the end of the stream, so many bytes inside a message.
    Inside(usize),
    Reset,
}

/// Connects a client with a small receive buffer, and waits for its own echo.
fn join_small(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&addr.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&message(b"small")).unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    stream
}

/// Reads to the end, `len` bytes at a time with a pause after each; returns how that was.
fn read_to_end(mut stream: &TcpStream, len: usize, pause: Duration) -> (Vec<u8>, Ended) {
    let mut received = Vec::new();
    let mut buf = vec![0; len];
    let is_reset = loop {
        match stream.read(&mut buf) {
            Ok(0) => break false,
            Ok(len) => received.extend_from_slice(&buf[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
            Err(error) => panic!("{error}"),
        }
        thread::sleep(pause);
    };
    let rest_len = Messages::split(&received).1.len();
    let ended = match is_reset {
        true => Ended::Reset,
        false => Ended::Inside(rest_len),
    };
    (received, ended)
}

/// Sends messages of a length that no buffer is a multiple of, as one client that keeps up however
/// busy the machine is: there are never more on their way than the log has room for.
fn flood(addr: SocketAddr, count: usize) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let burst = message(&[b'x'; 250]).repeat(100);
    let mut received = vec![0; burst.len()];
    for _ in 0..count / 100 {
        stream.write_all(&burst).unwrap();
        stream.read_exact(&mut received).unwrap();
        assert_eq!(received, burst);
    }
}

#[test]
fn a_laggard_that_reads_gets_whole_messages_and_the_end() {
    let server = Logged::start(&["--drop-policy=disconnect", "--log-bytes=64KiB"]);
    let slow = join_small(server.addr);
    let reading = thread::spawn(move || read_to_end(&slow, 4096, Duration::from_millis(20)));
    flood(server.addr, 40_000);
    let (received, ended) = reading.join().unwrap();
    assert!(received.len() < 40_000 * 251, "it lags");
    assert_eq!(ended, Ended::Inside(0));
    let log = server.end();
    assert!(log.contains("closed: the client did not keep up"), "{log}");
}

#[test]
fn one_that_is_too_slow_gets_whole_messages_and_the_end() {
    let args = ["--stall-timeout=1s", "--min-drain-rate=1GiB"];
    let server = Logged::start(&args);
    let slow = join_small(server.addr);
    let reading = thread::spawn(move || read_to_end(&slow, 2048, Duration::from_millis(10)));
    flood(server.addr, 20_000);
    let (_, ended) = reading.join().unwrap();
    assert_eq!(ended, Ended::Inside(0));
    let log = server.end();
    assert!(log.contains("closed: the client took less than"), "{log}");
}

#[test]
fn one_that_takes_nothing_is_reset_and_the_system_forgets_it() {
    for policy in [
        &["--drop-policy=disconnect", "--log-bytes=64KiB"],
        &["--stall-timeout=1s", "--log-bytes=64KiB"],
    ] {
        let server = Logged::start(policy);
        let before = server.descriptor_count();
        let asleep = join_small(server.addr);
        flood(server.addr, 4000);
        server.wait_for_descriptors(before);
        let (_, ended) = read_to_end(&asleep, 4096, Duration::ZERO);
        assert_eq!(ended, Ended::Reset);
        let log = server.end();
        assert_eq!(log.matches("closed: ").count(), 1, "{log}");
    }
}

#[test]
fn one_that_half_closed_and_takes_nothing_is_closed() {
    let server = Logged::start(&["--half-closed-timeout=2s"]);
    let before = server.descriptor_count();
    let half_closed: Vec<_> = (0..200).map(|_| join_small(server.addr)).collect();
    // One that takes nothing and has not ended its side may do so for ever.
    let asleep = join_small(server.addr);
    flood(server.addr, 4000);
    for stream in &half_closed {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    server.wait_for_descriptors(before + 1);
    for stream in &half_closed {
        let (_, ended) = read_to_end(stream, 4096, Duration::ZERO);
        assert_eq!(ended, Ended::Reset);
    }
    (&asleep).write_all(&message(b"awake")).unwrap();
    asleep.shutdown(Shutdown::Write).unwrap();
    let (received, ended) = read_to_end(&asleep, 4096, Duration::ZERO);
    assert!(received.ends_with(&message(b"awake")));
    assert_eq!(ended, Ended::Inside(0));
    let log = server.end();
    let closed = "closed: the client ended its side and took nothing for 2s";
    assert_eq!(log.matches(closed).count(), 200, "{log}");
}

#[test]
fn a_slow_reader_that_half_closed_gets_everything() {
    let server = Logged::start(&["--half-closed-timeout=2s", "--drop-policy=block"]);
    let slow = join_small(server.addr);
    let count = 1000;
    (&slow)
        .write_all(&message(&[b'x'; 250]).repeat(count))
        .unwrap();
    slow.shutdown(Shutdown::Write).unwrap();
    // Longer than the limit, and always something.
    let (received, ended) = read_to_end(&slow, 2048, Duration::from_millis(40));
    assert_eq!((received.len(), ended), (count * 251, Ended::Inside(0)));
    drop(server);
}

#[test]
fn the_end_does_not_wait_for_those_who_take_nothing() {
    // The log is more than a reader that is too slow for it takes meanwhile.
    let args = ["--drain-timeout=32s", "--log-bytes=1MiB"];
    let server = Logged::start(&args);
    let asleep: Vec<_> = (0..20).map(|_| join_small(server.addr)).collect();
    let slow = join_small(server.addr);
    let reading = thread::spawn(move || read_to_end(&slow, 8192, Duration::from_millis(20)));
    flood(server.addr, 20_000);
    // So much is sent that some have all that is for them in their sockets.
    let quiet = join_small(server.addr);
    flood(server.addr, 100);
    let log = server.end();
    assert!(
        log.contains("21 clients took nothing for 8s, and nobody waits for them"),
        "{log}"
    );
    assert!(!log.contains("did not take everything"), "{log}");
    let (received, ended) = reading.join().unwrap();
    assert_eq!(ended, Ended::Inside(0));
    assert!(received.ends_with(&message(&[b'x'; 250])));
    for stream in asleep.iter().chain([&quiet]) {
        let (received, ended) = read_to_end(stream, 4096, Duration::ZERO);
        let is_whole = Messages::split(&received).1.is_empty();
        assert!(is_whole || ended == Ended::Reset, "{ended:?}");
    }
}
