//! The examples of chat-proto: each is a client that people copy, so each does here what it
//! promises.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use chat_proto::BODY_LEN_MAX;
use socket2::{Domain, Socket, Type};

use crate::util::{DEADLINE, Server};

#[path = "../../../../crates/chat-proto/examples/async_std.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod async_std;
#[path = "../../../../crates/chat-proto/examples/blocking.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod blocking;
#[path = "../../../../crates/chat-proto/examples/mio.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod mio;
#[path = "../../../../crates/chat-proto/examples/tokio.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod tokio;

/// What an example did: what it printed, and the error it ended with.
type Outcome = (Vec<u8>, Result<(), String>);

/// Runs an example: connects to an address and sends messages.
type Chat = fn(&str, &[Vec<u8>]) -> Outcome;

/// The examples by name.
const EXAMPLES: [(&str, Chat); 4] = [
    ("async_std", |address, messages| {
        outcome(|out| async_std::chat(address, messages, out))
    }),
    ("blocking", |address, messages| {
        outcome(|out| blocking::chat(address, messages, out))
    }),
    ("mio", |address, messages| {
        outcome(|out| mio::chat(address, messages, out))
    }),
    ("tokio", |address, messages| {
        outcome(|out| tokio::chat(address, messages, out))
    }),
];

#[test]
fn every_message_comes_back_in_order() {
    let server = Server::start();
    let messages = [&b"hello"[..], b"", &[b'x'; BODY_LEN_MAX], b"world"].map(<[u8]>::to_vec);
    check(|| server.address, &messages, Ok(&messages));
}

#[test]
fn without_messages_nothing_comes_and_the_server_closes() {
    let server = Server::start();
    check(|| server.address, &[], Ok(&[]));
}

#[test]
fn a_body_that_is_no_text_is_printed_lossily() {
    let server = Server::start();
    check(
        || server.address,
        &[b"a\xffb".to_vec()],
        Ok(&["a\u{fffd}b".into()]),
    );
}

#[test]
fn many_messages_come_back() {
    let server = Server::start();
    let messages = numbered(5_000);
    check(|| server.address, &messages, Ok(&messages));
}

/// These 24 MB are more than the sockets hold, which Linux by default allows 6 MiB to receive and 4
/// MiB to send at either end: a client that does not read while it sends waits for ever.
#[test]
fn a_server_that_reads_no_more_than_it_is_read_from_is_no_deadlock() {
    let messages = numbered(120_000);
    let address = || {
        serve_one(|stream| {
            io::copy(&mut &stream, &mut &stream).unwrap();
        })
    };
    check(address, &messages, Ok(&messages));
}

#[test]
fn a_message_that_is_too_long_is_refused_and_nothing_is_sent() {
    let server = Server::start();
    let mut witness = server.join(b"witness");
    let messages = [b"short".to_vec(), vec![0; BODY_LEN_MAX + 1]];
    check(
        || server.address,
        &messages,
        Err("a body has at most 255 bytes, not 256"),
    );
    witness.send(b"end");
    assert_eq!(witness.receive(), b"end");
}

#[test]
fn a_refused_connection_is_an_error() {
    // Bound, so that nobody else gets the port; not listening, so that it refuses.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    check(
        || address,
        &[b"hello".to_vec()],
        Err("Connection refused (os error 111)"),
    );
}

#[test]
fn a_stream_that_ends_inside_a_message_is_an_error() {
    let address = || {
        serve_one(|mut stream| {
            io::copy(&mut stream, &mut io::sink()).unwrap();
            stream.write_all(b"\x05wor").unwrap();
        })
    };
    check(
        address,
        &[b"hello".to_vec()],
        Err("the stream ended inside a message: 4 of its 6 bytes had arrived"),
    );
}

/// Checks that each example, at an address of its own, prints the bodies or ends with the error.
#[track_caller]
fn check(
    address: impl Fn() -> SocketAddr,
    messages: &[Vec<u8>],
    expected: Result<&[Vec<u8>], &str>,
) {
    let expected = expected.map(|bodies| {
        bodies
            .iter()
            .map(|body| [body, &b"\n"[..]].concat())
            .collect::<Vec<_>>()
            .concat()
    });
    for (name, chat) in EXAMPLES {
        let (address, messages) = (address().to_string(), messages.to_vec());
        let (ended, has_ended) = mpsc::channel();
        thread::spawn(move || ended.send(chat(&address, &messages)));
        let (printed, result) = has_ended
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|error| panic!("{name} does not end: {error}"));
        match &expected {
            Ok(lines) => {
                assert_eq!(result, Ok(()), "{name}");
                assert!(
                    printed == *lines,
                    "{name} printed {} bytes: {:.200}",
                    printed.len(),
                    String::from_utf8_lossy(&printed)
                );
            }
            Err(error) => assert_eq!(result, Err((*error).to_string()), "{name}"),
        }
    }
}

fn outcome(chat: impl FnOnce(&mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>>) -> Outcome {
    let mut printed = Vec::new();
    let result = chat(&mut printed).map_err(|error| error.to_string());
    (printed, result)
}

/// Serves one client, in a thread that ends when the client does.
fn serve_one(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    address
}

/// Makes messages of 200 bytes, no two alike.
fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| format!("{number:0200}").into_bytes())
        .collect()
}
