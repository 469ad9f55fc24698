//! Who receives what, in which order. Everything that a fault does to messages is here.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use chat_proto::{Body, MESSAGE_LEN_MAX};

use crate::fault::Fault;
use crate::message::{self, CLOSING, HELLO, Held, Message, TAG_LEN, is_unlucky};
use crate::outbox::Outbox;

/// All clients, and what the fault remembers.
pub(crate) struct Hub {
    /// What is wrong. A fault that strikes once is honest afterwards.
    fault: Fault,
    victim: usize,
    delay: Duration,
    clients: Vec<Client>,
    /// How many load messages there were.
    load_count: usize,
    /// A message that a fault holds back.
    held: Option<Held>,
    /// How many messages have been sent that may answer the one that is held.
    answer_count: usize,
    /// Memory that is kept for nothing.
    leaked: Vec<Vec<u8>>,
    /// What coins are tossed with.
    random: u64,
    /// Two load messages, for a later repetition.
    earlier: Vec<Vec<u8>>,
}

impl Hub {
    /// Makes a hub without clients.
    pub(crate) fn new(fault: Fault, victim: usize, delay: Duration) -> Self {
        Self {
            fault,
            victim,
            delay,
            clients: Vec::new(),
            load_count: 0,
            held: None,
            answer_count: 0,
            leaked: Vec::new(),
            random: 1,
            earlier: Vec::new(),
        }
    }

    /// Adds a client and returns its number.
    pub(crate) fn join(&mut self, stream: TcpStream) -> usize {
        let client = self.clients.len();
        let is_late =
            self.fault == Fault::DelayAll || (self.fault == Fault::Delay && client == self.victim);
        let delay = if is_late { self.delay } else { Duration::ZERO };
        self.clients.push(Client {
            outbox: Some(Outbox::start(stream, delay)),
            load_count: 0,
            has_spoken: false,
        });
        // Whoever joins gets it before anything else.
        let replayed: &[usize] = match self.fault {
            Fault::ReplayEarly => &[0],
            Fault::ReplayTwo => &[0, 1],
            Fault::ReplayReversed => &[1, 0],
            Fault::ReplayTwice => &[0, 0],
            _ => &[],
        };
        for &index in replayed {
            self.replay(client, index);
        }
        client
    }

    /// Lets a client go that sends no more.
    pub(crate) fn leave(&mut self, client: usize) {
        match self.fault {
            Fault::StayOpen => return,
            Fault::InventLast => self.deliver(client, &[0xff; 20]),
            Fault::CutLast => self.clients[client]
                .outbox
                .iter()
                .for_each(|outbox| outbox.push(&[20, 1, 2])),
            Fault::CloseEarly | Fault::Abort => {
                if let Some(outbox) = &self.clients[client].outbox {
                    outbox.close_now(self.fault == Fault::Abort);
                }
            }
            _ => {}
        }
        self.clients[client].outbox = None;
    }

    /// Forwards the beginning of a message whose sender has left, if the fault has it so.
    pub(crate) fn forward_rest(&self, unfinished: &[u8]) {
        if self.fault == Fault::ForwardUnfinished {
            self.forward(unfinished);
        }
    }

    /// Forwards bytes as they are.
    pub(crate) fn forward(&self, bytes: &[u8]) {
        for client in &self.clients {
            client.outbox.iter().for_each(|outbox| outbox.push(bytes));
        }
    }

    /// Lets all clients go, and returns what is left to write to them.
    pub(crate) fn close(&mut self) -> Vec<Outbox> {
        let clients = self.clients.iter_mut();
        clients.filter_map(|client| client.outbox.take()).collect()
    }

    /// Forwards what a client sent.
    pub(crate) fn publish(&mut self, sender: usize, body: &[u8]) {
        let message = self.message(sender, body);
        let is_of_later_run = message.kind == Some(HELLO)
            && self
                .earlier
                .first()
                .is_some_and(|earlier| earlier[..2] != body[..2]);
        match self.fault {
            Fault::Reorder => self.reorder(message),
            Fault::Swap => self.swap(message),
            Fault::Causal => self.answer_first(message),
            _ => self.broadcast(message),
        }
        if self.fault == Fault::ReplayLate && is_of_later_run {
            self.replay(sender, 0);
        }
    }

    /// Looks at a message and counts it. Leaks or breaks down if the fault has it so.
    fn message<'a>(&mut self, sender: usize, body: &'a [u8]) -> Message<'a> {
        let kind = message::kind(body);
        self.clients[sender].has_spoken = true;
        if self.fault == Fault::Leak {
            // What is not zero is really there.
            self.leaked.push(vec![1; LEAK_LEN]);
        }
        let message = Message {
            sender,
            kind,
            number: self.clients[sender].load_count,
            body,
        };
        if message.is_load() {
            if self.earlier.len() < 2 {
                self.earlier.push(body.to_vec());
            }
            self.clients[sender].load_count += 1;
            self.load_count += 1;
            if self.load_count == LATE {
                self.break_down();
            }
        }
        message
    }

    /// Does what a fault has it that shows late.
    fn break_down(&mut self) {
        match self.fault {
            Fault::ReorderLate => self.fault = Fault::Reorder,
            Fault::Die => {
                eprintln!("the load is too much");
                std::process::exit(7);
            }
            // These are under the lock, so that nobody else goes on either.
            Fault::Pause => thread::sleep(PAUSE),
            Fault::Hang => loop {
                thread::park();
            },
            _ => {}
        }
    }

    /// Delivers to every client, unless the fault drops the message, and to the victim as the fault
    /// has it.
    fn broadcast(&mut self, message: Message<'_>) {
        for client in 0..self.clients.len() {
            if self.is_dropped(client, message) || self.is_dropped_at_random(client) {
                continue;
            }
            if client == self.victim {
                self.strike(message);
            } else {
                self.deliver(client, message.body);
            }
        }
    }

    fn is_dropped_at_random(&mut self, client: usize) -> bool {
        match self.fault {
            Fault::DropRandom => self.toss(),
            Fault::DropMostRandom if client == self.victim => {
                self.toss();
                self.random >> 32 < (u64::from(u32::MAX) / 10) * 9
            }
            _ => false,
        }
    }

    /// Tosses a coin.
    fn toss(&mut self) -> bool {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 63 == 1
    }

    fn is_dropped(&self, client: usize, message: Message<'_>) -> bool {
        match self.fault {
            Fault::DropThirds => {
                message.is_load() && client == self.victim && message.number % 3 == 2
            }
            Fault::DropHalf => message.is_load() && (client + message.number).is_multiple_of(2),
            Fault::DropHalfBulk => message.is_load() && message.number.is_multiple_of(2),
            Fault::DropAnything => is_unlucky(client, message.body),
            Fault::DropAll => {
                client == self.victim && (message.is_load() || message.sender != client)
            }
            Fault::DropClosing => client == self.victim && message.kind == Some(CLOSING),
            Fault::SwallowClosing => message.sender == 0 && message.kind == Some(CLOSING),
            Fault::ForgetVictim => client == self.victim,
            Fault::ForgetVictimLate => client == self.victim && self.load_count >= LATE,
            Fault::EchoOnly => client != message.sender,
            Fault::ForgetSender => client == message.sender,
            Fault::ForgetLoad => message.is_load() && client == message.sender,
            _ => false,
        }
    }

    /// Delivers to the victim, the way a fault has it that strikes once.
    fn strike(&mut self, message: Message<'_>) {
        let (victim, body) = (self.victim, message.body);
        match self.fault {
            Fault::WrongStart => self.deliver_from(1 + body.len() / 2, victim, body),
            _ if !message.is_load() || body.len() == TAG_LEN => return self.deliver(victim, body),
            Fault::Corrupt => {
                let mut changed = body.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                self.deliver(victim, &changed);
            }
            Fault::Truncate => self.deliver(victim, &body[..body.len() - 1]),
            Fault::Duplicate => {
                self.deliver(victim, body);
                self.deliver(victim, body);
            }
            Fault::Invent => {
                self.deliver(victim, body);
                self.deliver(victim, &[0xff; 20]);
            }
            Fault::HangUp => self.clients[victim].outbox = None,
            _ => return self.deliver(victim, body),
        }
        self.fault = Fault::Honest;
    }

    /// Holds a message until another sender's arrives, and sends both in two different orders.
    fn reorder(&mut self, message: Message<'_>) {
        match self.held.take() {
            None if message.is_load() => self.held = Some(message.held()),
            None => self.broadcast(message),
            Some(held) if message.is_load() && held.sender != message.sender => {
                for client in 0..self.clients.len() {
                    let order = if client == self.victim {
                        [message.body, &held.body]
                    } else {
                        [&held.body, message.body]
                    };
                    for body in order {
                        self.deliver(client, body);
                    }
                }
                self.fault = Fault::Honest;
            }
            Some(held) => {
                self.release(&held);
                self.reorder(message);
            }
        }
    }

    /// Delivers a message of client 0 to client 1 only, and to the others when they have had the
    /// answer.
    ///
    /// No client may then receive both in the right order, or it would contradict the others, and
    /// that is another fault. So client 1 receives nothing in the meantime.
    fn answer_first(&mut self, message: Message<'_>) {
        match self.held.take() {
            None if message.is_load() && message.sender == 0 => {
                self.deliver(1, message.body);
                self.held = Some(Held {
                    had_by: Some(1),
                    ..message.held()
                });
            }
            None => self.broadcast(message),
            Some(held) if message.is_load() && message.sender != 0 => {
                for client in (0..self.clients.len()).filter(|&client| client != 1) {
                    self.deliver(client, message.body);
                }
                self.answer_count += usize::from(message.sender == 1);
                if self.answer_count < ANSWERED {
                    self.held = Some(held);
                } else {
                    // Whether client 1 had it by then, only client 1 knows. So the next one may do,
                    // too.
                    self.release(&held);
                    self.answer_count = 0;
                }
            }
            // Held any longer, it would come after a message that its sender sent later. The next
            // one may do.
            Some(held) => {
                self.release(&held);
                self.answer_count = 0;
                self.answer_first(message);
            }
        }
    }

    /// Holds a message for the last client until the next, and sends it after that.
    fn swap(&mut self, message: Message<'_>) {
        if !message.is_load() || message.sender != 0 {
            return self.broadcast(message);
        }
        // Some come and say nothing.
        let last = self.clients.iter().rposition(|client| client.has_spoken);
        let last = last.expect("somebody has sent this");
        for client in 0..last {
            self.deliver(client, message.body);
        }
        match self.held.take() {
            None => self.held = Some(message.held()),
            Some(held) => {
                self.deliver(last, message.body);
                self.deliver(last, &held.body);
                self.fault = Fault::Honest;
            }
        }
    }

    /// Delivers what was held back.
    fn release(&self, held: &Held) {
        for client in (0..self.clients.len()).filter(|&client| held.had_by != Some(client)) {
            self.deliver(client, &held.body);
        }
    }

    /// Sends `client` one of the first load messages of an earlier repetition.
    fn replay(&self, client: usize, index: usize) {
        if let Some(earlier) = self.earlier.get(index) {
            self.deliver(client, earlier);
        }
    }

    fn deliver(&self, client: usize, body: &[u8]) {
        self.deliver_from(0, client, body);
    }

    /// Delivers a message without its first `start` bytes.
    fn deliver_from(&self, start: usize, client: usize, body: &[u8]) {
        // A client that is gone wants nothing.
        if let Some(outbox) = &self.clients[client].outbox {
            let mut message = [0; MESSAGE_LEN_MAX];
            let len = Body::new(body).unwrap().encode(&mut message).unwrap();
            outbox.push(&message[start..len]);
        }
    }
}

struct Client {
    /// `None` when it has left.
    outbox: Option<Outbox>,
    /// How many load messages it has sent.
    load_count: usize,
    /// Whether it has sent a message.
    has_spoken: bool,
}

/// How many load messages make it late. A judgement: any load has settled by then, and a test has
/// not become slow.
const LATE: usize = 500;

/// How many load messages client 1 sends, each when the one before has arrived, until it is taken
/// for granted that it has received what was sent to it before. A judgement: a millisecond, and the
/// load tester serves all its connections in turn.
const ANSWERED: usize = 20;

/// How long to do nothing. A judgement: buffers between the two are full long before.
const PAUSE: Duration = Duration::from_secs(3);

/// How many bytes to leak with each message. A judgement: a few hundred messages are plain to see.
const LEAK_LEN: usize = 64 << 10;
