//! What becomes of deliveries.

use std::ops::ControlFlow;

use chat_proto::Messages;

use crate::load::Count;
use crate::load::latency::Latencies;
use crate::load::progress::{Progress, Step};
use crate::load::roles::Roles;
use crate::proof::payload::Kind;
use crate::proof::sends::Nanos;
use crate::proof::{Arrival, Proof, Run};

/// What deliveries go through: they are proved, counted, timed, and let senders go on.
pub(crate) struct Intake<'a> {
    pub(crate) roles: Roles,
    pub(crate) proof: &'a mut Proof,
    pub(crate) latencies: &'a mut Latencies,
    pub(crate) progress: Progress,
    /// The part of it that deliveries change.
    pub(crate) count: Count,
    /// The senders that may go on; at most one entry each.
    pub(crate) completed: Vec<usize>,
    /// The clients whose own hello message has come back; at most one entry each.
    pub(crate) joined: Vec<usize>,
    pub(crate) has_progressed: bool,
    /// When a load message last arrived.
    pub(crate) loaded_at: Nanos,
    pub(crate) is_broken: bool,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(roles: Roles, proof: &'a mut Proof, latencies: &'a mut Latencies) -> Self {
        Self {
            roles,
            proof,
            latencies,
            progress: Progress::new(roles),
            count: Count::default(),
            completed: Vec::new(),
            joined: Vec::new(),
            has_progressed: false,
            loaded_at: 0,
            is_broken: false,
        }
    }

    /// Takes what arrived at a client, and breaks off when it breaks the promise: nothing that follows could mend it.
    pub(crate) fn deliver(&mut self, client: usize, messages: Messages<'_>, now: Nanos) -> ControlFlow<()> {
        let mut bodies = messages.iter();
        while let Some(arrival) = self.proof.receive(client, &mut bodies) {
            match arrival {
                Arrival::Run(run) => self.take(client, run, now),
                Arrival::Earlier => {}
                Arrival::Broken => {
                    self.is_broken = true;
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, client: usize, run: Run, now: Nanos) {
        match run.kind {
            Kind::Load => self.take_load(client, run, now),
            Kind::Hello if run.sender == client && self.has_joined(client, run) => self.joined.push(client),
            Kind::Hello | Kind::Probe | Kind::Closing => {}
        }
        match self.progress.settled(client, run.sender, run.before, run.end(), now) {
            Step::None => {}
            Step::Forward => self.has_progressed = true,
            Step::Complete => {
                self.has_progressed = true;
                self.completed.push(run.sender);
            }
        }
    }

    /// Tells whether a client is registered with this run of its own hello messages. A visitor may leave then, so all must be back.
    fn has_joined(&self, client: usize, run: Run) -> bool {
        if client < self.roles.resident_count() { run.before == 0 } else { run.end() == self.proof.sends(client).count() }
    }

    fn take_load(&mut self, client: usize, run: Run, now: Nanos) {
        self.loaded_at = now;
        let burst = self.proof.sends_mut(run.sender).burst_mut(run.place);
        self.latencies.arrived(client, run, burst, self.roles, now);
        let count = u64::from(run.count);
        self.count.read += count;
        if self.roles.receivers().contains(&client) {
            self.count.delivered += count;
            self.count.delivered_bytes += run.byte_len;
            self.count.measured += if burst.is_measured { count } else { 0 };
            if self.roles.own_subscribers(run.sender).contains(&client) {
                self.count.own_delivered += count;
            }
        }
    }
}
