//! Waiting: how long nothing may go on, and what is told then.

use chat_trace::Kind;

use crate::antagonists::Stalled;
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
        if self.inquiry.is_none() && self.begin_inquiry() {
            return Ok(());
        }
        if let Some(who) = self.first_to(Client::is_shaking, Stalled::is_shaking) {
            return Err(Stop::NoHandshake { who, timeout });
        }
        let is_connecting = |stalled: &Stalled| stalled.connecting_count() > 0;
        if let Some(who) = self.first_to(|client| !client.is_connected(), is_connecting) {
            return Err(Stop::NotConnected { who, timeout });
        }
        if T::MAY_HANG && self.now.saturating_sub(self.received_at) >= nanos(timeout) {
            let state = self.state();
            return Err(Stop::Hung { timeout, state });
        }
        Err(Stop::Unresolved(self.unresolved(part)))
    }

    /// Tells how far all this has come.
    fn state(&self) -> String {
        let is_there = |client: &&Client| client.is_connected();
        let connected = self.clients.iter().flatten().filter(is_there).count();
        let mut state = format!("{connected} clients are connected");
        let sent = self.intake.trace.sent();
        for publisher in (0..self.topology.publishers).take(TOLD_MAX) {
            let (count, seen) = (
                sent.of(publisher).count(),
                self.intake.progress.seen(publisher),
            );
            let role = self.topology.role(publisher);
            state += &format!(
                ", {role} has sent {count} messages and {seen} of them have reached somebody"
            );
        }
        state
    }

    /// Names a client of which `is_so`, or of the stalled ones, if there is one.
    fn first_to(
        &self,
        is_so: impl Fn(&Client) -> bool,
        is_stalled_so: impl Fn(&Stalled) -> bool,
    ) -> Option<String> {
        let client = self
            .clients
            .iter()
            .position(|client| client.as_ref().is_some_and(&is_so))
            .map(|client| self.topology.role(client).to_string());
        client.or_else(|| is_stalled_so(&self.stalled).then(|| STALLING.to_owned()))
    }

    /// Lists what is unresolved.
    pub(crate) fn unresolved<T: Part<P>>(&self, part: &T) -> Unresolved {
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

/// Of how many publishers it is told how far they are. A judgement.
const TOLD_MAX: usize = 4;
