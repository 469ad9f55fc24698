//! The turns of a repetition.

use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Registry, Token};

use crate::load::client::{Client, ReadUntil, Stream};
use crate::load::guests::{STAY, SlowReading, Stalled, Visits};
use crate::load::intake::Intake;
use crate::load::pace::Pacing;
use crate::load::progress::{Audience, Open};
use crate::load::publishing::Publisher;
use crate::load::stop::{Stop, Unresolved};
use crate::load::{Bench, Clock, Count, Load, Phase, Tick, nanos};
use crate::proof::payload::{CLIENTS_MAX, Kind};
use crate::proof::sends::Nanos;
use crate::server::Server;
use crate::watch::Watch;

/// A repetition under way.
pub(crate) struct Repetition<'a> {
    pub(super) load: &'a Load,
    pub(super) bench: Shared<'a>,
    pub(super) phase: Phase,
    /// How many have not completed the phase: senders that wait, and visitors that have not joined.
    pub(super) open: usize,
    /// The clients, by their numbers. Visitors that have left are none.
    pub(super) clients: Vec<Option<Client>>,
    /// When each began to connect.
    connected_at: Vec<Nanos>,
    pub(super) publishers: Vec<Publisher>,
    /// The publishers that may send at once, though nothing arrives.
    pub(super) ready: Vec<usize>,
    pub(super) intake: Intake<'a>,
    /// What is being sent.
    pub(super) wire: Vec<u8>,
    /// When the current turn began.
    pub(super) now: Nanos,
    /// When something last went on that somebody waits for.
    progressed_at: Nanos,
    /// When anything last arrived.
    received_at: Nanos,
    /// When to look after what no event tells.
    tick_at: Nanos,
    pub(super) phase_start: Nanos,
    took: Duration,
    stalled: Stalled,
    slow: SlowReading,
    visits: Visits,
}

/// What a repetition borrows, but for what it waits with.
pub(super) struct Shared<'a> {
    addr: std::net::SocketAddr,
    pub(super) clock: Clock,
    scratch: &'a mut [u8],
    on_tick: &'a mut dyn FnMut(Tick),
}

impl<'a> Repetition<'a> {
    pub(crate) fn new(
        load: &'a Load,
        bench: &'a mut Bench<'_>,
        on_tick: &'a mut dyn FnMut(Tick),
    ) -> (Self, &'a mut Watch, &'a mut Option<Server>) {
        let now = bench.clock.now();
        let Bench { addr, clock, proof, latencies, scratch, watch, server } = bench;
        let repetition = Self {
            load,
            bench: Shared { addr: *addr, clock: *clock, scratch, on_tick },
            phase: Phase::Join,
            open: 0,
            clients: Vec::with_capacity(load.roles.resident_count()),
            connected_at: Vec::with_capacity(load.roles.resident_count()),
            publishers: vec![Publisher::default(); load.roles.publishers],
            ready: Vec::new(),
            intake: Intake::new(load.roles, proof, latencies),
            wire: Vec::new(),
            now,
            progressed_at: now,
            received_at: now,
            tick_at: now,
            phase_start: now,
            took: Duration::ZERO,
            stalled: Stalled::default(),
            slow: SlowReading::new(load.slow_rate, now),
            visits: Visits::new(now, 0.0),
        };
        (repetition, watch, server)
    }

    pub(crate) fn run(&mut self, watch: &mut Watch, server: &mut Option<Server>) -> Result<(), Stop> {
        self.begin(Phase::Join, self.load.roles.resident_count());
        self.connect_due(watch.registry())?;
        self.drive(watch, server)?;
        let stalled = Stalled::connect(self.load.stalled, self.bench.addr, self.load.patience);
        self.stalled = stalled.map_err(|source| Stop::Connection { who: "a client that is to stall".to_owned(), source })?;

        self.begin(Phase::Load, self.load.roles.publishers);
        self.slow = SlowReading::new(self.load.slow_rate, self.now);
        self.visits = Visits::new(self.now, self.load.churn);
        if !matches!(self.load.pacing, Pacing::Rate(_)) {
            for publisher in 0..self.load.roles.publishers {
                self.load_more(publisher)?;
            }
        }
        self.drive(watch, server)?;
        self.took = Duration::from_nanos(self.bench.clock.now() - self.phase_start);
        self.intake.count.closed = self.stalled.closed_count(self.bench.scratch);

        self.begin(Phase::Close, self.load.roles.publishers + self.visits.pending_count());
        for slow in self.load.roles.member_count()..self.load.roles.resident_count() {
            let rearmed = self.client(slow).rearm(watch.registry());
            rearmed.map_err(|source| self.connection(slow, source))?;
        }
        for publisher in 0..self.load.roles.publishers {
            self.send_awaited(publisher, Kind::Closing)?;
        }
        self.drive(watch, server)
    }

    fn begin(&mut self, phase: Phase, open: usize) {
        debug_assert_eq!(self.open, 0);
        self.phase = phase;
        self.open = open;
        self.intake.progress.set_audience(match phase {
            Phase::Join => Audience::Sender,
            Phase::Load => Audience::OwnSubscribers,
            Phase::Close => Audience::Everyone,
        });
        // Whoever is told may take some time, which is none of the phase's.
        self.now = self.bench.clock.now();
        self.phase_start = self.now;
        self.tell();
        self.now = self.bench.clock.now();
        (self.phase_start, self.progressed_at, self.received_at) = (self.now, self.now, self.now);
    }

    /// Serves all connections until the phase is completed.
    fn drive(&mut self, watch: &mut Watch, server: &mut Option<Server>) -> Result<(), Stop> {
        while self.open > 0 {
            self.wait(watch).map_err(Stop::Wait)?;
            if watch.is_interrupted() {
                return Err(Stop::Interrupted);
            }
            self.now = self.bench.clock.now();
            for event in watch.events() {
                self.handle(event, watch.registry())?;
            }
            for publisher in std::mem::take(&mut self.ready) {
                self.load_more(publisher)?;
            }
            if let (Phase::Load, Pacing::Rate(rate)) = (self.phase, self.load.pacing) {
                self.send_due(rate)?;
            }
            self.serve_visitors(watch.registry())?;
            if self.now >= self.tick_at {
                self.tick(server, watch.registry())?;
            }
        }
        Ok(())
    }

    /// Waits for events, or until there is something to do without one.
    fn wait(&self, watch: &mut Watch) -> io::Result<()> {
        if !self.ready.is_empty() {
            return watch.wait(Duration::ZERO);
        }
        if let (Phase::Load, Pacing::Rate(rate)) = (self.phase, self.load.pacing) {
            let schedule = self.schedule(rate);
            // Whose socket is full has an event to wait for.
            let is_sending = |&(index, publisher): &(usize, &Publisher)| {
                !publisher.has_finished && self.clients[index].as_ref().is_some_and(|client| !client.has_unsent())
            };
            let sending = self.publishers.iter().enumerate().filter(is_sending);
            if let Some(due) = sending.map(|(index, publisher)| schedule.due(index, publisher.next)).min() {
                watch.wake_after(Duration::from_nanos(due.saturating_sub(self.bench.clock.now())))?;
            }
        }
        watch.wait(TICK)
    }

    fn handle(&mut self, event: &Event, registry: &Registry) -> Result<(), Stop> {
        let client = event.token().0;
        let Some(connection) = &mut self.clients[client] else { return Ok(()) };
        if !connection.is_connected() && !self.finish_connecting(client, registry)? {
            return Ok(());
        }
        if event.is_writable() && self.client(client).has_unsent() {
            self.client(client).flush().map_err(|source| self.connection(client, source))?;
            // A publisher that floods was waiting for this, unless it has finished.
            let is_flooding = self.phase == Phase::Load && self.load.pacing == Pacing::Flood;
            if is_flooding && !self.client(client).has_unsent() && self.publishers.get(client).is_some_and(|it| !it.has_finished) {
                self.ready.push(client);
            }
        }
        let until = if event.is_read_closed() || event.is_error() { ReadUntil::End } else { ReadUntil::Short };
        if (event.is_readable() || until == ReadUntil::End) && self.is_read_at_once(client) {
            self.receive(client, until, registry)?;
        }
        Ok(())
    }

    /// Tells whether what arrives at a client is read when it does: not at slow ones during the load, nor at publishers that do not read.
    fn is_read_at_once(&self, client: usize) -> bool {
        let roles = self.load.roles;
        let is_slow = (roles.member_count()..roles.resident_count()).contains(&client) && self.phase == Phase::Load;
        !is_slow && client >= roles.readers().start
    }

    fn receive(&mut self, client: usize, until: ReadUntil, registry: &Registry) -> Result<(), Stop> {
        let (intake, clock) = (&mut self.intake, self.bench.clock);
        let connection = self.clients[client].as_mut().expect("events are for clients that are there");
        let received =
            connection.receive(self.bench.scratch, until, registry, |messages| intake.deliver(client, messages, clock.now()));
        self.received(client, received, registry)
    }

    /// Draws the consequences of what a client has received.
    fn received(&mut self, client: usize, received: io::Result<Stream>, registry: &Registry) -> Result<(), Stop> {
        if self.intake.is_broken {
            return Err(Stop::Broken);
        }
        self.received_at = self.now;
        if std::mem::take(&mut self.intake.has_progressed) {
            self.progressed_at = self.now;
        }
        while let Some(joined) = self.intake.joined.pop() {
            self.joined(joined);
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

    /// Notes that a client is registered.
    fn joined(&mut self, client: usize) {
        self.intake.latencies.joined(self.now.saturating_sub(self.connected_at[client]));
        if client >= self.load.roles.resident_count() {
            self.visits.joined(client, self.now);
            // In the closing round it is waited for.
            self.open -= usize::from(self.phase == Phase::Close);
        }
    }

    /// Does what comes next for a sender whose audience is settled.
    fn go_on(&mut self, sender: usize, registry: &Registry) -> Result<(), Stop> {
        if self.phase == Phase::Load && !self.publishers[sender].has_finished {
            return self.load_more(sender);
        }
        self.open -= 1;
        if self.phase == Phase::Join {
            self.connect_due(registry)?;
        }
        Ok(())
    }

    /// Begins to connect the residents that it is time for.
    fn connect_due(&mut self, registry: &Registry) -> Result<(), Stop> {
        let resident_count = self.load.roles.resident_count();
        let joined_count = resident_count - self.open;
        let passed = (self.now - self.phase_start) as f64 / 1e9;
        let due_count = self.load.connect_rate.map_or(resident_count, |rate| 1 + (passed * rate) as usize);
        while self.clients.len() < due_count.min(resident_count).min(joined_count + JOINING_MAX) {
            self.connect(registry)?;
        }
        Ok(())
    }

    /// Begins to connect one more client.
    fn connect(&mut self, registry: &Registry) -> Result<(), Stop> {
        let client = self.clients.len();
        self.connected_at.push(self.bench.clock.now());
        let connection = Client::connect(self.bench.addr, Token(client), registry);
        self.clients.push(Some(connection.map_err(|source| self.connection(client, source))?));
        Ok(())
    }

    /// Goes on connecting a client, which says hello as soon as it can, and tells whether it is connected.
    fn finish_connecting(&mut self, client: usize, registry: &Registry) -> Result<bool, Stop> {
        let is_connected = self.client(client).finish_connecting().map_err(|source| self.connection(client, source))?;
        if !is_connected {
            return Ok(false);
        }
        if client >= self.load.roles.resident_count() {
            self.send(client, Kind::Hello)?;
            self.visits.said_hello(client, self.now);
            return Ok(true);
        }
        self.progressed_at = self.now;
        if client >= self.load.roles.readers().start {
            self.send_awaited(client, Kind::Hello)?;
        } else {
            // It does not read, so there is nothing to wait for.
            self.go_on(client, registry)?;
        }
        Ok(true)
    }

    /// Lets visitors come and go.
    fn serve_visitors(&mut self, registry: &Registry) -> Result<(), Stop> {
        if self.load.churn == 0.0 || self.phase == Phase::Join {
            return Ok(());
        }
        while self.phase == Phase::Load && self.clients.len() < CLIENTS_MAX as usize && self.visits.comes(self.now) {
            self.intake.proof.make_room(self.clients.len() + 1);
            self.intake.progress.add_client();
            self.connect(registry)?;
        }
        while let Some(client) = self.visits.leaves(self.now, STAY) {
            self.clients[client] = None;
            self.intake.count.visited += 1;
        }
        Ok(())
    }

    /// Looks after what no event tells: senders that wait in vain, slow readers, a server that is gone, time that is up.
    fn tick(&mut self, server: &mut Option<Server>, registry: &Registry) -> Result<(), Stop> {
        self.tick_at = self.now + nanos(TICK);
        if server.as_mut().is_some_and(|server| server.exit_status().is_some()) {
            return Err(Stop::ServerEnded);
        }
        self.tell();
        // Looking takes its time, so it is done before it matters and not at once.
        if self.now.saturating_sub(self.progressed_at) >= nanos(self.load.patience / 2) && self.is_between() {
            (self.progressed_at, self.received_at) = (self.now, self.now);
        }
        if self.phase == Phase::Join {
            self.connect_due(registry)?;
        }
        if self.phase == Phase::Load {
            self.read_slowly(registry)?;
        }
        while let Some(visitor) = self.visits.is_overdue(self.now) {
            self.send(visitor, Kind::Hello)?;
        }
        self.check_patience()?;
        for sender in 0..self.load.roles.resident_count().min(self.clients.len()) {
            if self.intake.progress.is_nudge_due(sender, self.now) && !self.client(sender).has_unsent() {
                self.send(sender, self.phase.nudge())?;
                self.intake.progress.nudged(sender, self.now);
            }
        }
        Ok(())
    }

    fn read_slowly(&mut self, registry: &Registry) -> Result<(), Stop> {
        let allowance = self.slow.allowance(self.now);
        if allowance == 0 {
            // To read nothing would look like the end of the stream.
            return Ok(());
        }
        for client in self.load.roles.member_count()..self.load.roles.resident_count() {
            let (intake, clock) = (&mut self.intake, self.bench.clock);
            let connection = self.clients[client].as_mut().expect("slow clients stay");
            let received =
                connection.receive_some(self.bench.scratch, allowance, |messages| intake.deliver(client, messages, clock.now()));
            self.received(client, received, registry)?;
        }
        Ok(())
    }

    /// Gives up when nothing has gone on for too long.
    fn check_patience(&self) -> Result<(), Stop> {
        let patience = self.load.patience;
        // Where nobody waits for single messages, all of them are progress; and who has to take a long log before its end makes some.
        let is_in_lockstep = match (self.phase, self.load.pacing) {
            (Phase::Join, _) => true,
            (Phase::Load, Pacing::Window(window)) => window.get() == 1,
            _ => false,
        };
        let since = if is_in_lockstep { self.progressed_at } else { self.progressed_at.max(self.intake.loaded_at) };
        if self.now.saturating_sub(since) < nanos(patience) {
            return Ok(());
        }
        if self.phase == Phase::Join
            && let Some(client) =
                (0..self.clients.len()).find(|&client| self.intake.progress.is_forgotten(client, self.intake.proof))
        {
            let count = self.intake.proof.sends(client).count();
            return Err(Stop::Forgotten { who: self.load.roles.role(client).to_string(), count });
        }
        let are_connected = self.clients.iter().flatten().all(Client::is_connected);
        if self.phase != Phase::Close && are_connected && self.now.saturating_sub(self.received_at) >= nanos(patience) {
            return Err(Stop::Hung { patience });
        }
        Err(Stop::Unresolved(self.unresolved()))
    }

    /// Tells whether nobody waits for anything but the next message of the schedule, or the next client that is to connect.
    fn is_between(&self) -> bool {
        match (self.phase, self.load.pacing) {
            (Phase::Join, _) => self.open == self.load.roles.resident_count() - self.clients.len(),
            (Phase::Load, Pacing::Rate(_)) => self.intake.proof.unresolved() == 0,
            _ => false,
        }
    }

    fn unresolved(&self) -> Unresolved {
        let mut unresolved = Unresolved::new(self.load.patience);
        let role = |client| self.load.roles.role(client);
        for (client, connection) in self.clients.iter().enumerate() {
            if connection.as_ref().is_some_and(|connection| !connection.is_connected()) {
                unresolved.push(|| format!("{} is not connected", role(client)));
            }
        }
        for visitor in self.visits.waiting() {
            unresolved.push(|| format!("{} did not get its last hello message back", role(visitor)));
        }
        self.intake.progress.for_each_open(self.intake.proof, |open| {
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

    /// Returns what has been counted so far.
    pub(crate) fn count(&self) -> Count {
        let took = if self.took.is_zero() && self.phase == Phase::Load { self.now - self.phase_start } else { nanos(self.took) };
        let measured_time = took.saturating_sub(nanos(self.load.warmup));
        Count {
            own_sent: self.intake.count.sent * self.load.roles.subscribers as u64,
            took: Duration::from_nanos(took),
            measured_time: Duration::from_nanos(measured_time),
            ..self.intake.count
        }
    }

    fn tell(&mut self) {
        let (count, lost) = (self.count(), self.intake.proof.lost());
        (self.bench.on_tick)(Tick { phase: self.phase, count, lost, p99: self.intake.latencies.delivery_p99() });
    }

    pub(super) fn client(&mut self, client: usize) -> &mut Client {
        self.clients[client].as_mut().expect("residents stay")
    }

    pub(super) fn connection(&self, client: usize, source: io::Error) -> Stop {
        Stop::Connection { who: self.load.roles.role(client).to_string(), source }
    }
}

impl Phase {
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
