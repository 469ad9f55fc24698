//! Going: everybody at the end, and whom the server closed before.

use std::time::Duration;

use chat_results::Phase;
use chat_trace::Arrival;
use mio::Registry;

use crate::bench::nanos;
use crate::connection::Client;
use crate::engine::Repetition;
use crate::poller::Poller;
use crate::protocol::Protocol;
use crate::stop::Stop;

impl<P: Protocol + Copy> Repetition<'_, P> {
    /// Has everybody end its sending side and read to the end of the stream, so that whatever the
    /// server sends is looked at.
    ///
    /// A server that leaves connections open, repetition after repetition, is not asked any more:
    /// nobody could tell when it has sent all.
    pub(crate) fn leave(&mut self, poller: &mut Poller) -> Result<(), Stop> {
        if self.bench.left_open.repetitions == LEFT_OPEN_MAX {
            return Ok(());
        }
        let first = self.topology.readers().start;
        let open = self.clients[first..].iter().flatten().count();
        self.begin(Phase::Leave, open)?;
        for client in first..self.clients.len() {
            let ended = self.clients[client]
                .as_mut()
                .map_or(Ok(()), Client::end_sending);
            if ended.is_err() {
                self.left(client);
            }
        }
        self.drive(poller)
    }

    /// Looks at how the stream to a client ended that leaves: where nothing was under way any more,
    /// it ends on a message boundary.
    pub(crate) fn ended(&mut self, client: usize) -> Result<(), Stop> {
        let unfinished_len = self.client(client).unfinished_len();
        if unfinished_len > 0
            && self.has_everything(client)
            && self.intake.trace.receive_unfinished(client, unfinished_len) == Arrival::Broken
        {
            return Err(Stop::Broken);
        }
        self.left(client);
        Ok(())
    }

    /// Tells whether a client has all that anybody has sent. What visitors sent, and what was sent
    /// to them, may be under way.
    fn has_everything(&self, client: usize) -> bool {
        let trace = &self.intake.trace;
        let has_all_of = |publisher| {
            trace.receivers().settled(client, publisher) == Some(trace.sent().of(publisher).count())
        };
        let topology = self.topology;
        self.load.churn == 0.0
            && client < topology.resident_count()
            && (0..topology.publishers).all(has_all_of)
    }

    /// Notes that the connection of a client that leaves is closed.
    pub(crate) fn left(&mut self, client: usize) {
        self.clients[client] = None;
        self.progressed_at = self.now;
        self.open -= 1;
    }

    /// Stops waiting for a server that leaves connections open.
    pub(crate) fn check_leaving(&mut self) {
        if self.now.saturating_sub(self.progressed_at) >= nanos(LEAVE_WAIT) {
            self.bench.left_open.connections += std::mem::take(&mut self.open);
            self.bench.left_open.repetitions += 1;
        }
    }

    /// Lets a slow client go whose connection the server closed, and has whoever waits for it go
    /// on.
    pub(crate) fn dismiss(&mut self, client: usize, registry: &Registry) -> Result<(), Stop> {
        self.clients[client] = None;
        self.intake.count.closed += 1;
        for sender in self.intake.progress.leave(client, self.intake.trace) {
            self.go_on(sender, registry)?;
        }
        Ok(())
    }
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
