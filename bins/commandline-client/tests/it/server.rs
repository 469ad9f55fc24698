//! Servers for one client, each a function of the client's connection.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use crate::client::DEADLINE;

/// A server that serves one client in a thread of its own.
#[derive(Debug)]
pub(crate) struct Server<T> {
    pub(crate) address: String,
    outcome: mpsc::Receiver<T>,
}

impl<T: Send + 'static> Server<T> {
    /// Starts a server that treats its client as `serve` does.
    pub(crate) fn start(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, outcome) = mpsc::channel();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            // Nobody asks for the outcome when the test has failed.
            let _ = sender.send(serve(stream));
        });
        Self { address, outcome }
    }

    /// Waits for what came of the client.
    pub(crate) fn outcome(self) -> T {
        self.outcome
            .recv_timeout(DEADLINE)
            .expect("the server serves its client to the end")
    }
}

/// Returns all bytes to the client until it half-closes, and a copy of them to the test.
///
/// It reads nothing while a write waits for the client.
pub(crate) fn echo(mut stream: TcpStream) -> Vec<u8> {
    let (mut received, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        let len = stream.read(&mut buf).unwrap();
        if len == 0 {
            return received;
        }
        received.extend_from_slice(&buf[..len]);
        stream.write_all(&buf[..len]).unwrap();
    }
}

/// Waits until the client has sent something, and resets the connection.
pub(crate) fn reset(stream: TcpStream) {
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    // Closing a socket with unread bytes resets its connection.
    drop(stream);
}
