//! One repetition: everybody joins, the load, the closing round.
//!
//! One thread serves all connections. What a message of a sender needs before the sender goes on is the business of
//! [`Progress`]; what it proves is the business of [`Proof`].

pub(crate) mod client;
pub(crate) mod progress;
pub(crate) mod roles;
pub(crate) mod stop;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use chat_proto::{BODY_LEN_MAX, MESSAGE_LEN_MAX};
use mio::event::Event;
use mio::{Registry, Token};

use crate::load::client::{Client, ReadUntil, SCRATCH_LEN, Stream};
use crate::load::progress::{Audience, Open, Progress, Step};
use crate::load::roles::Roles;
use crate::load::stop::{Stop, Unresolved};
use crate::proof::payload::Kind;
use crate::proof::{Proof, Receipt};
use crate::server::Server;
use crate::watch::Watch;

/// What a repetition does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Who takes part.
    pub(crate) roles: Roles,
    /// How many messages each publisher sends.
    pub(crate) messages: u32,
    /// The address of the server.
    pub(crate) addr: SocketAddr,
    /// How long nothing may go on before the repetition is given up.
    pub(crate) patience: Duration,
}

/// What was counted in a repetition, to its end or as far as it came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Deliveries of load messages that were asked for: each publisher's messages to its own subscribers.
    pub(crate) sent: u64,
    /// How many of them arrived.
    pub(crate) delivered: u64,
    /// How long the load took, when it was completed.
    pub(crate) took: Duration,
}

/// Runs one repetition. `proof` has begun it, and holds all there is to judge when this returns. `scratch` is [`SCRATCH_LEN`] bytes.
pub(crate) fn run(load: Load, proof: &mut Proof, scratch: &mut [u8], watch: &mut Watch, server: &mut Server) -> Ended {
    debug_assert_eq!(scratch.len(), SCRATCH_LEN);
    let mut repetition = Repetition::new(load, proof, scratch);
    let stop = repetition.run(watch, server).err();
    Ended { count: repetition.count(), stop }
}

/// How a repetition ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What was counted until then.
    pub(crate) count: Count,
    /// Why it ended early, if it did.
    pub(crate) stop: Option<Stop>,
}

/// A repetition under way.
struct Repetition<'a> {
    load: Load,
    phase: Phase,
    /// How many senders have not completed the phase.
    open: usize,
    clients: Vec<Client>,
    /// How many load messages each publisher has sent.
    load_sent: Vec<u32>,
    intake: Intake<'a>,
    scratch: &'a mut [u8],
    /// When something last went on that somebody waits for.
    progressed_at: Instant,
    /// When to look after what no event tells.
    tick_at: Instant,
    took: Duration,
}

impl<'a> Repetition<'a> {
    fn new(load: Load, proof: &'a mut Proof, scratch: &'a mut [u8]) -> Self {
        let now = Instant::now();
        let intake = Intake {
            roles: load.roles,
            proof,
            progress: Progress::new(load.roles, now),
            now,
            delivered: 0,
            completed: Vec::new(),
            has_progressed: false,
            is_broken: false,
        };
        Self {
            load,
            phase: Phase::Join,
            open: 0,
            clients: Vec::with_capacity(load.roles.client_count()),
            load_sent: vec![0; load.roles.publishers],
            intake,
            scratch,
            progressed_at: now,
            tick_at: now,
            took: Duration::ZERO,
        }
    }

    fn run(&mut self, watch: &mut Watch, server: &mut Server) -> Result<(), Stop> {
        self.begin(Phase::Join, self.load.roles.client_count());
        for _ in 0..JOINING_MAX {
            self.connect_next(watch.registry())?;
        }
        self.drive(watch, server)?;

        self.begin(Phase::Load, self.load.roles.publishers);
        let started_at = Instant::now();
        for publisher in 0..self.load.roles.publishers {
            self.send_load(publisher)?;
        }
        self.drive(watch, server)?;
        self.took = started_at.elapsed();

        self.begin(Phase::Close, self.load.roles.publishers);
        for publisher in 0..self.load.roles.publishers {
            self.send_awaited(publisher, Kind::Closing)?;
        }
        self.drive(watch, server)
    }

    fn begin(&mut self, phase: Phase, sender_count: usize) {
        debug_assert_eq!(self.open, 0);
        self.phase = phase;
        self.open = sender_count;
        self.intake.progress.set_audience(phase.audience());
        self.intake.now = Instant::now();
        self.progressed_at = self.intake.now;
    }

    /// Serves all connections until every sender has completed the phase.
    fn drive(&mut self, watch: &mut Watch, server: &mut Server) -> Result<(), Stop> {
        while self.open > 0 {
            watch.wait(TICK).map_err(Stop::Wait)?;
            if watch.is_interrupted() {
                return Err(Stop::Interrupted);
            }
            self.intake.now = Instant::now();
            for event in watch.events() {
                self.handle(event, watch.registry())?;
            }
            if self.intake.now >= self.tick_at {
                self.tick(server)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: &Event, registry: &Registry) -> Result<(), Stop> {
        let client = event.token().0;
        if !self.clients[client].is_connected() && !self.finish_connecting(client)? {
            return Ok(());
        }
        if event.is_writable() {
            self.clients[client].flush().map_err(|source| self.connection(client, source))?;
        }
        let until = if event.is_read_closed() || event.is_error() { ReadUntil::End } else { ReadUntil::Short };
        if event.is_readable() || until == ReadUntil::End {
            self.receive(client, until, registry)?;
        }
        Ok(())
    }

    fn receive(&mut self, client: usize, until: ReadUntil, registry: &Registry) -> Result<(), Stop> {
        let intake = &mut self.intake;
        let received = self.clients[client].receive(self.scratch, until, registry, |body| intake.deliver(client, body.as_bytes()));
        if intake.is_broken {
            return Err(Stop::Broken);
        }
        if std::mem::take(&mut intake.has_progressed) {
            self.progressed_at = self.intake.now;
        }
        while let Some(sender) = self.intake.completed.pop() {
            self.go_on(sender, registry)?;
        }
        match received {
            Ok(Stream::Open) => Ok(()),
            Ok(Stream::Closed) if self.open == 0 => Ok(()),
            Ok(Stream::Closed) => Err(Stop::Closed { who: self.load.roles.role(client).to_string() }),
            Err(source) => Err(self.connection(client, source)),
        }
    }

    /// Does what comes next for a sender whose audience is settled.
    fn go_on(&mut self, sender: usize, registry: &Registry) -> Result<(), Stop> {
        match self.phase {
            Phase::Load if self.load_sent[sender] < self.load.messages => return self.send_load(sender),
            Phase::Join => self.connect_next(registry)?,
            Phase::Load | Phase::Close => {}
        }
        self.open -= 1;
        Ok(())
    }

    /// Begins to connect the next client, if there is one.
    fn connect_next(&mut self, registry: &Registry) -> Result<(), Stop> {
        let client = self.clients.len();
        if client < self.load.roles.client_count() {
            let connection = Client::connect(self.load.addr, Token(client), registry);
            self.clients.push(connection.map_err(|source| self.connection(client, source))?);
        }
        Ok(())
    }

    /// Goes on connecting a client, which says hello as soon as it can, and tells whether it is connected.
    fn finish_connecting(&mut self, client: usize) -> Result<bool, Stop> {
        let is_connected = self.clients[client].finish_connecting().map_err(|source| self.connection(client, source))?;
        if is_connected {
            self.progressed_at = self.intake.now;
            self.send_awaited(client, Kind::Hello)?;
        }
        Ok(is_connected)
    }

    fn send_load(&mut self, publisher: usize) -> Result<(), Stop> {
        self.load_sent[publisher] += 1;
        self.send_awaited(publisher, Kind::Load)
    }

    /// Sends a message on which the audience of the phase has to be settled.
    fn send_awaited(&mut self, sender: usize, kind: Kind) -> Result<(), Stop> {
        let number = self.send(sender, kind)?;
        self.intake.progress.expect(sender, number, self.intake.now);
        Ok(())
    }

    /// Sends the next message of a client and returns its number.
    fn send(&mut self, sender: usize, kind: Kind) -> Result<u32, Stop> {
        let (mut body, mut message) = ([0; BODY_LEN_MAX], [0; MESSAGE_LEN_MAX]);
        let (number, body) = self.intake.proof.send(sender, kind, &mut body);
        let len = body.encode(&mut message).expect("the buffer is as long as the longest message");
        self.clients[sender].send(&message[..len]).map_err(|source| self.connection(sender, source))?;
        Ok(number)
    }

    /// Looks after what no event tells: senders that wait in vain, a server that is gone, time that is up.
    fn tick(&mut self, server: &mut Server) -> Result<(), Stop> {
        self.tick_at = self.intake.now + TICK;
        if server.exit_status().is_some() {
            return Err(Stop::ServerEnded);
        }
        if self.intake.now.duration_since(self.progressed_at) >= self.load.patience {
            return Err(Stop::Unresolved(self.unresolved()));
        }
        for sender in 0..self.clients.len() {
            if self.intake.progress.is_nudge_due(sender, self.intake.now) && !self.clients[sender].has_unsent() {
                let number = self.send(sender, self.phase.nudge())?;
                self.intake.progress.nudged(sender, number, self.intake.now);
            }
        }
        Ok(())
    }

    fn unresolved(&self) -> Unresolved {
        let mut unresolved = Unresolved::new(self.load.patience);
        let role = |client| self.load.roles.role(client);
        for client in (0..self.clients.len()).filter(|&client| !self.clients[client].is_connected()) {
            unresolved.push(|| format!("{} is not connected", role(client)));
        }
        self.intake.progress.for_each_open(|open| {
            unresolved.push(|| match open {
                Open::Unsettled { client, .. } if self.phase == Phase::Join => {
                    format!("{} got none of its own hello messages back", role(client))
                }
                Open::Unsettled { sender, number, client } => {
                    let name = self.intake.proof.name(sender, number);
                    format!("{} got neither {name} nor anything that {} sent later", role(client), role(sender))
                }
                Open::Unseen { sender } => format!("nobody got the last message that {} sent", role(sender)),
            });
        });
        unresolved
    }

    fn count(&self) -> Count {
        let sent: u64 = self.load_sent.iter().map(|&sent| u64::from(sent)).sum();
        Count { sent: sent * self.load.roles.subscribers as u64, delivered: self.intake.delivered, took: self.took }
    }

    fn connection(&self, client: usize, source: std::io::Error) -> Stop {
        Stop::Connection { who: self.load.roles.role(client).to_string(), source }
    }
}

/// What deliveries go through.
struct Intake<'a> {
    roles: Roles,
    proof: &'a mut Proof,
    progress: Progress,
    /// When the current turn began.
    now: Instant,
    /// How many load messages have reached subscribers of their publishers.
    delivered: u64,
    /// The senders that may go on; at most one entry each.
    completed: Vec<usize>,
    has_progressed: bool,
    is_broken: bool,
}

impl Intake<'_> {
    /// Takes one delivery, and breaks off when it breaks the promise: nothing that follows could mend it.
    fn deliver(&mut self, client: usize, body: &[u8]) -> ControlFlow<()> {
        let (sender, kind, number) = match self.proof.receive(client, body) {
            Receipt::Message { sender, kind, number } => (sender, kind, number),
            Receipt::Earlier => return ControlFlow::Continue(()),
            Receipt::Broken => return self.broken(),
        };
        if kind == Kind::Load && self.roles.is_own_subscriber(client, sender) {
            self.delivered += 1;
        }
        match self.progress.received(client, sender, number, self.now) {
            Step::None => {}
            Step::Forward => self.has_progressed = true,
            Step::Complete => {
                self.has_progressed = true;
                self.completed.push(sender);
            }
            Step::OutOfOrder => return self.broken(),
        }
        ControlFlow::Continue(())
    }

    fn broken(&mut self) -> ControlFlow<()> {
        self.is_broken = true;
        ControlFlow::Break(())
    }
}

/// The part of a repetition that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Clients connect and say hello; each is registered when its own hello message comes back.
    Join,
    /// Publishers send, each message when all subscribers of the publisher are settled on the one before.
    Load,
    /// Publishers send a closing message each, and everybody waits for all of them.
    Close,
}

impl Phase {
    /// Returns who has to be settled on a message of this phase.
    fn audience(self) -> Audience {
        match self {
            Self::Join => Audience::Sender,
            Self::Load => Audience::OwnSubscribers,
            Self::Close => Audience::Everyone,
        }
    }

    /// Returns what a sender that waits in vain sends, to find out what became of the message it waits for.
    fn nudge(self) -> Kind {
        match self {
            Self::Join => Kind::Hello,
            Self::Load => Kind::Probe,
            Self::Close => Kind::Closing,
        }
    }
}

/// How many clients are under way to be registered at a time. A judgement: half of the shortest backlog that servers commonly listen
/// with, 128.
const JOINING_MAX: usize = 64;

/// How often to look after what no event tells. A judgement: half the shortest time after which a sender sends a probe.
const TICK: Duration = Duration::from_millis(50);
