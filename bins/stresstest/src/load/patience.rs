//! Waiting: how long nothing may go on, and what is told then.

use crate::load::client::Client;
use crate::load::pace::Pacing;
use crate::load::progress::Open;
use crate::load::repetition::Repetition;
use crate::load::stop::{Stop, Unresolved};
use crate::load::{Phase, nanos};

impl Repetition<'_> {
    /// Gives up when nothing has gone on for too long.
    pub(super) fn check_patience(&self) -> Result<(), Stop> {
        let patience = self.load.patience;
        // Where nobody waits for single messages, all of them are progress; and who has to take a long log before its end makes some.
        let is_in_lockstep = match (self.phase, self.load.pacing) {
            (Phase::Join, _) => true,
            (Phase::Load, Pacing::Window(window)) => window.get() == 1,
            _ => false,
        };
        let since = if is_in_lockstep { self.progressed_at } else { self.progressed_at.max(self.intake.loaded_at) };
        if self.now.saturating_sub(since) < nanos(patience) {
            return Ok(());
        }
        if self.phase == Phase::Join
            && let Some(client) =
                (0..self.clients.len()).find(|&client| self.intake.progress.is_forgotten(client, self.intake.proof))
        {
            let count = self.intake.proof.sends(client).count();
            return Err(Stop::Forgotten { who: self.load.roles.role(client).to_string(), count });
        }
        let are_connected = self.clients.iter().flatten().all(Client::is_connected);
        if self.phase != Phase::Close && are_connected && self.now.saturating_sub(self.received_at) >= nanos(patience) {
            return Err(Stop::Hung { patience });
        }
        Err(Stop::Unresolved(self.unresolved()))
    }

    /// Tells whether nobody waits for anything but the next message of the schedule, or the next client that is to connect.
    pub(super) fn is_between(&self) -> bool {
        match (self.phase, self.load.pacing) {
            (Phase::Join, _) => {
                let count = self.load.roles.resident_count() + self.load.stalled as usize;
                self.open == count - self.clients.len() - self.stalled.count()
            }
            (Phase::Load, Pacing::Rate(_)) => self.intake.proof.unresolved() == 0,
            _ => false,
        }
    }

    fn unresolved(&self) -> Unresolved {
        let mut unresolved = Unresolved::new(self.load.patience);
        let role = |client| self.load.roles.role(client);
        for (client, connection) in self.clients.iter().enumerate() {
            if connection.as_ref().is_some_and(|connection| !connection.is_connected()) {
                unresolved.push(|| format!("{} is not connected", role(client)));
            }
        }
        for visitor in self.visits.waiting() {
            unresolved.push(|| format!("{} did not get its last hello message back", role(visitor)));
        }
        self.intake.progress.for_each_open(self.intake.proof, |open| {
            unresolved.push(|| match open {
                Open::Unsettled { client, .. } if self.phase == Phase::Join => {
                    format!("{} got none of its own hello messages back", role(client))
                }
                Open::Unsettled { sender, number, client } => {
                    let name = self.intake.proof.name(sender, number);
                    format!("{} got neither {name} nor anything that {} sent later", role(client), role(sender))
                }
                Open::Unseen { sender } => format!("nobody got the last message that {} sent", role(sender)),
            });
        });
        unresolved
    }
}
