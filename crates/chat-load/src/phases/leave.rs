//! Everybody leaves: each client ends its sending side, and reads to the end of the stream.

use std::io;

use chat_results::Phase;
use chat_trace::{Arrival, Kind};
use mio::Registry;

use crate::bench::nanos;
use crate::connection::Client;
use crate::phases::Part;
use crate::protocol::Protocol;
use crate::settle::Audience;
use crate::stop::Stop;
use crate::wiring::Wiring;

/// Everybody leaves, so that whatever the server sends is looked at. Some clients send some last
/// messages before, and are still to get them back (rule 9 of the specification). Whether a server
/// that closes too early loses any is a race, so several do: the publishers that read, and subscribers.
#[derive(Debug)]
pub(crate) struct Leave {
    /// How many connections the server has not closed.
    open: usize,
    /// The clients that sent last messages, in order.
    parted: Vec<usize>,
}

impl Leave {
    /// A server that leaves connections open is not asked any more, and one whose protocol knows no
    /// half-close never: nobody could tell when it has sent all.
    pub(crate) fn new<P: Protocol + Copy>(wiring: &Wiring<'_, P>) -> Option<Self> {
        if wiring.conduct.left_open > 0 || !P::OUTLASTS_HALF_CLOSE {
            return None;
        }
        let readers = &wiring.clients[wiring.topology.readers().start..];
        let open = readers.iter().flatten().count();
        let parted = Vec::new();
        Some(Self { open, parted })
    }

    /// Has everybody end its sending side.
    pub(crate) fn start<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
    ) -> Result<(), Stop> {
        let first = wiring.topology.readers().start;
        let parting_end = first + PARTING_FACTOR * wiring.topology.publishers;
        let parting = first..parting_end.min(wiring.topology.slow_clients().start);
        for client in first..wiring.clients.len() {
            if parting.contains(&client) {
                self.send_last(wiring, client)?;
            }
            let ended = wiring.clients[client]
                .as_mut()
                .map_or(Ok(()), Client::end_sending);
            if ended.is_err() {
                self.left(wiring, client);
            }
        }
        Ok(())
    }

    /// Sends the last messages of a client.
    fn send_last<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        client: usize,
    ) -> Result<(), Stop> {
        wiring.send_many(client, Kind::Probe, LAST_COUNT)?;
        // With what was not sent, nothing could be told.
        if !wiring.client(client).has_unsent() {
            self.parted.push(client);
        }
        Ok(())
    }

    /// Notes that the stream to a client ended before it had its last messages back. Where any
    /// were dropped before, these may have been, too.
    fn check_last<P: Protocol + Copy>(&self, wiring: &mut Wiring<'_, P>, client: usize) {
        let trace = &wiring.intake.trace;
        let sent = trace.sent().of(client).count();
        let settled = trace.receivers().settled(client, client).unwrap_or(0);
        if self.parted.binary_search(&client).is_err() || settled >= sent {
            return;
        }
        if trace.receivers().lost() > 0 || wiring.nudge_count > 0 {
            wiring.conduct.has_dropped_last = true;
            return;
        }
        let (who, missing) = (wiring.topology.role(client), sent - settled);
        wiring.conduct.closed_early.get_or_insert_with(|| {
            format!(
                "{who} sent its last messages and ended its sending side, and the stream to it ended \
                 before the last {missing} of them"
            )
        });
    }

    /// Notes that the connection of a client is closed.
    fn left<P: Protocol + Copy>(&mut self, wiring: &mut Wiring<'_, P>, client: usize) {
        wiring.clients[client] = None;
        wiring.progressed_at = wiring.now;
        self.open -= 1;
    }
}

impl<P: Protocol + Copy> Part<P> for Leave {
    const PHASE: Phase = Phase::Leave;
    const AUDIENCE: Audience = Audience::Everyone;
    const NUDGE: Option<Kind> = None;
    const MAY_HANG: bool = false;

    fn open(&self) -> usize {
        self.open
    }

    fn settled(
        &mut self,
        _wiring: &mut Wiring<'_, P>,
        _sender: usize,
        _registry: &Registry,
    ) -> Result<(), Stop> {
        // Nobody waits for messages any more.
        Ok(())
    }

    /// Looks at how the stream to a client ended: in order, on a message boundary, and with its own
    /// last message. Slow clients may be cut off.
    fn ended(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        client: usize,
        error: Option<io::Error>,
        _registry: &Registry,
    ) -> Result<(), Stop> {
        let is_slow = wiring.topology.slow_clients().contains(&client);
        let unfinished_len = wiring.client(client).unfinished_len();
        if let Some(error) = error.filter(|_| !is_slow) {
            let who = wiring.topology.role(client);
            wiring.conduct.broken_off.get_or_insert_with(|| {
                format!("{who} ended its sending side, and the stream to it failed: {error}")
            });
        } else if unfinished_len > 0
            && !is_slow
            && wiring
                .intake
                .trace
                .receive_unfinished(client, unfinished_len)
                == Arrival::Broken
        {
            return Err(Stop::Broken);
        } else {
            self.check_last(wiring, client);
        }
        self.left(wiring, client);
        Ok(())
    }

    /// Stops waiting for a server that leaves connections open.
    fn tick(&mut self, wiring: &mut Wiring<'_, P>, _registry: &Registry) -> Result<(), Stop> {
        if wiring.now.saturating_sub(wiring.progressed_at) >= nanos(wiring.load.timeout) {
            wiring.conduct.left_open = std::mem::take(&mut self.open);
        }
        Ok(())
    }
}

/// How many last messages a client sends. A judgement: a server that closes too early has written
/// some of them at most.
const LAST_COUNT: u32 = 16;

/// How many clients send last messages, as a multiple of the publishers. A judgement: with the
/// smallest loads it is all, and with large ones no flood.
const PARTING_FACTOR: usize = 4;
