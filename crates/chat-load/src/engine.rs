//! The turns of a repetition.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chat_results::{Count, Load, Pacing, Phase, Tick};
use chat_trace::{Kind, Nanos, Topology};
use mio::Registry;
use mio::event::Event;

use crate::antagonists::{STALLED_TOKEN, SlowReading, Stalled, Visits};
use crate::bench::{Bench, Clock, OnTick, nanos};
use crate::connection::{Client, ReadUntil, Stream};
use crate::intake::Intake;
use crate::leaving::LeftOpen;
use crate::outbox::Outbox;
use crate::pacing::CATCH_UP;
use crate::poller::Poller;
use crate::protocol::Protocol;
use crate::publishing::Publisher;
use crate::settle::Audience;
use crate::stop::Stop;

/// A repetition under way.
pub(crate) struct Repetition<'a, P> {
    pub(crate) load: &'a Load,
    pub(crate) topology: Topology,
    pub(crate) bench: Shared<'a>,
    pub(crate) phase: Phase,
    /// How many have not completed the phase: senders that wait, and visitors that have not
    /// joined.
    pub(crate) open: usize,
    /// The clients, by their numbers. Visitors that have left are none.
    pub(crate) clients: Vec<Option<Client>>,
    /// When each began to connect.
    pub(crate) connected_at: Vec<Nanos>,
    pub(crate) publishers: Vec<Publisher>,
    /// The publishers that may send at once, though nothing arrives.
    pub(crate) ready: Vec<usize>,
    pub(crate) intake: Intake<'a, P>,
    /// What is being sent.
    pub(crate) outbox: Outbox<P>,
    /// When the current turn began.
    pub(crate) now: Nanos,
    /// When that may have happened which the current turn is told of, at the earliest.
    pub(crate) since: Nanos,
    /// When something last went on that somebody waits for.
    pub(crate) progressed_at: Nanos,
    /// When anything last arrived.
    pub(crate) received_at: Nanos,
    /// When to look after what no event tells.
    tick_at: Nanos,
    /// When publishers with a schedule last asked what became of their messages.
    pub(crate) asked_at: Nanos,
    pub(crate) phase_start: Nanos,
    took: Duration,
    pub(crate) stalled: Stalled,
    /// A client that the server may leave out, and that has ended its sending side to find out.
    pub(crate) suspect: Option<usize>,
    slow: SlowReading,
    pub(crate) visits: Visits,
}

/// What a repetition borrows, but for what it waits with.
pub(crate) struct Shared<'a> {
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Clock,
    scratch: &'a mut [u8],
    pub(crate) left_open: &'a mut LeftOpen,
    on_tick: &'a mut OnTick<'a>,
}

impl<'a, P: Protocol + Copy> Repetition<'a, P> {
    pub(crate) fn new(
        load: &'a Load,
        bench: &'a mut Bench<P>,
        on_tick: &'a mut OnTick<'a>,
    ) -> (Self, &'a mut Poller) {
        let (now, topology) = (bench.clock.now(), Topology::of(load));
        let Bench {
            addr,
            protocol,
            clock,
            trace,
            latencies,
            scratch,
            left_open,
            poller,
        } = bench;
        let repetition = Self {
            load,
            topology,
            bench: Shared {
                addr: *addr,
                clock: *clock,
                scratch,
                left_open,
                on_tick,
            },
            phase: Phase::Join,
            open: 0,
            clients: Vec::with_capacity(topology.resident_count()),
            connected_at: Vec::with_capacity(topology.resident_count()),
            publishers: vec![Publisher::default(); topology.publishers],
            ready: Vec::new(),
            intake: Intake::new(*protocol, topology, trace, latencies),
            outbox: Outbox::new(*protocol),
            now,
            since: now,
            progressed_at: now,
            received_at: now,
            tick_at: now,
            asked_at: now,
            phase_start: now,
            took: Duration::ZERO,
            stalled: Stalled::default(),
            suspect: None,
            slow: SlowReading::new(load.slow.bytes_per_s, now),
            visits: Visits::new(now, 0.0),
        };
        (repetition, poller)
    }

    pub(crate) fn run(&mut self, poller: &mut Poller) -> Result<(), Stop> {
        self.begin(
            Phase::Join,
            self.topology.resident_count() + self.load.stalled as usize,
        )?;
        self.connect_due(poller.registry())?;
        self.drive(poller)?;

        self.begin(Phase::Load, self.topology.publishers)?;
        self.slow = SlowReading::new(self.load.slow.bytes_per_s, self.now);
        self.visits = Visits::new(self.now, self.load.churn);
        if !matches!(self.load.pacing, Pacing::Rate(_)) {
            for publisher in 0..self.topology.publishers {
                self.load_more(publisher)?;
            }
        }
        self.drive(poller)?;
        self.took = Duration::from_nanos(self.bench.clock.now() - self.phase_start);
        self.intake.count.closed += self.stalled.closed_count(self.bench.scratch);

        self.begin(
            Phase::Close,
            self.topology.publishers + self.visits.pending_count(),
        )?;
        for slow in self.topology.slow_clients() {
            let rearmed = self.clients[slow]
                .as_mut()
                .map_or(Ok(()), |client| client.rearm(poller.registry()));
            rearmed.map_err(|source| self.connection(slow, source))?;
        }
        for publisher in 0..self.topology.publishers {
            self.send_awaited(publisher, Kind::Closing)?;
        }
        self.drive(poller)?;
        self.leave(poller)
    }

    pub(crate) fn begin(&mut self, phase: Phase, open: usize) -> Result<(), Stop> {
        debug_assert_eq!(self.open, 0);
        self.phase = phase;
        self.open = open;
        self.intake.progress.set_audience(match phase {
            Phase::Join => Audience::Sender,
            Phase::Load => Audience::OwnSubscribers,
            Phase::Close | Phase::Leave | Phase::Verdict => Audience::Everyone,
        });
        // Whoever is told may take some time, which is none of the phase's.
        self.now = self.bench.clock.now();
        self.phase_start = self.now;
        self.tell()?;
        self.now = self.bench.clock.now();
        (self.phase_start, self.progressed_at, self.received_at) = (self.now, self.now, self.now);
        Ok(())
    }

    /// Serves all connections until the phase is completed.
    pub(crate) fn drive(&mut self, poller: &mut Poller) -> Result<(), Stop> {
        while self.open > 0 {
            self.wait(poller).map_err(Stop::Wait)?;
            self.begin_turn();
            for event in poller.events() {
                self.handle(event, poller.registry())?;
            }
            for publisher in std::mem::take(&mut self.ready) {
                self.load_more(publisher)?;
            }
            if let (Phase::Load, Pacing::Rate(rate)) = (self.phase, self.load.pacing) {
                self.send_due(rate)?;
            }
            self.serve_visitors(poller.registry())?;
            if self.now >= self.tick_at {
                self.tick(poller.registry())?;
            }
        }
        Ok(())
    }

    /// Looks at the time. An event is as old as the turn, unless this process was busy or had no
    /// processor: then nobody can tell.
    fn begin_turn(&mut self) {
        let before = std::mem::replace(&mut self.now, self.bench.clock.now());
        let had_no_time = self.now.saturating_sub(before) > nanos(TICK + CATCH_UP);
        self.since = if had_no_time { before } else { self.now };
    }

    /// Waits for events, or until there is something to do without one.
    fn wait(&self, poller: &mut Poller) -> io::Result<()> {
        if !self.ready.is_empty() {
            return poller.wait(Duration::ZERO);
        }
        if let (Phase::Load, Pacing::Rate(rate)) = (self.phase, self.load.pacing) {
            let schedule = self.schedule(rate);
            // Whose socket is full has an event to wait for.
            let is_sending = |&(index, publisher): &(usize, &Publisher)| {
                !publisher.has_finished
                    && self.clients[index]
                        .as_ref()
                        .is_some_and(|client| !client.has_unsent())
            };
            let sending = self.publishers.iter().enumerate().filter(is_sending);
            if let Some(due) = sending
                .map(|(index, publisher)| schedule.due(index, publisher.next))
                .min()
            {
                poller.wake_after(Duration::from_nanos(
                    due.saturating_sub(self.bench.clock.now()),
                ))?;
            }
        }
        poller.wait(TICK)
    }

    fn handle(&mut self, event: &Event, registry: &Registry) -> Result<(), Stop> {
        if event.token() == STALLED_TOKEN {
            return self.finish_stalled(registry);
        }
        let client = event.token().0;
        let Some(connection) = &mut self.clients[client] else {
            return Ok(());
        };
        if !connection.is_connected() && !self.finish_connecting(client, registry)? {
            return Ok(());
        }
        if event.is_writable() && self.client(client).has_unsent() {
            self.client(client)
                .flush()
                .map_err(|source| self.connection(client, source))?;
            if !self.client(client).has_unsent() {
                self.got_room(client);
            }
        }
        let until = if event.is_read_closed() || event.is_error() {
            ReadUntil::End
        } else {
            ReadUntil::Short
        };
        if (event.is_readable() || until == ReadUntil::End) && self.is_read_at_once(client) {
            self.receive(client, until, registry)?;
        }
        Ok(())
    }

    /// Tells whether what arrives at a client is read when it does: not at slow ones during the
    /// load, nor at publishers that do not read.
    fn is_read_at_once(&self, client: usize) -> bool {
        let topology = self.topology;
        let is_slow = topology.slow_clients().contains(&client) && self.phase == Phase::Load;
        !is_slow && client >= topology.readers().start
    }

    fn receive(
        &mut self,
        client: usize,
        until: ReadUntil,
        registry: &Registry,
    ) -> Result<(), Stop> {
        let (intake, clock) = (&mut self.intake, self.bench.clock);
        let connection = self.clients[client]
            .as_mut()
            .expect("events are for clients that are there");
        let received = connection.receive(self.bench.scratch, until, registry, |messages| {
            intake.deliver(client, messages, clock.now())
        });
        self.received(client, received, registry)
    }

    /// Draws the consequences of what a client has received.
    fn received(
        &mut self,
        client: usize,
        received: io::Result<Stream>,
        registry: &Registry,
    ) -> Result<(), Stop> {
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
            Ok(Stream::Closed) if self.phase == Phase::Leave => self.ended(client),
            Err(_) if self.phase == Phase::Leave => {
                self.left(client);
                Ok(())
            }
            Ok(Stream::Closed) if self.suspect == Some(client) => Err(self.judge_suspect(client)),
            Err(_) if self.suspect == Some(client) => Err(Stop::Unresolved(self.unresolved())),
            Ok(Stream::Closed) | Err(_)
                if self.phase != Phase::Join && self.topology.slow_clients().contains(&client) =>
            {
                self.dismiss(client, registry)
            }
            Ok(Stream::Closed) if self.open == 0 => Ok(()),
            Ok(Stream::Closed) => Err(Stop::Closed {
                who: self.topology.role(client).to_string(),
            }),
            Err(source) => Err(self.connection(client, source)),
        }
    }

    /// Does what comes next for a sender whose audience is settled.
    pub(crate) fn go_on(&mut self, sender: usize, registry: &Registry) -> Result<(), Stop> {
        if self.phase == Phase::Load && !self.publishers[sender].has_finished {
            return self.load_more(sender);
        }
        self.open -= 1;
        if self.phase == Phase::Join {
            self.connect_due(registry)?;
        }
        Ok(())
    }

    /// Looks after what no event tells: senders that wait in vain, slow readers, a server that is
    /// gone, time that is up.
    fn tick(&mut self, registry: &Registry) -> Result<(), Stop> {
        self.tick_at = self.now + nanos(TICK);
        self.tell()?;
        // Looking takes its time, so it is done before it matters and not at once.
        if self.now.saturating_sub(self.progressed_at) >= nanos(self.load.timeout / 2)
            && self.is_between()
        {
            (self.progressed_at, self.received_at) = (self.now, self.now);
        }
        if self.phase == Phase::Join {
            self.connect_due(registry)?;
        }
        if self.phase == Phase::Load {
            self.read_slowly(registry)?;
            self.ask_at_rate()?;
        }
        if self.phase == Phase::Leave {
            self.check_leaving();
            return Ok(());
        }
        let patience = self.load.timeout;
        let pass_wait = self.intake.progress.pass_wait(patience);
        while let Some(visitor) = self.visits.next_overdue(self.now, pass_wait) {
            if !self.client(visitor).has_unsent() {
                self.send(visitor, Kind::Hello)?;
            }
        }
        self.check_patience()?;
        for sender in 0..self.topology.resident_count().min(self.clients.len()) {
            let is_due = self.suspect != Some(sender)
                && self
                    .intake
                    .progress
                    .is_nudge_due(sender, self.now, patience);
            if is_due && !self.client(sender).has_unsent() {
                self.send(sender, nudge(self.phase))?;
                self.intake.progress.nudged(sender, self.now);
            }
        }
        Ok(())
    }

    /// Has slow clients read what time allows.
    fn read_slowly(&mut self, registry: &Registry) -> Result<(), Stop> {
        let allowance = self.slow.allowance(self.now);
        if allowance == 0 {
            // To read nothing would look like the end of the stream.
            return Ok(());
        }
        for client in self.topology.slow_clients() {
            let (intake, clock) = (&mut self.intake, self.bench.clock);
            let Some(connection) = &mut self.clients[client] else {
                continue;
            };
            let received = connection.receive_some(self.bench.scratch, allowance, |messages| {
                intake.deliver(client, messages, clock.now())
            });
            self.received(client, received, registry)?;
        }
        Ok(())
    }

    /// Returns what has been counted so far.
    pub(crate) fn count(&self) -> Count {
        let took = if self.took.is_zero() && self.phase == Phase::Load {
            self.now - self.phase_start
        } else {
            nanos(self.took)
        };
        let measured_time = took.saturating_sub(nanos(self.load.warmup));
        Count {
            own_sent: self.intake.count.sent * self.topology.subscribers as u64,
            took: Duration::from_nanos(took),
            measured_time: Duration::from_nanos(measured_time),
            ..self.intake.count
        }
    }

    fn tell(&mut self) -> Result<(), Stop> {
        let (count, lost) = (self.count(), self.intake.trace.receivers().lost());
        (self.bench.on_tick)(Tick {
            phase: self.phase,
            elapsed: Duration::from_nanos(self.now - self.phase_start),
            open: self.open,
            count,
            lost,
            p99: self.intake.latencies.delivery_p99(),
        })
    }

    pub(crate) fn client(&mut self, client: usize) -> &mut Client {
        self.clients[client].as_mut().expect("it is there")
    }

    pub(crate) fn connection(&self, client: usize, source: io::Error) -> Stop {
        Stop::Connection {
            who: self.topology.role(client).to_string(),
            source,
        }
    }
}

/// Returns what a sender that waits in vain sends in a phase, to find out what became of the
/// message it waits for.
fn nudge(phase: Phase) -> Kind {
    match phase {
        Phase::Join => Kind::Hello,
        Phase::Load => Kind::Probe,
        Phase::Close | Phase::Leave | Phase::Verdict => Kind::Closing,
    }
}

/// How often to look after what no event tells. A judgement: half the shortest time after which a
/// sender sends a probe.
const TICK: Duration = Duration::from_millis(50);
