//! The examples: each is a server that people copy, so each keeps the rules of chat-proto's SPEC.md
//! here.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use chat_proto::{BODY_LEN_MAX, Body, Encoder, blocking::Reader};

#[path = "../../examples/event_loop.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod event_loop;
#[path = "../../examples/tasks.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod tasks;
#[path = "../../examples/threads.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod threads;

/// Serves whoever connects, for ever.
type Serve = fn(TcpListener) -> io::Result<()>;

const EXAMPLES: [(&str, Serve); 3] = [
    ("event_loop", event_loop::serve),
    ("tasks", tasks::serve),
    ("threads", threads::serve),
];

#[test]
fn every_client_receives_everything_in_one_order() {
    for_each_example(|server| {
        let mut clients: Vec<_> = (0..3).map(|number| server.join(&[number])).collect();
        clients[0].send(b"begin");
        let received = thread::scope(|scope| {
            let chatting = clients.iter_mut().enumerate().map(|(sender, client)| {
                scope.spawn(move || {
                    while client.receive() != b"begin" {}
                    for number in 0..500 {
                        client.send(format!("{number:03} of {sender}").as_bytes());
                    }
                    Vec::from_iter((0..3 * 500).map(|_| client.receive()))
                })
            });
            let chatting: Vec<_> = chatting.collect();
            Vec::from_iter(
                chatting
                    .into_iter()
                    .map(|chatting| chatting.join().expect("the client does not panic")),
            )
        });
        for sender in 0..3 {
            let from_sender = received[0]
                .iter()
                .filter(|body| body.last() == Some(&(b'0' + sender)));
            let expected = (0..500).map(|number| format!("{number:03} of {sender}").into_bytes());
            assert!(
                from_sender.cloned().eq(expected),
                "what sender {sender} sent is received whole and in order"
            );
        }
        assert!(
            received[1] == received[0] && received[2] == received[0],
            "all receive the same"
        );
    });
}

#[test]
fn a_client_that_half_closes_gets_its_last_message_and_the_end() {
    for_each_example(|server| {
        let mut client = server.connect();
        client.send_raw(b"\x05hello\0\x05world");
        client.end_sending();
        assert_eq!(client.receive_all(), [&b"hello"[..], b"", b"world"]);
    });
}

/// The server learns of the end while it has nothing to write, and nobody publishes.
#[test]
fn a_client_that_half_closes_after_its_echo_gets_the_end() {
    for_each_example(|server| {
        let mut client = server.join(b"hello");
        client.end_sending();
        assert_eq!(client.try_receive(), None);
    });
}

#[test]
fn a_client_that_half_closes_at_once_gets_the_end() {
    for_each_example(|server| {
        let mut client = server.connect();
        client.end_sending();
        assert_eq!(client.try_receive(), None);
    });
}

#[test]
fn an_unfinished_message_is_not_forwarded() {
    for_each_example(|server| {
        let mut witness = server.join(b"witness");
        let mut client = server.connect();
        client.send_raw(b"\x05hello\x05wor");
        client.end_sending();
        assert_eq!(client.receive_all(), [b"hello"]);
        witness.send(b"end");
        assert_eq!(
            [witness.receive(), witness.receive()],
            [&b"hello"[..], b"end"]
        );
    });
}

#[test]
fn a_message_that_arrives_byte_by_byte_is_one_message() {
    for_each_example(|server| {
        let mut client = server.join(b"client");
        for byte in b"\x05hello\0\x05world" {
            client.send_raw(&[*byte]);
        }
        assert_eq!(
            [client.receive(), client.receive(), client.receive()],
            [&b"hello"[..], b"", b"world"]
        );
    });
}

/// The 32 MB are more than a log of 8 MiB and the sockets hold, which Linux by default allows 6 MiB
/// to receive and 4 MiB to send. The other clients are never a log behind, so they lose nothing,
/// however slow the machine is.
#[test]
fn a_client_that_never_reads_does_not_stop_the_others() {
    const ROUND_COUNT: u32 = 32;
    const ROUND_LEN: u32 = 4096;
    for_each_example(|server| {
        let mut stalled = server.join(b"stalled");
        let (mut sender, mut receiver) = (server.join(b"sender"), server.join(b"receiver"));
        while sender.receive() != b"receiver" {}
        for round in 0..ROUND_COUNT {
            let numbers = round * ROUND_LEN..(round + 1) * ROUND_LEN;
            sender.send_all(numbers.clone().map(numbered));
            for number in numbers {
                assert!(
                    sender.receive() == numbered(number) && receiver.receive() == numbered(number),
                    "message {number}"
                );
            }
        }
        // When it does read, it loses some, but what it gets is in order and goes on to the end.
        assert_eq!(
            [stalled.receive(), stalled.receive()],
            [&b"sender"[..], b"receiver"]
        );
        let mut last = None;
        while last != Some(ROUND_COUNT * ROUND_LEN - 1) {
            let body = stalled.receive();
            let number = u32::from_le_bytes(*body.first_chunk().expect("a number"));
            assert!(
                body == numbered(number) && last < Some(number),
                "message {number} after {last:?}"
            );
            last = Some(number);
        }
    });
}

#[test]
fn a_client_that_resets_its_connection_does_not_hurt_the_others() {
    for_each_example(|server| {
        let mut witness = server.join(b"witness");
        for _ in 0..20 {
            let mut client = server.connect();
            client.send_raw(b"\x05hello\x05wor");
            // A socket that is closed while there is something to read resets the connection.
            assert_eq!(client.stream.peek(&mut [0]).expect("the echo arrives"), 1);
            drop(client);
            witness.send(b"still there");
            assert_eq!(
                [witness.receive(), witness.receive()],
                [&b"hello"[..], b"still there"]
            );
        }
        server.join(b"one more");
    });
}

/// The server is writing to the client, or waits to, when it vanishes.
#[test]
fn a_client_that_resets_while_written_to_hurts_no_others() {
    const COUNT: u32 = 20_000;
    for_each_example(|server| {
        let (mut stalled, mut sender) = (server.join(b"stalled"), server.join(b"sender"));
        assert_eq!(stalled.receive(), b"sender");
        sender.send_all((0..COUNT).map(numbered));
        drop(stalled);
        sender.send_all((COUNT..2 * COUNT).map(numbered));
        // It did not read either while it sent, so all it can rely on is the end.
        while sender.receive() != numbered(2 * COUNT - 1) {}
        sender.end_sending();
        assert_eq!(sender.try_receive(), None);
    });
}

/// Checks each example, running on a port of its own. Its thread is left behind.
fn for_each_example(check: impl Fn(&Server)) {
    for (name, serve) in EXAMPLES {
        // Printed when the test fails.
        println!("example {name}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there are free ports");
        let server = Server {
            address: listener.local_addr().expect("it is bound"),
        };
        thread::spawn(move || serve(listener));
        check(&server);
    }
}

struct Server {
    address: SocketAddr,
}

impl Server {
    /// Connects a client; the server knows it only once it has taken part.
    fn connect(&self) -> Client {
        let stream = TcpStream::connect_timeout(&self.address, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            reader: Reader::with_buf_len(stream.try_clone().unwrap(), BUF_LEN),
            stream,
        }
    }

    /// Connects a client and waits for its own echo, so that the server is known to serve it.
    fn join(&self, hello: &[u8]) -> Client {
        let mut client = self.connect();
        client.send(hello);
        while client.receive() != hello {}
        client
    }
}

/// A client: blocking, with a deadline on everything.
struct Client {
    stream: TcpStream,
    reader: Reader<TcpStream>,
}

impl Client {
    #[track_caller]
    fn send(&mut self, body: &[u8]) {
        self.send_all([body]);
    }

    /// Sends messages, many in one write.
    #[track_caller]
    fn send_all(&mut self, bodies: impl IntoIterator<Item: AsRef<[u8]>>) {
        let mut encoder = Encoder::with_buf(vec![0; BUF_LEN]).unwrap();
        for body in bodies {
            encoder.push(Body::new(body.as_ref()).unwrap()).unwrap();
            if !encoder.has_room() {
                self.send_raw(encoder.unsent());
                encoder.advance(encoder.unsent().len());
            }
        }
        self.send_raw(encoder.unsent());
    }

    #[track_caller]
    fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    #[track_caller]
    fn receive(&mut self) -> Vec<u8> {
        self.try_receive().expect("the server goes on")
    }

    /// Receives one message, or `None` when the server has closed on a message boundary.
    #[track_caller]
    fn try_receive(&mut self) -> Option<Vec<u8>> {
        let body = self
            .reader
            .next_body()
            .expect("the server closes on a message boundary, and before the deadline");
        body.map(|body| body.as_bytes().to_vec())
    }

    /// Receives everything until the server closes.
    #[track_caller]
    fn receive_all(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.try_receive()).collect()
    }
}

/// Returns the longest body, which begins with a number.
fn numbered(number: u32) -> Vec<u8> {
    let mut body = vec![b'.'; BODY_LEN_MAX];
    body[..4].copy_from_slice(&number.to_le_bytes());
    body
}

/// How long anything may take. Nothing here comes near it unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// Length of the clients' buffers, in bytes.
const BUF_LEN: usize = 64 * 1024;
