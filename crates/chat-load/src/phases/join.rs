//! Everybody joins: residents, and behind them clients that are to stall.

use std::io;

use chat_results::Phase;
use chat_trace::Kind;
use mio::Registry;

use crate::phases::Part;
use crate::protocol::Protocol;
use crate::settle::{Audience, Open};
use crate::stop::{Stop, Unresolved};
use crate::wiring::Wiring;

/// Clients connect and say hello; each is registered when its own hello message comes back.
#[derive(Debug)]
pub(crate) struct Join {
    /// How many there are to be.
    count: usize,
    /// How many are not registered.
    open: usize,
}

impl Join {
    pub(crate) fn new<P: Protocol + Copy>(wiring: &Wiring<'_, P>) -> Self {
        let count = wiring.topology.resident_count() + wiring.load.stalled as usize;
        Self { count, open: count }
    }

    /// Begins to connect the residents that it is time for, and behind them connects the stalled
    /// clients.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates"
    )]
    pub(crate) fn connect_due<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        registry: &Registry,
    ) -> Result<(), Stop> {
        let (count, resident_count) = (self.count, wiring.topology.resident_count());
        let passed = (wiring.now - wiring.phase_start) as f64 / 1e9;
        let due_count = wiring
            .load
            .connect_rate
            .map_or(count, |rate| count.min(1 + (passed * rate) as usize));
        while wiring.clients.len()
            < due_count
                .min(resident_count)
                .min(count - self.open + JOINING_MAX)
        {
            wiring.connect(registry)?;
        }
        while wiring.clients.len() == resident_count
            && resident_count + wiring.stalled.count() < due_count
            && wiring.stalled.connecting_count() < JOINING_MAX
        {
            let addr = wiring.addrs.of(wiring.stalled.count());
            wiring
                .stalled
                .connect(addr, wiring.tls, registry)
                .map_err(stall)?;
        }
        Ok(())
    }
}

impl<P: Protocol + Copy> Part<P> for Join {
    const PHASE: Phase = Phase::Join;
    const AUDIENCE: Audience = Audience::Sender;
    const NUDGE: Option<Kind> = Some(Kind::Hello);
    const MAY_HANG: bool = true;

    fn open(&self) -> usize {
        self.open
    }

    fn settled(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        _sender: usize,
        registry: &Registry,
    ) -> Result<(), Stop> {
        self.open -= 1;
        self.connect_due(wiring, registry)
    }

    fn connected(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        client: usize,
        registry: &Registry,
    ) -> Result<(), Stop> {
        wiring.progressed_at = wiring.now;
        if client >= wiring.topology.readers().start {
            wiring.send_awaited(client, Kind::Hello)
        } else {
            // It does not read, so there is nothing to wait for.
            self.settled(wiring, client, registry)
        }
    }

    fn connect_stalled(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        registry: &Registry,
    ) -> Result<(), Stop> {
        wiring.outbox.clear();
        wiring.outbox.open();
        let connected = wiring
            .stalled
            .finish_connecting(wiring.outbox.wire(), registry);
        let connected_count = connected.map_err(stall)?;
        if connected_count > 0 {
            wiring.progressed_at = wiring.now;
            self.open -= connected_count;
            self.connect_due(wiring, registry)?;
        }
        Ok(())
    }

    fn tick(&mut self, wiring: &mut Wiring<'_, P>, registry: &Registry) -> Result<(), Stop> {
        self.connect_due(wiring, registry)
    }

    fn is_in_lockstep(&self, _wiring: &Wiring<'_, P>) -> bool {
        true
    }

    /// Tells whether nobody waits for anything but the next client that is to connect.
    fn is_between(&self, wiring: &Wiring<'_, P>) -> bool {
        self.open == self.count - wiring.clients.len() - wiring.stalled.count()
    }

    fn tell_unresolved(&self, wiring: &Wiring<'_, P>, unresolved: &mut Unresolved) {
        wiring.tell_open(unresolved, |wiring, open| match open {
            Open::Unsettled { client, .. } => format!(
                "{} got none of its own hello messages back",
                wiring.topology.role(client)
            ),
            unseen @ Open::Unseen { .. } => wiring.told(unseen),
        });
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
