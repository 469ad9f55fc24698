//! Coming: residents at the beginning, stalled clients behind them, visitors all the time.

use std::io;

use chat_results::Phase;
use chat_trace::{CLIENTS_MAX, Kind};
use mio::{Registry, Token};

use crate::antagonists::STAY;
use crate::connection::Client;
use crate::engine::Repetition;
use crate::protocol::Protocol;
use crate::stop::Stop;

impl<P: Protocol + Copy> Repetition<'_, P> {
    /// Begins to connect the residents that it is time for, and behind them connects the stalled
    /// clients.
    pub(crate) fn connect_due(&mut self, registry: &Registry) -> Result<(), Stop> {
        let resident_count = self.topology.resident_count();
        let count = resident_count + self.load.stalled as usize;
        let passed = (self.now - self.phase_start) as f64 / 1e9;
        let due_count = self
            .load
            .connect_rate
            .map_or(count, |rate| count.min(1 + (passed * rate) as usize));
        while self.clients.len()
            < due_count
                .min(resident_count)
                .min(count - self.open + JOINING_MAX)
        {
            self.connect(registry)?;
        }
        while self.clients.len() == resident_count
            && resident_count + self.stalled.count() < due_count
            && self.stalled.connecting_count() < JOINING_MAX
        {
            self.stalled
                .connect(self.bench.addr, registry)
                .map_err(stall)?;
        }
        Ok(())
    }

    /// Goes on connecting stalled clients, and begins with more.
    pub(crate) fn finish_stalled(&mut self, registry: &Registry) -> Result<(), Stop> {
        self.outbox.clear();
        self.outbox.open();
        let connected = self.stalled.finish_connecting(self.outbox.wire(), registry);
        let connected_count = connected.map_err(stall)?;
        if connected_count > 0 {
            self.progressed_at = self.now;
            self.open -= connected_count;
            self.connect_due(registry)?;
        }
        Ok(())
    }

    /// Begins to connect one more client.
    fn connect(&mut self, registry: &Registry) -> Result<(), Stop> {
        let client = self.clients.len();
        self.connected_at.push(self.bench.clock.now());
        let connection = Client::connect(self.bench.addr, Token(client), registry);
        self.clients.push(Some(
            connection.map_err(|source| self.connection(client, source))?,
        ));
        Ok(())
    }

    /// Goes on connecting a client, which says hello as soon as it can, and tells whether it is
    /// connected.
    pub(crate) fn finish_connecting(
        &mut self,
        client: usize,
        registry: &Registry,
    ) -> Result<bool, Stop> {
        let is_connected = self
            .client(client)
            .finish_connecting()
            .map_err(|source| self.connection(client, source))?;
        if !is_connected {
            return Ok(false);
        }
        self.outbox.clear();
        self.outbox.open();
        self.write(client)?;
        if client >= self.topology.resident_count() {
            self.send(client, Kind::Hello)?;
            self.visits.said_hello(client, self.now);
            return Ok(true);
        }
        self.progressed_at = self.now;
        if client >= self.topology.readers().start {
            self.send_awaited(client, Kind::Hello)?;
        } else {
            // It does not read, so there is nothing to wait for.
            self.go_on(client, registry)?;
        }
        Ok(true)
    }

    /// Lets visitors come and go.
    pub(crate) fn serve_visitors(&mut self, registry: &Registry) -> Result<(), Stop> {
        if self.load.churn == 0.0 || !matches!(self.phase, Phase::Load | Phase::Close) {
            return Ok(());
        }
        while self.phase == Phase::Load
            && self.has_room_for_visitor()
            && self.visits.try_come(self.now)
        {
            self.intake.trace.make_room(self.clients.len() + 1);
            self.intake.progress.add_client();
            self.connect(registry)?;
        }
        while let Some(client) = self.visits.next_leaver(self.now, STAY) {
            self.clients[client] = None;
            self.intake.count.visited += 1;
        }
        Ok(())
    }

    /// Tells whether one more visitor may come: there is a number for it, and a file. Those that
    /// join slowly have others wait.
    fn has_room_for_visitor(&self) -> bool {
        let present_count = self.clients.len() as u64
            - self.topology.resident_count() as u64
            - self.intake.count.visited;
        self.clients.len() < CLIENTS_MAX as usize && present_count < self.load.visitor_count_max()
    }

    /// Notes that a client is registered.
    pub(crate) fn joined(&mut self, client: usize) {
        self.intake
            .latencies
            .joined(self.now.saturating_sub(self.connected_at[client]));
        if client >= self.topology.resident_count() {
            self.visits.joined(client, self.now);
            // In the closing round it is waited for.
            self.open -= usize::from(self.phase == Phase::Close);
        }
    }
}

fn stall(source: io::Error) -> Stop {
    Stop::Connection {
        who: STALLING.to_owned(),
        source,
    }
}

/// What a client that is to stall is called: these have no numbers.
pub(crate) const STALLING: &str = "a client that is to stall";

/// How many clients are under way to be registered at a time. A judgement: half of the shortest
/// backlog that servers commonly listen with, 128.
const JOINING_MAX: usize = 64;
