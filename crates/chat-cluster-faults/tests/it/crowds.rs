use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use chat_cluster_faults::{Crowd, Facts, judge};
use chat_proto::blocking::Reader;

/// What the server does with one message in the middle, which came through the first port, for those
/// at the second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Drops,
    Repeats,
    Swaps,
    Corrupts,
}

/// The clients of a server with two ports.
struct Ports {
    clients: [Vec<TcpStream>; 2],
    wrong: Wrong,
    count: u32,
    held: Vec<u8>,
}

impl Ports {
    fn publish(&mut self, port: usize, message: &[u8]) {
        self.count += 1;
        to_all(&mut self.clients[0], message);
        let is_meant = self.count > LATE && port == 0;
        let wrong = match is_meant {
            true => std::mem::replace(&mut self.wrong, Wrong::Nothing),
            false => Wrong::Nothing,
        };
        let second = &mut self.clients[1];
        match wrong {
            Wrong::Drops => return,
            Wrong::Repeats => to_all(second, message),
            Wrong::Swaps => {
                self.held = message.to_vec();
                return;
            }
            Wrong::Corrupts => {
                let mut changed = message.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                return to_all(second, &changed);
            }
            Wrong::Nothing => {}
        }
        to_all(second, message);
        to_all(second, &std::mem::take(&mut self.held));
    }
}

fn to_all(clients: &mut Vec<TcpStream>, bytes: &[u8]) {
    clients.retain_mut(|client| client.write_all(bytes).is_ok());
}

/// Serves two ports for as long as the test lasts.
fn serve(wrong: Wrong) -> [SocketAddr; 2] {
    let ports = Arc::new(Mutex::new(Ports {
        clients: [Vec::new(), Vec::new()],
        wrong,
        count: 0,
        held: Vec::new(),
    }));
    [0, 1].map(|port| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let ports = Arc::clone(&ports);
        thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                let clone = stream.try_clone().unwrap();
                ports.lock().unwrap().clients[port].push(clone);
                let ports = Arc::clone(&ports);
                thread::spawn(move || receive(&stream, port, &ports));
            }
        });
        addr
    })
}

fn receive(stream: &TcpStream, port: usize, ports: &Mutex<Ports>) {
    let mut reader = Reader::new(stream);
    while let Ok(Some(body)) = reader.next_body() {
        let mut message = vec![u8::try_from(body.as_bytes().len()).unwrap()];
        message.extend_from_slice(body.as_bytes());
        ports.lock().unwrap().publish(port, &message);
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn facts(wrong: Wrong) -> Facts {
    let crowd = Crowd::start(&serve(wrong), 2).unwrap();
    // The wrong one is behind them.
    for _ in 0..LATE / 10 {
        crowd.wait_served().unwrap();
    }
    judge(&crowd.finish().unwrap(), None)
}

#[test]
fn two_ports_of_one_server_are_kept() {
    let facts = facts(Wrong::Nothing);
    assert!(facts.is_kept(), "{facts}");
    assert_eq!((facts.session_count, facts.acknowledged), (4, facts.sent));
}

#[test]
fn a_message_that_one_port_never_gets_is_lost() {
    let facts = facts(Wrong::Drops);
    assert!(facts.lost > 0 && facts.duplicated == 0, "{facts}");
}

#[test]
fn a_message_that_one_port_gets_twice_is_duplicated() {
    let facts = facts(Wrong::Repeats);
    assert!(facts.duplicated > 0 && !facts.is_kept(), "{facts}");
}

#[test]
fn messages_that_change_places_on_one_port_are_told() {
    let facts = facts(Wrong::Swaps);
    let story = facts.story.unwrap();
    assert!(story.contains("no order explains"), "{story}");
}

#[test]
fn a_message_that_is_changed_on_the_way_is_told() {
    let facts = facts(Wrong::Corrupts);
    assert!(facts.story.is_some(), "{facts}");
}

/// After how many messages the server does something wrong. A judgement: everybody is there by then.
const LATE: u32 = 60;
