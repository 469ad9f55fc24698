//! A small broadcast server, which can hold back what it got, and end and begin again.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chat_proto::blocking::Reader;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server in threads of this process. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub(crate) address: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    clients: Vec<TcpStream>,
    /// The bodies of all messages that came.
    received: Vec<Vec<u8>>,
    /// Messages to forward later, if they are held back.
    held: Option<Vec<Vec<u8>>>,
    is_ended: bool,
}

impl Broadcast {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    /// Starts at an address where a server has ended.
    pub(crate) fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            loop {
                let (stream, _) = listener.accept().unwrap();
                let mut state = accepting.0.lock().unwrap();
                if state.is_ended {
                    return;
                }
                state.clients.push(stream.try_clone().unwrap());
                accepting.1.notify_all();
                let serving = Arc::clone(&accepting);
                thread::spawn(move || serve(&serving, stream));
            }
        });
        Self { address, state }
    }

    /// Sends a message to everybody; waits until there is somebody.
    #[track_caller]
    pub(crate) fn say(&self, body: impl AsRef<[u8]>) {
        self.wait_until(|state| !state.clients.is_empty());
        self.state.0.lock().unwrap().forward(body.as_ref());
    }

    /// Sends wire bytes to everybody, as fast as they take them; waits until there is somebody.
    #[track_caller]
    pub(crate) fn write(&self, wire: &[u8]) {
        self.wait_until(|state| !state.clients.is_empty());
        let clients: Vec<_> = {
            let state = self.state.0.lock().unwrap();
            state
                .clients
                .iter()
                .map(|client| client.try_clone().unwrap())
                .collect()
        };
        for mut client in clients {
            // It may have ended.
            let _ = client.write_all(wire);
        }
    }

    /// Forwards nothing from now on.
    pub(crate) fn hold(&self) {
        self.state.0.lock().unwrap().held = Some(Vec::new());
    }

    /// Forwards what is held back, and everything from now on.
    pub(crate) fn release(&self) {
        let mut state = self.state.0.lock().unwrap();
        for body in state.held.take().unwrap() {
            state.forward(&body);
        }
    }

    /// Forgets what is held back.
    pub(crate) fn swallow(&self) {
        self.state.0.lock().unwrap().held = None;
    }

    /// Closes the connections of all clients; waits until there is one.
    #[track_caller]
    pub(crate) fn close_clients(&self) {
        self.wait_until(|state| !state.clients.is_empty());
        self.state.0.lock().unwrap().close_clients();
    }

    /// Waits until these messages came, since the server started, and no others.
    #[track_caller]
    pub(crate) fn wait_for_received(&self, bodies: &[&str]) {
        let is_there = |state: &State| state.received.len() >= bodies.len();
        let state = self.wait_until(is_there);
        let received: Vec<_> = state
            .iter()
            .map(|body| String::from_utf8_lossy(body))
            .collect();
        assert_eq!(received, bodies);
    }

    /// Waits until there are so many clients.
    #[track_caller]
    pub(crate) fn wait_for_clients(&self, count: usize) {
        self.wait_until(|state| state.clients.len() == count);
    }

    #[track_caller]
    fn wait_until(&self, wanted: impl Fn(&State) -> bool) -> Vec<Vec<u8>> {
        let start = Instant::now();
        let mut state = self.state.0.lock().unwrap();
        while !wanted(&state) {
            let left = DEADLINE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "{state:?}");
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        state.received.clone()
    }
}

impl State {
    fn close_clients(&mut self) {
        for client in self.clients.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    fn forward(&mut self, body: &[u8]) {
        let message = [&[body.len().try_into().unwrap()], body].concat();
        self.clients
            .retain_mut(|client| client.write_all(&message).is_ok());
    }
}

fn serve(state: &(Mutex<State>, Condvar), stream: TcpStream) {
    let mut reader = Reader::new(&stream);
    while let Ok(Some(body)) = reader.next_body() {
        let body = body.as_bytes().to_vec();
        let mut state_now = state.0.lock().unwrap();
        state_now.received.push(body.clone());
        match &mut state_now.held {
            Some(held) => held.push(body),
            None => state_now.forward(&body),
        }
        state.1.notify_all();
    }
    let mut state_now = state.0.lock().unwrap();
    let gone = stream.peer_addr().ok();
    state_now
        .clients
        .retain(|client| client.peer_addr().ok() != gone);
    let _ = stream.shutdown(Shutdown::Both);
    state.1.notify_all();
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        {
            let mut state = self.state.0.lock().unwrap();
            state.is_ended = true;
            state.close_clients();
        }
        // It wakes the thread that listens, which ends.
        let _ = TcpStream::connect(&self.address);
        // Until it has: another server may listen there then.
        let start = Instant::now();
        while TcpStream::connect(&self.address).is_ok() && start.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
