//! A broadcast server for the tests: a thread a client and one lock, honest unless it is told which fault to have.
//!
//! Clients are numbered in the order in which they connect, and the load tester connects its publishers first. The server knows where
//! in a body the load tester says that it is load, because its faults are meant for load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chat_proto::{Body, Decoder, MESSAGE_LEN_MAX};
use clap::{Parser, ValueEnum};

#[derive(Parser)]
struct Args {
    fault: Fault,
    addr: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Keeps the specification.
    Honest,
    /// Drops every third load message of each sender for client 2, which is legal.
    DropThirds,
    /// Drops half of the load messages for every client, which is legal.
    DropHalf,
    /// Drops about a third of everything for every client, which is legal: every kind of message has to be repeated.
    DropAnything,
    /// Drops everything but hello messages for client 2, which is legal and leaves nothing to prove it by.
    DropAll,
    /// Begins each client's stream with a message of the repetition before, which is legal.
    ReplayEarly,
    /// Sends a message of the repetition before when the client's own hello message has come back.
    ReplayLate,
    /// Sends two messages of different senders to client 3 in the other order.
    Reorder,
    /// Does so after some hundred messages.
    ReorderLate,
    /// Sends two messages of client 0 to the last client in the other order.
    Swap,
    /// Sends everybody but client 1 a message of it before the one that it had received when it sent it.
    Causal,
    /// Changes a byte of a body for client 2.
    Corrupt,
    /// Cuts a byte off a body for client 2.
    Truncate,
    /// Sends a message to client 2 twice.
    Duplicate,
    /// Sends client 2 a message that nobody sent.
    Invent,
    /// Begins the stream of client 2 in the middle of a message.
    WrongStart,
    /// Sends nobody its own messages.
    ForgetSender,
    /// Sends client 2 everything 50 ms later than the others.
    Delay,
    /// Never gives back 64 KiB of memory for each load message.
    Leak,
    /// Prints lines on stderr as fast as it can.
    FloodStderr,
    /// Does nothing any more once the load has begun.
    Hang,
    /// Closes the connection of client 2.
    HangUp,
    /// Exits with code 7 when the load begins.
    Die,
    /// Exits with code 9 instead of getting ready.
    ExitAtOnce,
    /// Prints something else and never gets ready.
    NeverReady,
    /// Gets ready, but does not say where.
    NoAddress,
    /// Prints something else before it gets ready.
    Talkative,
    /// Ignores SIGTERM and starts a process of its own.
    Stubborn,
}

fn main() {
    let Args { fault, addr } = Args::parse();
    if let Ok(path) = std::env::var("WRONG_SERVER_PID_FILE") {
        std::fs::write(path, std::process::id().to_string()).unwrap();
    }
    match fault {
        Fault::ExitAtOnce => {
            println!("not yet");
            eprintln!("no licence to chat");
            std::process::exit(9);
        }
        Fault::NeverReady => {
            println!("listening soon");
            loop {
                thread::park();
            }
        }
        Fault::NoAddress => println!("listening on everything"),
        Fault::Talkative => println!("good morning"),
        Fault::Stubborn => {
            signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::new(AtomicBool::new(false))).unwrap();
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            thread::spawn(move || child.wait());
        }
        Fault::FloodStderr => {
            thread::spawn(|| {
                loop {
                    eprintln!("{}", "all is well ".repeat(20));
                }
            });
        }
        _ => {}
    }
    serve(fault, addr);
}

fn serve(fault: Fault, addr: SocketAddr) {
    let listener = TcpListener::bind(addr).unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    let hub = Arc::new(Mutex::new(Hub {
        fault,
        clients: Vec::new(),
        has_struck: false,
        held: None,
        earlier: None,
        leaked: Vec::new(),
        answer_count: 0,
    }));
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        let hub = Arc::clone(&hub);
        let client = {
            let mut hub = hub.lock().unwrap();
            let client = hub.clients.len();
            let (mut sending, mut delayed) = (stream.try_clone().unwrap(), None);
            if fault == Fault::WrongStart && client == 2 {
                sending.write_all(b"ddle of a message").unwrap();
            }
            if fault == Fault::Delay && client == 2 {
                delayed = Some(delay(stream.try_clone().unwrap()));
            }
            hub.clients.push(Client { stream: sending, delayed, load_count: 0 });
            client
        };
        thread::spawn(move || {
            let mut decoder = Decoder::new();
            while let Ok(len @ 1..) = stream.read(decoder.spare()) {
                decoder.advance(len);
                while let Some(body) = decoder.next_body() {
                    hub.lock().unwrap().publish(client, body.as_bytes());
                }
            }
        });
    }
}

/// All clients, and what the fault remembers.
struct Hub {
    fault: Fault,
    clients: Vec<Client>,
    /// Whether a fault that strikes once has struck.
    has_struck: bool,
    /// A message that a fault holds back, and who sent it.
    held: Option<(usize, Vec<u8>)>,
    /// A load message, for a later repetition.
    earlier: Option<Vec<u8>>,
    leaked: Vec<Vec<u8>>,
    /// How many load messages client 1 has sent since it was sent the one that is held.
    answer_count: usize,
}

struct Client {
    stream: TcpStream,
    /// Where its messages go instead, if they are to be late.
    delayed: Option<Sender<(Instant, Vec<u8>)>>,
    /// How many load messages it has sent.
    load_count: usize,
}

impl Hub {
    fn publish(&mut self, sender: usize, body: &[u8]) {
        let kind = u32::from_le_bytes(body[4..8].try_into().unwrap()) >> 30;
        let is_hello_of_later_run = kind == HELLO && self.earlier.as_ref().is_some_and(|earlier| earlier[..2] != body[..2]);
        if self.fault == Fault::ReplayEarly && is_hello_of_later_run {
            self.replay(sender);
        }
        if kind == LOAD {
            self.publish_load(sender, body);
        } else {
            for client in 0..self.clients.len() {
                let is_dropped = match self.fault {
                    Fault::DropAll => client == 2 && sender != 2,
                    Fault::DropAnything => is_unlucky(client, body),
                    Fault::ForgetSender => client == sender,
                    _ => false,
                };
                if !is_dropped {
                    self.deliver(client, body);
                }
            }
        }
        if self.fault == Fault::ReplayLate && is_hello_of_later_run {
            self.replay(sender);
        }
    }

    fn publish_load(&mut self, sender: usize, body: &[u8]) {
        self.earlier.get_or_insert_with(|| body.to_vec());
        let load_count = self.clients[sender].load_count;
        self.clients[sender].load_count += 1;
        match self.fault {
            Fault::Reorder if !self.has_struck => return self.reorder(sender, body),
            Fault::ReorderLate if load_count >= 500 && !self.has_struck => return self.reorder(sender, body),
            Fault::Causal if !self.has_struck => return self.answer_first(sender, body),
            Fault::Leak => self.leaked.push(vec![1; 64 << 10]),
            Fault::Hang => loop {
                thread::park();
            },
            _ => {}
        }
        for client in 0..self.clients.len() {
            match self.fault {
                Fault::DropThirds if client == 2 && load_count % 3 == 2 => {}
                Fault::DropHalf if (client + load_count).is_multiple_of(2) => {}
                Fault::DropAnything if is_unlucky(client, body) => {}
                Fault::DropAll if client == 2 => {}
                Fault::ForgetSender if client == sender => {}
                Fault::Swap if client == self.clients.len() - 1 && sender == 0 && !self.has_struck => self.swap(client, body),
                Fault::Corrupt | Fault::Truncate | Fault::Duplicate | Fault::Invent | Fault::HangUp | Fault::Die
                    if client == 2 && !self.has_struck && body.len() > 8 =>
                {
                    self.strike(body);
                }
                _ => self.deliver(client, body),
            }
        }
    }

    /// Holds a message until another sender's arrives, and sends both in two different orders.
    fn reorder(&mut self, sender: usize, body: &[u8]) {
        match self.held.take() {
            Some((other, held)) if other != sender => {
                for client in 0..self.clients.len() {
                    let order = if client == 3 { [body, &held] } else { [&held, body] };
                    for body in order {
                        self.deliver(client, body);
                    }
                }
                self.has_struck = true;
            }
            _ => self.held = Some((sender, body.to_vec())),
        }
    }

    /// Sends a message to client 1 alone, and to the others behind one that client 1 sends after it, which it never gets back.
    fn answer_first(&mut self, sender: usize, body: &[u8]) {
        match &self.held {
            None if sender == 0 => {
                self.deliver(1, body);
                self.held = Some((0, body.to_vec()));
                return;
            }
            Some(_) if sender == 1 => self.answer_count += 1,
            _ => {}
        }
        let is_held = self.held.is_some();
        for client in (0..self.clients.len()).filter(|&client| client != 1 || !is_held) {
            self.deliver(client, body);
        }
        // The first ones may have been under way already.
        if self.answer_count == 5
            && let Some((_, held)) = self.held.take()
        {
            for client in (0..self.clients.len()).filter(|&client| client != 1) {
                self.deliver(client, &held);
            }
            self.has_struck = true;
        }
    }

    /// Holds a message for `client` until the next, and sends it after that.
    fn swap(&mut self, client: usize, body: &[u8]) {
        match self.held.take() {
            Some((_, held)) => {
                self.deliver(client, body);
                self.deliver(client, &held);
                self.has_struck = true;
            }
            None => self.held = Some((0, body.to_vec())),
        }
    }

    /// Delivers to client 2 the way a fault has it that strikes once.
    fn strike(&mut self, body: &[u8]) {
        self.has_struck = true;
        match self.fault {
            Fault::Corrupt => {
                let mut changed = body.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                self.deliver(2, &changed);
            }
            Fault::Truncate => self.deliver(2, &body[..body.len() - 1]),
            Fault::Duplicate => {
                self.deliver(2, body);
                self.deliver(2, body);
            }
            Fault::Invent => {
                self.deliver(2, body);
                self.deliver(2, &[0xff; 20]);
            }
            Fault::HangUp => self.clients[2].stream.shutdown(std::net::Shutdown::Both).unwrap(),
            Fault::Die => {
                eprintln!("the load is too much");
                std::process::exit(7);
            }
            _ => self.deliver(2, body),
        }
    }

    /// Sends `client` a load message of an earlier repetition.
    fn replay(&mut self, client: usize) {
        if let Some(earlier) = self.earlier.take() {
            self.deliver(client, &earlier);
            self.earlier = Some(earlier);
        }
    }

    fn deliver(&mut self, client: usize, body: &[u8]) {
        let mut message = [0; MESSAGE_LEN_MAX];
        let len = Body::new(body).unwrap().encode(&mut message).unwrap();
        let Client { stream, delayed, .. } = &mut self.clients[client];
        // A client that is gone wants nothing.
        let _ = match delayed {
            Some(delayed) => delayed.send((Instant::now() + DELAY, message[..len].to_vec())).map_err(|_| ()),
            None => stream.write_all(&message[..len]).map_err(|_| ()),
        };
    }
}

/// Returns where messages go that are written to a stream when their time has come.
fn delay(mut stream: TcpStream) -> Sender<(Instant, Vec<u8>)> {
    let (sender, messages) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (due, message) in messages {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let _ = stream.write_all(&message);
        }
    });
    sender
}

/// How late a client is sent everything.
const DELAY: Duration = Duration::from_millis(50);

/// What the load tester puts into the two highest bits of the fields of its tags, for two of its kinds of message.
const HELLO: u32 = 0;
const LOAD: u32 = 1;

/// Draws from a body, differently for each client, one of three.
fn is_unlucky(client: usize, body: &[u8]) -> bool {
    body.iter().fold(client, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 3 == 0
}
