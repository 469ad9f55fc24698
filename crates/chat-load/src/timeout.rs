//! Waiting: how long nothing may go on, and what is told then.

use std::io;

use chat_trace::Kind;

use crate::bench::nanos;
use crate::connection::Client;
use crate::phases::{Part, STALLING};
use crate::protocol::Protocol;
use crate::settle::Open;
use crate::stop::{Stop, Unresolved};
use crate::wiring::Wiring;

impl<P: Protocol + Copy> Wiring<'_, P> {
    /// Has visitors say hello again whose hello message is overdue.
    pub(crate) fn ask_visitors(&mut self) -> Result<(), Stop> {
        let pass_wait = self.intake.progress.pass_wait(self.load.timeout);
        while let Some(visitor) = self.visits.next_overdue(self.now, pass_wait) {
            if !self.client(visitor).has_unsent() {
                self.send(visitor, Kind::Hello)?;
            }
        }
        Ok(())
    }

    /// Gives up when nothing has gone on for too long.
    pub(crate) fn check_timeout<T: Part<P>>(&mut self, part: &T) -> Result<(), Stop> {
        let timeout = self.load.timeout;
        // Where nobody waits for single messages, all of them are progress; and who has to take a
        // long log before its end makes some.
        let since = if part.is_in_lockstep(self) {
            self.progressed_at
        } else {
            self.progressed_at.max(self.intake.loaded_at)
        };
        if self.now.saturating_sub(since) < nanos(timeout) {
            return Ok(());
        }
        if T::SEEKS_MISSING_ECHO
            && self.suspect.is_none()
            && let Some(client) = self.without_echo()
        {
            return self.ask_to_close(client);
        }
        if let Some(who) = self.unconnected() {
            return Err(Stop::NotConnected { who, timeout });
        }
        if T::MAY_HANG && self.now.saturating_sub(self.received_at) >= nanos(timeout) {
            return Err(Stop::Hung { timeout });
        }
        Err(Stop::Unresolved(self.unresolved(part)))
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
    fn without_echo(&self) -> Option<usize> {
        self.topology
            .readers()
            .take_while(|&client| client < self.clients.len())
            .find(|&client| {
                self.clients[client].is_some() && self.missing_echo_count(client).is_some()
            })
    }

    fn missing_echo_count(&self, client: usize) -> Option<u32> {
        self.intake
            .progress
            .missing_echo_count(client, self.clients.len(), self.intake.trace)
    }

    /// Has a client end its sending side that the server may leave out: it is owed all up to its
    /// own last message, and then the end. So not a clock decides whether it is left out, but
    /// what comes until then.
    fn ask_to_close(&mut self, client: usize) -> Result<(), Stop> {
        self.suspect = Some(client);
        self.progressed_at = self.now;
        self.client(client)
            .end_sending()
            .map_err(|source| self.failed(client, source))
    }

    /// Decides what became of a client that the server may have left out, at the end of its stream.
    pub(crate) fn judge_suspect<T: Part<P>>(
        &mut self,
        part: &T,
        client: usize,
        error: Option<io::Error>,
    ) -> Stop {
        if error.is_some() {
            return Stop::Unresolved(self.unresolved(part));
        }
        if let Some(count) = self.missing_echo_count(client) {
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

    fn unresolved<T: Part<P>>(&self, part: &T) -> Unresolved {
        let mut unresolved = Unresolved::new(self.load.timeout);
        for visitor in self.visits.waiting() {
            let role = self.topology.role(visitor);
            unresolved.push(|| format!("{role} did not get its last hello message back"));
        }
        part.tell_unresolved(self, &mut unresolved);
        unresolved
    }

    /// Tells of the last message of each publisher, where nobody knows what became of it.
    pub(crate) fn tell_undelivered(&self, unresolved: &mut Unresolved) {
        let trace = &self.intake.trace;
        for publisher in 0..self.topology.publishers {
            let open = self.topology.receivers().filter(|&client| {
                let receivers = trace.receivers();
                receivers.unresolved_at(client, publisher, trace.sent()) > 0
            });
            for client in open {
                let number = trace.sent().of(publisher).count() - 1;
                let open = Open::Unsettled {
                    sender: publisher,
                    number,
                    client,
                };
                unresolved.push(|| self.told(open));
            }
        }
    }

    /// Tells what is awaited and open, with a sentence that `told` makes for each.
    pub(crate) fn tell_open(
        &self,
        unresolved: &mut Unresolved,
        told: impl Fn(&Self, Open) -> String,
    ) {
        let trace = &self.intake.trace;
        self.intake
            .progress
            .for_each_open(trace, |open| unresolved.push(|| told(self, open)));
    }

    /// Tells what is awaited of a message.
    pub(crate) fn told(&self, open: Open) -> String {
        let role = |client| self.topology.role(client);
        match open {
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
        }
    }
}
