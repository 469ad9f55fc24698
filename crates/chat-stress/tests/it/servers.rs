use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use chat_proto::blocking::Reader;
use chat_stress::{Load, Pacing};

#[path = "../../examples/async_server.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
pub(crate) mod async_server;

/// A small load, with several messages in flight.
pub(crate) fn load() -> Load {
    Load {
        messages: Some(200),
        pacing: Pacing::window(8),
        ..Load::default()
    }
}

/// Writes a run of messages to all clients, which are in the order in which they came.
pub(crate) type Broadcast = fn(&mut Vec<TcpStream>, &[u8]);

/// Serves every client with two threads: one message goes to all before the next does.
pub(crate) fn serve(listener: TcpListener, broadcast: Broadcast) {
    let clients = Arc::new(Mutex::new(Vec::new()));
    for stream in listener.incoming().map(Result::unwrap) {
        stream.set_nodelay(true).unwrap();
        clients.lock().unwrap().push(stream.try_clone().unwrap());
        let clients = Arc::clone(&clients);
        thread::spawn(move || {
            let mut reader = Reader::new(&stream);
            while let Ok(messages) = reader.next_messages()
                && !messages.is_empty()
            {
                broadcast(&mut clients.lock().unwrap(), messages.as_bytes());
            }
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

/// Writes to all clients, and forgets those that are gone.
pub(crate) fn to_all(clients: &mut Vec<TcpStream>, messages: &[u8]) {
    clients.retain_mut(|client| client.write_all(messages).is_ok());
}

/// The clients of a server with two ports.
#[derive(Default)]
pub(crate) struct Ports {
    clients: [Vec<TcpStream>; 2],
    /// What a port is yet to get.
    held: [Vec<u8>; 2],
}

/// Writes a run of messages that came through a port to the clients of both.
pub(crate) type Across = fn(&mut Ports, usize, &[u8]);

impl Ports {
    /// Writes to the clients of both ports.
    pub(crate) fn in_one_order(&mut self, _port: usize, messages: &[u8]) {
        for clients in &mut self.clients {
            to_all(clients, messages);
        }
    }

    /// Writes to the clients of the port that the messages came through at once, and to those of the
    /// other after its own next ones.
    pub(crate) fn own_first(&mut self, port: usize, messages: &[u8]) {
        let other = 1 - port;
        to_all(&mut self.clients[port], messages);
        let held = std::mem::take(&mut self.held[port]);
        to_all(&mut self.clients[port], &held);
        let earlier = std::mem::replace(&mut self.held[other], messages.to_vec());
        to_all(&mut self.clients[other], &earlier);
    }
}

/// Serves one of the ports.
pub(crate) fn serve_port(
    listener: TcpListener,
    port: usize,
    ports: &Arc<Mutex<Ports>>,
    across: Across,
) {
    for stream in listener.incoming().map(Result::unwrap) {
        stream.set_nodelay(true).unwrap();
        let clone = stream.try_clone().unwrap();
        ports.lock().unwrap().clients[port].push(clone);
        let ports = Arc::clone(ports);
        thread::spawn(move || {
            let mut reader = Reader::new(&stream);
            while let Ok(messages) = reader.next_messages()
                && !messages.is_empty()
            {
                across(&mut ports.lock().unwrap(), port, messages.as_bytes());
            }
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}
