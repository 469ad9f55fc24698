//! What all phases share: clients, clock and intake.

mod endings;

use std::net::SocketAddr;
use std::time::Duration;

use chat_results::{Count, Load, Phase, Tick};
use chat_tls::Tls;
use chat_trace::{CLIENTS_MAX, Kind, Nanos, Times, Topology};
use mio::{Registry, Token};

use crate::addrs::Addrs;
use crate::antagonists::{STAY, Stalled, Visits};
use crate::bench::{Bench, Clock, OnTick, nanos};
use crate::conduct::Conduct;
use crate::connection::Client;
use crate::cuts::{Cuts, Held};
use crate::engine::thread_cpu;
use crate::inquiry::Inquiry;
use crate::intake::Intake;
use crate::outbox::Outbox;
use crate::poller::Poller;
use crate::protocol::Protocol;
use crate::stop::Stop;
use crate::tls::secured;

/// The clients of a repetition, and what they share.
pub(crate) struct Wiring<'a, P> {
    pub(crate) load: &'a Load,
    pub(crate) topology: Topology,
    /// The first of the servers, where those connect who are no clients of the load.
    pub(crate) addr: SocketAddr,
    /// Where clients connect.
    pub(crate) addrs: &'a Addrs,
    /// How clients connect over TLS, if they do.
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) clock: Clock,
    pub(crate) scratch: &'a mut [u8],
    pub(crate) conduct: &'a mut Conduct,
    on_tick: &'a mut OnTick<'a>,
    /// The clients, by their numbers. Visitors that have left are none.
    pub(crate) clients: Vec<Option<Client>>,
    /// When each began to connect.
    connected_at: Vec<Nanos>,
    pub(crate) intake: Intake<'a, P>,
    /// What is being sent.
    pub(crate) outbox: Outbox<P>,
    pub(crate) cuts: Cuts,
    /// The publishers whose sockets took what had been held back; at most one entry each.
    pub(crate) released: Vec<usize>,
    pub(crate) stalled: Stalled,
    pub(crate) visits: Visits,
    /// How many messages were sent to find out what became of others.
    pub(crate) nudge_count: u64,
    /// Whether the server leaves somebody out, while that is found out.
    pub(crate) inquiry: Option<Inquiry>,
    /// When the current turn began.
    pub(crate) now: Nanos,
    /// When that may have happened which the current turn is told of, at the earliest.
    pub(crate) since: Nanos,
    /// When something last went on that somebody waits for.
    pub(crate) progressed_at: Nanos,
    /// When anything last arrived.
    pub(crate) received_at: Nanos,
    /// When to look after what no event tells.
    pub(crate) tick_at: Nanos,
    /// How much processor time this thread had taken when the turn of the last such look began.
    pub(crate) cpu_at_tick: Duration,
    pub(crate) phase_start: Nanos,
    pub(crate) took: Took,
}

/// How long the load took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// It has not begun.
    None,
    /// It began at that moment.
    Since(Nanos),
    /// It is over.
    All(Nanos),
}

impl<'a, P: Protocol + Copy> Wiring<'a, P> {
    pub(crate) fn new(
        load: &'a Load,
        bench: &'a mut Bench<P>,
        on_tick: &'a mut OnTick<'a>,
    ) -> (Self, &'a mut Poller) {
        let (now, topology) = (bench.clock.now(), Topology::of(load));
        let Bench {
            addrs,
            tls,
            protocol,
            clock,
            trace,
            latencies,
            scratch,
            conduct,
            poller,
        } = bench;
        let wiring = Self {
            load,
            topology,
            addr: addrs.of(0),
            addrs,
            tls: tls.as_ref(),
            clock: *clock,
            scratch,
            conduct,
            on_tick,
            clients: Vec::with_capacity(topology.resident_count()),
            connected_at: Vec::with_capacity(topology.resident_count()),
            intake: Intake::new(*protocol, topology, trace, latencies),
            outbox: Outbox::new(*protocol),
            cuts: Cuts::new(load.seed, if load.cuts { topology.publishers } else { 0 }),
            released: Vec::new(),
            nudge_count: 0,
            stalled: Stalled::default(),
            visits: Visits::new(now, 0.0),
            inquiry: None,
            now,
            since: now,
            progressed_at: now,
            received_at: now,
            tick_at: now,
            cpu_at_tick: thread_cpu(),
            phase_start: now,
            took: Took::None,
        };
        (wiring, poller)
    }

    /// Begins to connect one more client.
    pub(crate) fn connect(&mut self, registry: &Registry) -> Result<(), Stop> {
        let client = self.clients.len();
        self.connected_at.push(self.clock.now());
        let (addr, token) = (self.addrs.of(client), Token(client));
        let connection = if self.topology.slow_clients().contains(&client) {
            Client::connect_slow(addr, self.load.slow.bytes_per_s, token, registry)
        } else {
            Client::connect(addr, token, registry)
        };
        let connection = connection.and_then(|connection| secured(connection, addr, self.tls));
        self.clients.push(Some(
            connection.map_err(|source| self.failed(client, source))?,
        ));
        Ok(())
    }

    /// Goes on connecting a client, which opens the conversation as soon as it can, and tells
    /// whether it is connected.
    pub(crate) fn finish_connecting(&mut self, client: usize) -> Result<bool, Stop> {
        let is_connected = self
            .client(client)
            .finish_connecting()
            .map_err(|source| self.failed(client, source))?;
        if is_connected {
            self.outbox.clear();
            self.outbox.open();
            self.write(client)?;
        }
        Ok(is_connected)
    }

    /// Records that a client is registered, and tells whether it is a visitor.
    pub(crate) fn joined(&mut self, client: usize) -> bool {
        let connected_at = self.connected_at[client];
        if self.intake.pauses.blur(connected_at, self.now) {
            self.intake.count.untimed += 1;
        } else {
            let time = self.now.saturating_sub(connected_at);
            self.intake.latencies.joined(time);
        }
        let is_visitor = client >= self.topology.resident_count();
        if is_visitor {
            self.visits.joined(client, self.now);
        }
        is_visitor
    }

    /// Has a visitor say hello.
    pub(crate) fn greet_visitor(&mut self, client: usize) -> Result<(), Stop> {
        self.send(client, Kind::Hello)?;
        self.visits.said_hello(client, self.now);
        Ok(())
    }

    /// Lets visitors come.
    pub(crate) fn let_visitors_come(&mut self, registry: &Registry) -> Result<(), Stop> {
        while self.load.churn > 0.0 && self.has_room_for_visitor() && self.visits.try_come(self.now)
        {
            self.intake.trace.make_room(self.clients.len() + 1);
            self.intake.progress.add_client();
            self.connect(registry)?;
        }
        Ok(())
    }

    /// Lets visitors go that have stayed long enough.
    pub(crate) fn let_visitors_go(&mut self) {
        while let Some(client) = self.visits.next_leaver(self.now, STAY) {
            self.clients[client] = None;
            self.intake.count.visited += 1;
        }
    }

    /// Tells whether one more visitor may come: there is a number for it, and a file. Those that
    /// join slowly have others wait.
    fn has_room_for_visitor(&self) -> bool {
        let present_count = self.clients.len() as u64
            - self.topology.resident_count() as u64
            - self.intake.count.visited;
        self.clients.len() < CLIENTS_MAX as usize && present_count < self.load.visitor_count_max()
    }

    /// Forgets a slow client or a visitor whose connection the server closed, and returns whoever waited for it
    /// and may go on.
    pub(crate) fn forget_slow(&mut self, client: usize) -> Vec<usize> {
        self.clients[client] = None;
        self.intake.count.closed += 1;
        self.intake.progress.leave(client, self.intake.trace)
    }

    /// Sends a message on which the audience of the phase has to be settled.
    pub(crate) fn send_awaited(&mut self, sender: usize, kind: Kind) -> Result<(), Stop> {
        let count = self.send(sender, kind)?;
        self.expect(sender, count);
        Ok(())
    }

    /// Has a sender wait until the audience is settled on the first `awaited` of its messages.
    /// Tells whether it is already.
    pub(crate) fn expect(&mut self, sender: usize, awaited: u32) -> bool {
        self.intake
            .progress
            .expect(sender, awaited, self.intake.trace, self.now)
    }

    /// Sends a message that is no load, and returns how many messages the client has sent.
    pub(crate) fn send(&mut self, sender: usize, kind: Kind) -> Result<u32, Stop> {
        self.send_many(sender, kind, 1)
    }

    /// Sends messages that are no load, and returns how many messages the client has sent.
    pub(crate) fn send_many(&mut self, sender: usize, kind: Kind, count: u32) -> Result<u32, Stop> {
        let times = Times {
            intended: self.now,
            sent: self.now,
            is_measured: false,
        };
        self.outbox.clear();
        let count = self.add(sender, kind, count, times);
        self.write(sender)?;
        Ok(count)
    }

    /// Adds the next `count` messages of a client to what is being sent. Returns how many it has
    /// sent then.
    pub(crate) fn add(&mut self, sender: usize, kind: Kind, count: u32, times: Times) -> u32 {
        self.outbox
            .add(self.intake.trace, sender, kind, count, times)
    }

    /// Writes what is being sent.
    pub(crate) fn write(&mut self, sender: usize) -> Result<(), Stop> {
        let connection = self.clients[sender].as_mut().expect("who sends is there");
        connection
            .send(self.outbox.wire())
            .map_err(|source| self.failed(sender, source))?;
        self.release(Some(sender))
    }

    /// Tells whether the next write of a publisher is to end inside a message.
    pub(crate) fn is_next_cut(&mut self, publisher: usize) -> bool {
        !self.client(publisher).has_unsent() && self.cuts.is_next(publisher, self.now)
    }

    /// Writes what is being sent, but for the end of the last message, which begins at `start` and
    /// is a burst of its own.
    pub(crate) fn write_part(&mut self, publisher: usize, start: usize) -> Result<(), Stop> {
        let wire = self.outbox.wire();
        let len = start + self.cuts.first_len(publisher, wire.len() - start);
        let connection = self.clients[publisher]
            .as_mut()
            .expect("who sends is there");
        connection
            .send_part(wire, len)
            .map_err(|source| self.failed(publisher, source))?;
        self.release(Some(publisher))?;
        let place = self.intake.trace.sent().of(publisher).bursts().len() - 1;
        let cut_at = self.clock.now();
        self.cuts.hold(Held {
            publisher,
            place,
            cut_at,
        });
        Ok(())
    }

    /// Writes the rest of messages that has been held back for long enough, or to let `writer`
    /// write in between, which it has.
    pub(crate) fn release(&mut self, writer: Option<usize>) -> Result<(), Stop> {
        if self.cuts.due().is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        while let Some(Held {
            publisher,
            place,
            cut_at,
        }) = self.cuts.next_due(writer, now)
        {
            // It is sent now, and the time until now was our own choice.
            let burst = self.intake.trace.burst_mut(publisher, place);
            burst.intended += now.saturating_sub(cut_at);
            burst.sent = now;
            let released = self.client(publisher).release();
            released.map_err(|source| self.failed(publisher, source))?;
            if !self.client(publisher).has_unsent() {
                self.released.push(publisher);
            }
        }
        Ok(())
    }

    /// Returns what has been counted so far.
    pub(crate) fn count(&self) -> Count {
        let took = match self.took {
            Took::None => 0,
            Took::Since(start) => self.now - start,
            Took::All(took) => took,
        };
        let measured_time = took.saturating_sub(nanos(self.load.warmup));
        Count {
            own_sent: self.intake.count.sent * self.topology.subscribers as u64,
            took: Duration::from_nanos(took),
            measured_time: Duration::from_nanos(measured_time),
            ..self.intake.count
        }
    }

    /// Tells how far the phase is, of which `open` is left.
    pub(crate) fn tell(&mut self, phase: Phase, open: usize) -> Result<(), Stop> {
        let (count, lost) = (self.count(), self.intake.trace.receivers().lost());
        (self.on_tick)(Tick {
            phase,
            elapsed: Duration::from_nanos(self.now - self.phase_start),
            open,
            count,
            lost,
            p99: self.intake.latencies.delivery_p99(),
            p99_since: self.intake.latencies.take_recent_p99(),
        })
    }

    pub(crate) fn client(&mut self, client: usize) -> &mut Client {
        self.clients[client].as_mut().expect("it is there")
    }
}
