//! Waiting: how long nothing may go on, and what is told then.

use chat_results::{Pacing, Phase};

use crate::bench::nanos;
use crate::connection::Client;
use crate::engine::Repetition;
use crate::joining::STALLING;
use crate::protocol::Protocol;
use crate::settle::Open;
use crate::stop::{Stop, Unresolved};

impl<P: Protocol + Copy> Repetition<'_, P> {
    /// Gives up when nothing has gone on for too long.
    pub(crate) fn check_patience(&mut self) -> Result<(), Stop> {
        let patience = self.load.timeout;
        // Where nobody waits for single messages, all of them are progress; and who has to take a
        // long log before its end makes some.
        let is_in_lockstep = match (self.phase, self.load.pacing) {
            (Phase::Join, _) => true,
            (Phase::Load, Pacing::Window(window)) => window.get() == 1,
            _ => false,
        };
        let since = if is_in_lockstep {
            self.progressed_at
        } else {
            self.progressed_at.max(self.intake.loaded_at)
        };
        if self.now.saturating_sub(since) < nanos(patience) {
            return Ok(());
        }
        if matches!(self.phase, Phase::Join | Phase::Close)
            && self.suspect.is_none()
            && let Some(client) = self.forgotten()
        {
            return self.ask_to_close(client);
        }
        if let Some(who) = self.unconnected() {
            return Err(Stop::NotConnected { who, patience });
        }
        if self.phase != Phase::Close
            && self.now.saturating_sub(self.received_at) >= nanos(patience)
        {
            return Err(Stop::Hung { patience });
        }
        Err(Stop::Unresolved(self.unresolved()))
    }

    /// Names a client that the server has not accepted, if there is one.
    fn unconnected(&self) -> Option<String> {
        let is_connecting =
            |client: &Option<Client>| client.as_ref().is_some_and(|client| !client.is_connected());
        let client = self
            .clients
            .iter()
            .position(is_connecting)
            .map(|client| self.topology.role(client).to_string());
        client.or_else(|| (self.stalled.connecting_count() > 0).then(|| STALLING.to_owned()))
    }

    /// Returns a client that the server may leave out of its own messages, if there is one.
    fn forgotten(&self) -> Option<usize> {
        self.topology
            .readers()
            .take_while(|&client| client < self.clients.len())
            .find(|&client| {
                self.clients[client].is_some() && self.forgotten_count(client).is_some()
            })
    }

    fn forgotten_count(&self, client: usize) -> Option<u32> {
        self.intake
            .progress
            .forgotten_count(client, self.clients.len(), self.intake.trace)
    }

    /// Has a client end its sending side that the server may leave out: it is owed all up to its
    /// own last message, and then the end. So not a clock decides whether it is left out, but
    /// what comes until then.
    fn ask_to_close(&mut self, client: usize) -> Result<(), Stop> {
        self.suspect = Some(client);
        self.progressed_at = self.now;
        self.client(client)
            .end_sending()
            .map_err(|source| self.connection(client, source))
    }

    /// Decides what became of a client that the server may have left out, at the end of its stream.
    pub(crate) fn judge_suspect(&mut self, client: usize) -> Stop {
        if let Some(count) = self.forgotten_count(client) {
            self.intake.trace.note_missing_echo(client, count);
            return Stop::Broken;
        }
        let mut unresolved = Unresolved::new(self.load.timeout);
        unresolved.push(|| {
            format!(
                "{} got its own messages back only after that",
                self.topology.role(client)
            )
        });
        Stop::Unresolved(unresolved)
    }

    /// Tells whether nobody waits for anything but the next message of the schedule, or the next
    /// client that is to connect.
    pub(crate) fn is_between(&self) -> bool {
        match (self.phase, self.load.pacing) {
            (Phase::Join, _) => {
                let count = self.topology.resident_count() + self.load.stalled as usize;
                self.open == count - self.clients.len() - self.stalled.count()
            }
            (Phase::Load, Pacing::Rate(_)) => self.intake.trace.unresolved() == 0,
            _ => false,
        }
    }

    pub(crate) fn unresolved(&self) -> Unresolved {
        let mut unresolved = Unresolved::new(self.load.timeout);
        let role = |client| self.topology.role(client);
        for visitor in self.visits.waiting() {
            unresolved
                .push(|| format!("{} did not get its last hello message back", role(visitor)));
        }
        if self.phase == Phase::Load && self.load.has_schedule() {
            // Nobody waits for these, but they are what did not go on.
            for publisher in 0..self.publishers.len() {
                for client in self.topology.receivers().filter(|&client| {
                    self.intake.trace.receivers().unresolved_at(
                        client,
                        publisher,
                        self.intake.trace.sent(),
                    ) > 0
                }) {
                    unresolved.push(|| {
                        let last = self.intake.trace.sent().name(
                            publisher,
                            self.intake.trace.sent().of(publisher).count() - 1,
                        );
                        format!(
                            "{} got neither {last} nor anything that {} sent later",
                            role(client),
                            role(publisher)
                        )
                    });
                }
            }
        }
        self.intake
            .progress
            .for_each_open(self.intake.trace, |open| {
                unresolved.push(|| match open {
                    Open::Unsettled { client, .. } if self.phase == Phase::Join => {
                        format!("{} got none of its own hello messages back", role(client))
                    }
                    Open::Unsettled {
                        sender,
                        number,
                        client,
                    } => {
                        let name = self.intake.trace.sent().name(sender, number);
                        format!(
                            "{} got neither {name} nor anything that {} sent later",
                            role(client),
                            role(sender)
                        )
                    }
                    Open::Unseen { sender } => {
                        format!("nobody got the last message that {} sent", role(sender))
                    }
                });
            });
        unresolved
    }
}
