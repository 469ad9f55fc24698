use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chat_proto::Messages;

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Nothing.
    Nothing,
    /// It forwards what it reads as it reads it, messages or not.
    Relay,
    /// It forwards the beginning of a message whose sender has left.
    ForwardUnfinished,
    /// It sends a message to its sender before it stands in the order.
    EchoFirst,
    /// It sends every hundredth message twice.
    Duplicate,
    /// It gives every hundredth message to others after the next.
    Late,
    /// It loses every hundredth message.
    Lose,
    /// It closes a connection when the client has ended, whatever there is for it.
    CloseEarly,
    /// It never closes a connection.
    StayOpen,
}

/// Starts a server in this process: it drops nothing, and its queues have no bound. It never ends,
/// but does nothing when its clients have left.
pub(crate) fn start(wrong: Wrong) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let hub = Arc::new(Mutex::new(Hub {
        wrong,
        outboxes: HashMap::new(),
        message_count: 0,
        held: None,
    }));
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, hub) = (stream.unwrap(), Arc::clone(&hub));
            stream.set_nodelay(true).unwrap();
            let (outbox, inbox) = channel::<Vec<u8>>();
            hub.lock().unwrap().outboxes.insert(number, outbox);
            let writing = stream.try_clone().unwrap();
            thread::spawn(move || {
                for bytes in inbox {
                    if (&writing).write_all(&bytes).is_err() {
                        break;
                    }
                }
                let _ = writing.shutdown(Shutdown::Write);
            });
            thread::spawn(move || receive(number, &stream, &hub));
        }
    });
    addr
}

fn receive(number: usize, mut stream: &TcpStream, hub: &Mutex<Hub>) {
    let wrong = hub.lock().unwrap().wrong;
    let (mut buf, mut held) = ([0; 4096], Vec::new());
    while let Ok(len @ 1..) = stream.read(&mut buf) {
        if wrong == Wrong::Relay {
            hub.lock().unwrap().forward(&buf[..len]);
            continue;
        }
        held.extend_from_slice(&buf[..len]);
        let (messages, rest) = Messages::split(&held);
        for body in messages.iter() {
            let body = body.as_bytes();
            let mut message = vec![u8::try_from(body.len()).unwrap()];
            message.extend_from_slice(body);
            if wrong == Wrong::EchoFirst {
                hub.lock().unwrap().send(number, &message);
                // Others have time to come between, on a busy machine as well.
                thread::sleep(Duration::from_millis(1));
            }
            hub.lock().unwrap().publish(number, message);
        }
        let rest_len = rest.len();
        held.drain(..held.len() - rest_len);
    }
    let mut hub = hub.lock().unwrap();
    if wrong == Wrong::ForwardUnfinished {
        hub.forward(&held);
    }
    if wrong == Wrong::CloseEarly {
        let _ = stream.shutdown(Shutdown::Both);
    }
    if wrong != Wrong::StayOpen {
        hub.outboxes.remove(&number);
    }
}

/// All clients.
struct Hub {
    wrong: Wrong,
    outboxes: HashMap<usize, Sender<Vec<u8>>>,
    message_count: u64,
    held: Option<Vec<u8>>,
}

impl Hub {
    fn publish(&mut self, sender: usize, message: Vec<u8>) {
        self.message_count += 1;
        let is_struck = self.message_count.is_multiple_of(100);
        match self.wrong {
            Wrong::EchoFirst => {
                let others = self.outboxes.keys().copied();
                let others: Vec<usize> = others.filter(|&other| other != sender).collect();
                others
                    .into_iter()
                    .for_each(|other| self.send(other, &message));
            }
            Wrong::Duplicate if is_struck => {
                self.forward(&message);
                self.forward(&message);
            }
            Wrong::Lose if is_struck => {}
            Wrong::Late if is_struck => {
                self.send(sender, &message);
                self.held = Some(message);
            }
            _ => {
                self.forward(&message);
                if let Some(held) = self.held.take() {
                    self.forward(&held);
                }
            }
        }
    }

    fn forward(&self, bytes: &[u8]) {
        self.outboxes
            .keys()
            .for_each(|&client| self.send(client, bytes));
    }

    fn send(&self, client: usize, bytes: &[u8]) {
        if let Some(outbox) = self.outboxes.get(&client) {
            // A client that is gone wants nothing.
            let _ = outbox.send(bytes.to_vec());
        }
    }
}
