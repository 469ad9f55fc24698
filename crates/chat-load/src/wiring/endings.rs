//! What is told of connections that end.

use std::io;

use crate::protocol::Protocol;
use crate::stop::Stop;
use crate::wiring::{Took, Wiring};

impl<P: Protocol + Copy> Wiring<'_, P> {
    /// Tells that the connection of a client has failed.
    pub(crate) fn failed(&self, client: usize, source: io::Error) -> Stop {
        let addr = self.addrs.of(client);
        let who = format!("{} to {addr}", self.topology.role(client));
        if self.keeps_up(client) {
            let source = Some(source);
            return Stop::CutOff { who, source };
        }
        Stop::Connection { who, source }
    }

    /// Tells that the server has closed the connection of a client.
    pub(crate) fn closed(&self, client: usize) -> Stop {
        let who = self.topology.role(client).to_string();
        if self.keeps_up(client) {
            return Stop::CutOff { who, source: None };
        }
        let is_joining = matches!(self.took, Took::None);
        let advice = if is_joining && self.tls.is_none() {
            ADVICE_ON_CLOSED
        } else {
            ""
        };
        Stop::Closed { who, advice }
    }

    /// Tells whether a client keeps up, as all do that read at once and have joined, unless this
    /// process has paused: nobody read meanwhile.
    fn keeps_up(&self, client: usize) -> bool {
        let reads = self.topology.readers().contains(&client)
            && !self.topology.slow_clients().contains(&client);
        let has_begun = !matches!(self.took, Took::None);
        reads && has_begun && self.intake.count.pause_count == 0
    }

    /// Names the connection of a client, in a sentence.
    pub(crate) fn connection(&self, client: usize) -> Option<String> {
        let local = self.clients[client].as_ref()?.local_addr().ok()?;
        let (role, addr) = (self.topology.role(client), self.addrs.of(client));
        Some(format!("{role} is connected from {local} to {addr}"))
    }
}

/// Why a server may close connections while clients join.
const ADVICE_ON_CLOSED: &str =
    " while clients joined; is it full, or does it speak TLS there (--tls)?";
