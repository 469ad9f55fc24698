use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use chat_cluster_faults::{Crowd, Dump, Facts, judge};
use chat_proto::blocking::Reader;

/// What the server does with one message in the middle, which came through the first port, for those
/// at the second; or what it does to clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Drops,
    Repeats,
    Swaps,
    Corrupts,
    /// It disconnects the first client that leaves, and all at the second port, inside a message.
    CutsLeavers,
}

/// The clients of a server with two ports.
struct Ports {
    clients: [Vec<TcpStream>; 2],
    wrong: Wrong,
    count: u32,
    held: Vec<u8>,
    /// All messages in their order, as a witness.
    dump: Dump,
}

impl Ports {
    fn publish(&mut self, port: usize, message: &[u8]) {
        self.count += 1;
        self.dump.bodies.push(message[1..].to_vec());
        to_all(&mut self.clients[0], message);
        let is_meant = self.count > LATE && port == 0 && self.wrong != Wrong::CutsLeavers;
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
            Wrong::Nothing | Wrong::CutsLeavers => {}
        }
        to_all(second, message);
        to_all(second, &std::mem::take(&mut self.held));
    }

    /// Disconnects a client that sends no more.
    fn end(&mut self, stream: TcpStream) {
        let mut ended = vec![stream];
        if self.wrong == Wrong::CutsLeavers {
            self.wrong = Wrong::Nothing;
            ended.append(&mut self.clients[1]);
            to_all(&mut ended, &[5]);
        }
        for stream in ended {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn to_all(clients: &mut Vec<TcpStream>, bytes: &[u8]) {
    clients.retain_mut(|client| client.write_all(bytes).is_ok());
}

/// Serves two ports for as long as the test lasts.
fn serve(wrong: Wrong) -> ([SocketAddr; 2], Arc<Mutex<Ports>>) {
    let ports = Arc::new(Mutex::new(Ports {
        clients: [Vec::new(), Vec::new()],
        wrong,
        count: 0,
        held: Vec::new(),
        dump: Dump::default(),
    }));
    let addrs = [0, 1].map(|port| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let ports = Arc::clone(&ports);
        thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                let clone = stream.try_clone().unwrap();
                ports.lock().unwrap().clients[port].push(clone);
                let ports = Arc::clone(&ports);
                thread::spawn(move || receive(stream, port, &ports));
            }
        });
        addr
    });
    (addrs, ports)
}

fn receive(stream: TcpStream, port: usize, ports: &Mutex<Ports>) {
    let mut reader = Reader::new(&stream);
    while let Ok(Some(body)) = reader.next_body() {
        let mut message = vec![u8::try_from(body.as_bytes().len()).unwrap()];
        message.extend_from_slice(body.as_bytes());
        ports.lock().unwrap().publish(port, &message);
    }
    ports.lock().unwrap().end(stream);
}

/// Returns what a crowd saw, judged without the witness and with it.
fn all_facts(wrong: Wrong) -> [Facts; 2] {
    let (addrs, ports) = serve(wrong);
    let crowd = Crowd::start(&addrs, 2).unwrap();
    // The wrong one is behind them.
    for _ in 0..LATE / 10 {
        crowd.wait_served().unwrap();
    }
    let seen = crowd.finish().unwrap();
    let dump = &ports.lock().unwrap().dump;
    [None, Some(dump)].map(|dump| judge(&seen, dump))
}

fn facts(wrong: Wrong) -> Facts {
    let [facts, _] = all_facts(wrong);
    facts
}

#[test]
fn two_ports_of_one_server_are_kept() {
    for facts in all_facts(Wrong::Nothing) {
        assert!(facts.is_kept(), "{facts}");
        assert_eq!((facts.session_count, facts.acknowledged), (4, facts.sent));
    }
}

#[test]
fn clients_that_are_cut_off_while_they_leave_come_back_and_leave() {
    // Nobody else may be there when they are back, so that only the witness knows the order.
    let [_, facts] = all_facts(Wrong::CutsLeavers);
    assert!(facts.is_kept(), "{facts}");
    assert!(facts.session_count > 4, "{facts}");
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
