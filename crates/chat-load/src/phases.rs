//! The phases of a repetition: what each has to do, and when it is completed.

mod close;
mod join;
mod leave;
mod publish;
mod schedule;

use std::io;

use chat_results::Phase;
use chat_trace::{Kind, Nanos};
use mio::Registry;

use crate::protocol::Protocol;
use crate::settle::Audience;
use crate::stop::{Stop, Unresolved};
use crate::wiring::Wiring;

pub(crate) use close::Close;
pub(crate) use join::{Join, STALLING};
pub(crate) use leave::Leave;
pub(crate) use publish::Publish;

/// What a phase has to do. The engine calls it in turns, until nothing is open.
pub(crate) trait Part<P: Protocol + Copy>: Sized {
    /// Which phase it is.
    const PHASE: Phase;

    /// Who has to be settled before a sender goes on.
    const AUDIENCE: Audience;

    /// What a sender that waits in vain sends, to find out what became of the message it waits for.
    /// `None` where nobody sends any more.
    const NUDGE: Option<Kind>;

    /// Whether a server that sends nothing hangs.
    const MAY_HANG: bool;

    /// Returns how many have not completed the phase.
    fn open(&self) -> usize;

    /// Does what comes next for a sender whose audience is settled.
    fn settled(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        sender: usize,
        registry: &Registry,
    ) -> Result<(), Stop>;

    /// Has a client that is connected now say hello.
    fn connected(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        client: usize,
        registry: &Registry,
    ) -> Result<(), Stop> {
        _ = registry;
        wiring.greet_visitor(client)
    }

    /// Goes on connecting clients that are to stall.
    fn connect_stalled(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        registry: &Registry,
    ) -> Result<(), Stop> {
        _ = (wiring, registry);
        Ok(())
    }

    /// Notes that a visitor is registered.
    fn visitor_joined(&mut self) {}

    /// Tells whether what arrives at a client that reads is read when it does.
    fn reads_at_once(&self, wiring: &Wiring<'_, P>, client: usize) -> bool {
        _ = (wiring, client);
        true
    }

    /// Notes that a client's socket has taken all that was sent.
    fn got_room(&mut self, wiring: &Wiring<'_, P>, client: usize) {
        _ = (wiring, client);
    }

    /// Notes that the stream to a client has ended, or failed.
    fn ended(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        client: usize,
        error: Option<io::Error>,
        registry: &Registry,
    ) -> Result<(), Stop> {
        let inquiry = wiring.inquiry.filter(|inquiry| inquiry.client == client);
        if let Some(inquiry) = inquiry.filter(|inquiry| inquiry.is_closing) {
            return Err(wiring.judge_left_out(self, inquiry, error.is_some()));
        }
        let is_visitor = client >= wiring.topology.resident_count();
        let is_slow = wiring.topology.slow_clients().contains(&client);
        if Self::PHASE != Phase::Join && (is_slow || is_visitor) {
            if is_visitor && wiring.visits.leave(client) {
                self.visitor_joined();
            }
            return self.dismiss(wiring, client, registry);
        }
        match error {
            Some(source) => Err(wiring.failed(client, source)),
            None if self.open() == 0 => Ok(()),
            None => Err(wiring.closed(client)),
        }
    }

    /// Lets a slow client or a visitor go whose connection the server closed, and has whoever waits
    /// for it go on.
    fn dismiss(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        client: usize,
        registry: &Registry,
    ) -> Result<(), Stop> {
        for sender in wiring.forget_slow(client) {
            self.settled(wiring, sender, registry)?;
        }
        Ok(())
    }

    /// Returns for how long there is nothing to do without an event.
    fn pause(&self, wiring: &Wiring<'_, P>) -> Pause {
        _ = wiring;
        Pause::Tick
    }

    /// Does what is to be done in every turn, after the events.
    fn turn(&mut self, wiring: &mut Wiring<'_, P>, registry: &Registry) -> Result<(), Stop> {
        _ = (wiring, registry);
        Ok(())
    }

    /// Does what no event tells of.
    fn tick(&mut self, wiring: &mut Wiring<'_, P>, registry: &Registry) -> Result<(), Stop> {
        _ = (wiring, registry);
        Ok(())
    }

    /// Tells whether every single message is waited for, so that only those are progress.
    fn is_in_lockstep(&self, wiring: &Wiring<'_, P>) -> bool {
        _ = wiring;
        false
    }

    /// Tells whether nobody waits for anything but time.
    fn is_between(&self, wiring: &Wiring<'_, P>) -> bool {
        _ = wiring;
        false
    }

    /// Tells what is open, of all that is awaited.
    fn tell_unresolved(&self, wiring: &Wiring<'_, P>, unresolved: &mut Unresolved) {
        wiring.tell_open(unresolved, Wiring::told);
    }
}

/// For how long there is nothing to do without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Not at all.
    None,
    /// Until a moment, and no longer than until the next tick.
    Until(Nanos),
    /// Until the next tick.
    Tick,
}
