use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::util::{Client, DEADLINE, Server};

/// A client that sends messages of 256 bytes as fast as it can, and reads what comes.
struct Flooder {
    stream: TcpStream,
}

impl Flooder {
    fn start(server: &Server) -> Self {
        let stream = TcpStream::connect_timeout(&server.address, DEADLINE).unwrap();
        let (mut sending, mut receiving) =
            (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        // Both end when the stream is shut down.
        thread::spawn(move || {
            let chunk = [255; 256 * 256];
            while sending.write_all(&chunk).is_ok() {}
        });
        thread::spawn(move || {
            let mut buf = vec![0; 1 << 16];
            while matches!(receiving.read(&mut buf), Ok(1..)) {}
        });
        Self { stream }
    }
}

impl Drop for Flooder {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Connects a client with a receive buffer of its own length, and waits until it is served.
fn connect(server: &Server, recv_buf_len: usize) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(recv_buf_len).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut client = Client::of(socket.into());
    client.send(b"hello");
    while client.receive() != b"hello" {}
    client
}

/// Receives until `body` comes, which must be within so many messages.
#[track_caller]
fn receive_within(client: &mut Client, body: &[u8], count_max: usize) {
    let place = (0..count_max).find(|_| client.receive() == body);
    assert!(place.is_some(), "not among {count_max} messages");
}

#[test]
fn beside_a_flood_a_quiet_chat_loses_nothing() {
    for recv_buf_len in [16 * 1024, 64 * 1024, 256 * 1024] {
        // A busy machine may give a client no time for long; that is not tested here.
        let server = Server::start_with(&["--grace", "5s"]);
        let mut clients = [0, 1].map(|_| connect(&server, recv_buf_len));
        let _flooder = Flooder::start(&server);
        for turn in 0..20 {
            let body = format!("quiet {turn}");
            clients[turn % 2].send(body.as_bytes());
            // More than the log and all the buffers hold: then it is lost.
            thread::scope(|scope| {
                for client in &mut clients {
                    scope.spawn(|| receive_within(client, body.as_bytes(), 200_000));
                }
            });
        }
    }
}

#[test]
fn a_client_above_the_rate_slows_the_flood_and_loses_nothing() {
    let args = ["--keep-up-rate", "1000000", "--grace", "5s"];
    let server = Server::start_with(&args);
    let mut slow = connect(&server, 256 * 1024);
    let mut sender = server.join(b"sender");
    while slow.receive() != b"sender" {}
    let mut reading = sender.stream.try_clone().unwrap();
    thread::spawn(move || while matches!(reading.read(&mut [0; 1 << 16]), Ok(1..)) {});
    // Ten times as much as the log and all the buffers hold.
    // It ends with the server.
    thread::spawn(move || {
        for number in 0..400_000_u32 {
            let mut message = [255; 256];
            message[1..5].copy_from_slice(&number.to_le_bytes());
            if sender.stream.write_all(&message).is_err() {
                break;
            }
        }
    });
    let mut expected = 0_u32;
    let start = Instant::now();
    while expected < 40_000 {
        let body = slow.receive();
        assert_eq!(body[..4], expected.to_le_bytes(), "nothing is lost");
        expected += 1;
        // It takes 4 MB per second, far less than the sender could send.
        let due = start + Duration::from_micros(64) * expected;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn beside_ten_floods_a_quiet_client_gets_its_turn() {
    let server = Server::start_with(&["--log-bytes", "262144", "--drop-policy", "block"]);
    let mut quiet = connect(&server, 64 * 1024);
    let _flooders = [(); 10].map(|()| Flooder::start(&server));
    for turn in 0..30 {
        let body = format!("quiet {turn}");
        quiet.send(body.as_bytes());
        // The log, the socket's buffers and a part of each flooder are 4000 messages or so.
        receive_within(&mut quiet, body.as_bytes(), 20_000);
    }
}
