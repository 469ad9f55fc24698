//! Everybody leaves: each client ends its sending side, and reads to the end of the stream.

use std::io;
use std::time::Duration;

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

/// Everybody leaves, so that whatever the server sends is looked at.
#[derive(Debug)]
pub(crate) struct Leave {
    /// How many connections the server has not closed.
    open: usize,
}

impl Leave {
    /// A server that leaves connections open, repetition after repetition, is not asked any more:
    /// nobody could tell when it has sent all.
    pub(crate) fn new<P: Protocol + Copy>(wiring: &Wiring<'_, P>) -> Option<Self> {
        if wiring.left_open.repetitions == LEFT_OPEN_MAX {
            return None;
        }
        let readers = &wiring.clients[wiring.topology.readers().start..];
        let open = readers.iter().flatten().count();
        Some(Self { open })
    }

    /// Has everybody end its sending side.
    pub(crate) fn start<P: Protocol + Copy>(&mut self, wiring: &mut Wiring<'_, P>) {
        for client in wiring.topology.readers().start..wiring.clients.len() {
            let ended = wiring.clients[client]
                .as_mut()
                .map_or(Ok(()), Client::end_sending);
            if ended.is_err() {
                self.left(wiring, client);
            }
        }
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
    const SEEKS_MISSING_ECHO: bool = false;
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

    /// Looks at how the stream to a client ended: where nothing was under way any more, it ends on a
    /// message boundary.
    fn ended(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        client: usize,
        error: Option<io::Error>,
        _registry: &Registry,
    ) -> Result<(), Stop> {
        let unfinished_len = wiring.client(client).unfinished_len();
        if error.is_none()
            && unfinished_len > 0
            && has_everything(wiring, client)
            && wiring
                .intake
                .trace
                .receive_unfinished(client, unfinished_len)
                == Arrival::Broken
        {
            return Err(Stop::Broken);
        }
        self.left(wiring, client);
        Ok(())
    }

    /// Stops waiting for a server that leaves connections open.
    fn tick(&mut self, wiring: &mut Wiring<'_, P>, _registry: &Registry) -> Result<(), Stop> {
        if wiring.now.saturating_sub(wiring.progressed_at) >= nanos(LEAVE_WAIT) {
            wiring.left_open.connections += std::mem::take(&mut self.open);
            wiring.left_open.repetitions += 1;
        }
        Ok(())
    }
}

/// Tells whether a client has all that anybody has sent. What visitors sent, and what was sent to
/// them, may be under way.
fn has_everything<P: Protocol + Copy>(wiring: &Wiring<'_, P>, client: usize) -> bool {
    let (trace, topology) = (&wiring.intake.trace, wiring.topology);
    let has_all_of = |publisher| {
        trace.receivers().settled(client, publisher) == Some(trace.sent().of(publisher).count())
    };
    wiring.load.churn == 0.0
        && client < topology.resident_count()
        && (0..topology.publishers).all(has_all_of)
}

/// What a server left open though the clients had ended their sending side.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftOpen {
    /// How many connections.
    pub connections: usize,
    /// In how many repetitions.
    pub repetitions: u32,
}

/// In how many repetitions a server may leave connections open until it is not asked any more. A
/// judgement: one of them may be an accident, and each takes [`LEAVE_WAIT`].
const LEFT_OPEN_MAX: u32 = 3;

/// How long no connection may be closed until it is clear that the server leaves them open. A
/// judgement.
pub const LEAVE_WAIT: Duration = Duration::from_secs(1);
