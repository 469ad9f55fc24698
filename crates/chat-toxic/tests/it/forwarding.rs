use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use chat_toxic::{End, Plan, Proxy, Stall, Toxics, link};

/// How long anything may take. Nothing here comes near it unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a server saw of a connection: the bytes, and whether they ended by a reset.
type Seen = (Vec<u8>, bool);

/// Starts a server that sends back all that it gets; returns what it saw of each connection.
fn echo() -> (SocketAddr, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, seen) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let _ = sender.send(serve(stream));
            });
        }
    });
    (addr, seen)
}

fn serve(mut stream: TcpStream) -> Seen {
    let (mut all, mut buf) = (Vec::new(), [0; 4096]);
    let mut is_reset = false;
    loop {
        match stream.read(&mut buf) {
            Ok(0) => break,
            Ok(len) => {
                all.extend_from_slice(&buf[..len]);
                // The system tells of a reset once, whoever asks.
                is_reset |= stream.write_all(&buf[..len]).is_err();
            }
            Err(_) => return (all, true),
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    (all, is_reset)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

/// Sends all, ends, and reads to the end; returns what came back and whether it ended by a reset.
fn talk(mut stream: TcpStream, sent: &[u8]) -> Seen {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let sent = sent.to_vec();
    let writer = thread::spawn(move || {
        let _ = writing.write_all(&sent);
        let _ = writing.shutdown(Shutdown::Write);
    });
    let mut received = Vec::new();
    let ended = stream.read_to_end(&mut received);
    writer.join().unwrap();
    let is_reset = match ended {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            true
        }
    };
    (received, is_reset)
}

/// Sends `len` bytes under a plan; returns what came back and what the server saw.
fn exchange(plan: &Plan, len: usize) -> (Seen, Seen) {
    let (addr, seen) = echo();
    let (stream, link) = link(addr, plan).unwrap();
    let received = talk(stream, &bytes(len));
    let seen = seen.recv_timeout(DEADLINE).unwrap();
    link.join();
    (received, seen)
}

#[test]
fn whatever_is_drawn_arrives_as_it_was_sent() {
    thread::scope(|scope| {
        for seed in 0..40 {
            scope.spawn(move || {
                let len = 20_000;
                let (received, seen) = exchange(&Plan::draw(seed, len as u64), len);
                assert!(received == (bytes(len), false), "seed {seed}");
                assert!(seen == (bytes(len), false), "seed {seed}");
            });
        }
    });
}

#[test]
fn a_half_close_ends_the_direction_at_every_byte() {
    for at in 0..20 {
        let end = End::HalfClose { at };
        let toxics = Toxics {
            end,
            slices: Some(1..=7),
            ..Toxics::default()
        };
        let expected = bytes(at as usize);
        let plan = Plan {
            to_server: toxics.clone(),
            ..Plan::default()
        };
        let (received, seen) = exchange(&plan, 20);
        assert_eq!(
            (received, seen),
            ((expected.clone(), false), (expected.clone(), false))
        );
        // The server gets all, and the client a part.
        let plan = Plan {
            to_client: toxics,
            ..Plan::default()
        };
        let (received, seen) = exchange(&plan, 20);
        assert_eq!((received, seen), ((expected, false), (bytes(20), false)));
    }
}

#[test]
fn a_reset_ends_both_sides_after_its_bytes() {
    for at in 0..20 {
        let end = End::Reset { at };
        let toxics = Toxics {
            end,
            ..Toxics::default()
        };
        let plan = Plan {
            to_server: toxics,
            ..Plan::default()
        };
        let (addr, seen) = echo();
        let (mut stream, _link) = link(addr, &plan).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(&bytes(20)).unwrap();
        let mut received = Vec::new();
        let error = stream.read_to_end(&mut received).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let (seen, is_reset) = seen.recv_timeout(DEADLINE).unwrap();
        assert!(
            is_reset && bytes(at as usize).starts_with(&seen),
            "{seen:?}"
        );
    }
}

#[test]
fn a_reset_of_a_client_reaches_the_server() {
    let (addr, seen) = echo();
    let (stream, link) = link(addr, &Plan::default()).unwrap();
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    let (_, is_reset) = seen.recv_timeout(DEADLINE).unwrap();
    assert!(is_reset);
    link.join();
}

#[test]
fn a_rate_and_a_stall_take_their_time() {
    let time = Duration::from_millis(200);
    let slow = Toxics {
        rate: NonZeroU64::new(10_000),
        stalls: vec![Stall { at: 100, time }],
        ..Toxics::default()
    };
    let start = Instant::now();
    // 3000 bytes are 300 ms, of which the last buffer may owe a part.
    let plan = Plan {
        to_server: Toxics {
            slices: Some(1..=100),
            ..slow
        },
        ..Plan::default()
    };
    let (received, _) = exchange(&plan, 3000);
    assert_eq!(received, (bytes(3000), false));
    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_stalled_direction_holds_a_bounded_part_of_what_is_sent() {
    let time = Duration::from_secs(600);
    let stalled = Toxics {
        stalls: vec![Stall { at: 10, time }],
        ..Toxics::default()
    };
    let (addr, _seen) = echo();
    let plan = Plan {
        to_server: stalled,
        ..Plan::default()
    };
    let (mut stream, link) = link(addr, &plan).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut taken = 0;
    while let Ok(len) = stream.write(&[0; 1 << 16]) {
        taken += len;
        assert!(taken < 64 << 20, "{taken} bytes are held");
    }
    assert_eq!(link.forwarded().0, 10);
    // It is cut in the middle of the stall.
    drop(link);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
}

#[test]
fn a_proxy_gives_each_connection_the_plan_of_its_number() {
    let (addr, _seen) = echo();
    let proxy = Proxy::start(addr, |number| {
        let end = End::HalfClose { at: number };
        Plan {
            to_server: Toxics {
                end,
                ..Toxics::default()
            },
            ..Plan::default()
        }
    })
    .unwrap();
    for number in 0..10 {
        let stream = TcpStream::connect(proxy.addr()).unwrap();
        assert_eq!(talk(stream, &bytes(20)), (bytes(number), false));
    }
}

#[test]
fn a_held_proxy_forwards_nothing_until_it_is_released() {
    let (addr, _seen) = echo();
    let proxy = Proxy::start(addr, |_| Plan::default()).unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    let mut byte = [0];
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"a").unwrap();
    stream.read_exact(&mut byte).unwrap();
    proxy.hold();
    stream.write_all(b"b").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let error = stream.read_exact(&mut byte).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    proxy.release();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
}
