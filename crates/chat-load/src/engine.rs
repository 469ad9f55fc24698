//! The turns of a repetition.

use std::io;
use std::time::Duration;

use chat_results::{Count, Load};
use chat_trace::Nanos;
use mio::Registry;
use mio::event::Event;
use rustix::time::{ClockId, clock_gettime};

use crate::antagonists::STALLED_TOKEN;
use crate::bench::{Bench, OnTick, nanos};
use crate::connection::{ReadUntil, Stream};
use crate::pacing::CATCH_UP;
use crate::phases::{Close, Join, Leave, Part, Pause, Publish};
use crate::poller::Poller;
use crate::protocol::Protocol;
use crate::stop::Stop;
use crate::wiring::{Took, Wiring};

/// Plays a repetition, and returns what was counted and why it ended early, if it did.
pub(crate) fn play<'a, P: Protocol + Copy>(
    load: &'a Load,
    bench: &'a mut Bench<P>,
    on_tick: &'a mut OnTick<'a>,
) -> (Count, Option<Stop>) {
    let (mut wiring, poller) = Wiring::new(load, bench, on_tick);
    let stop = wiring.play(poller).err();
    (wiring.count(), stop)
}

impl<P: Protocol + Copy> Wiring<'_, P> {
    /// Has everybody join, send, close and leave.
    fn play(&mut self, poller: &mut Poller) -> Result<(), Stop> {
        let mut join = Join::new(self);
        self.begin(&join)?;
        join.connect_due(self, poller.registry())?;
        self.drive(&mut join, poller)?;

        self.quit_inside_messages();
        let mut publish = Publish::new(self);
        self.took = Took::Since(self.now);
        self.begin(&publish)?;
        publish.start(self)?;
        self.drive(&mut publish, poller)?;
        self.took = Took::All(self.clock.now() - self.phase_start);
        self.intake.count.closed += self.stalled.closed_count(self.scratch);

        let mut close = Close::new(self);
        self.begin(&close)?;
        close.start(self, poller.registry())?;
        self.drive(&mut close, poller)?;

        let Some(mut leave) = Leave::new(self) else {
            return Ok(());
        };
        self.begin(&leave)?;
        leave.start(self)?;
        self.drive(&mut leave, poller)
    }

    /// Begins a phase.
    fn begin<T: Part<P>>(&mut self, part: &T) -> Result<(), Stop> {
        self.intake.progress.set_audience(T::AUDIENCE);
        // Whoever is told may take some time, which is none of the phase's.
        self.now = self.clock.now();
        self.phase_start = self.now;
        if let Took::Since(start) = &mut self.took {
            *start = self.now;
        }
        self.tell(T::PHASE, part.open())?;
        self.now = self.clock.now();
        (self.phase_start, self.progressed_at, self.received_at) = (self.now, self.now, self.now);
        if let Took::Since(start) = &mut self.took {
            *start = self.now;
        }
        Ok(())
    }

    /// Serves all connections until the phase is completed.
    fn drive<T: Part<P>>(&mut self, part: &mut T, poller: &mut Poller) -> Result<(), Stop> {
        while part.open() > 0 {
            let pause = part.pause(self);
            self.wait(pause, poller).map_err(Stop::Wait)?;
            self.begin_turn();
            for event in poller.events() {
                self.handle(part, event, poller.registry())?;
            }
            part.turn(self, poller.registry())?;
            self.release(None)?;
            while let Some(publisher) = self.released.pop() {
                part.got_room(self, publisher);
            }
            if self.now >= self.tick_at {
                self.tick(part, poller.registry())?;
            }
        }
        Ok(())
    }

    /// Looks at the time. An event is as old as the turn, unless this process was busy or had no
    /// processor: then nobody can tell.
    fn begin_turn(&mut self) {
        let before = std::mem::replace(&mut self.now, self.clock.now());
        let had_no_time = self.now.saturating_sub(before) > nanos(TICK + CATCH_UP);
        self.since = if had_no_time { before } else { self.now };
        if had_no_time {
            self.excuse(before);
        }
        self.intake.pauses.begin_turn(self.now);
        // Before the turn's work, so that this is part of the next turn's account.
        if self.now >= self.tick_at {
            self.cpu_at_tick = thread_cpu();
        }
    }

    /// Takes the time since `before` out of all that is waited for, but for the longest wait there
    /// is in a turn: nobody looked meanwhile. What of it was no work of this thread was a pause, and
    /// nobody knows when that arrived which is found after it.
    fn excuse(&mut self, before: Nanos) {
        let unseen = self.now - before - nanos(TICK);
        let asked_at = self.inquiry.as_mut().map(|inquiry| &mut inquiry.asked_at);
        let others = [
            &mut self.progressed_at,
            &mut self.received_at,
            &mut self.intake.loaded_at,
        ];
        for since in others.into_iter().chain(asked_at) {
            *since = (*since + unseen).min(self.now);
        }
        let worked = nanos(thread_cpu().saturating_sub(self.cpu_at_tick));
        let pause = unseen.saturating_sub(worked);
        if pause < nanos(CATCH_UP) {
            return;
        }
        self.intake.pauses.end(self.now, pause);
        if matches!(self.took, Took::Since(_)) {
            self.intake.count.pause_count += 1;
            self.intake.count.paused += Duration::from_nanos(pause);
        }
    }

    /// Waits for events, or until there is something to do without one.
    fn wait(&self, pause: Pause, poller: &mut Poller) -> io::Result<()> {
        let pause = match (self.cuts.due(), pause) {
            (Some(due), Pause::Until(other)) => Pause::Until(due.min(other)),
            (Some(due), Pause::Tick) => Pause::Until(due),
            (_, pause) => pause,
        };
        match pause {
            Pause::None => return poller.wait(Duration::ZERO),
            Pause::Until(due) => {
                let left = due.saturating_sub(self.clock.now());
                poller.wake_after(Duration::from_nanos(left))?;
            }
            Pause::Tick => {}
        }
        poller.wait(TICK)
    }

    fn handle<T: Part<P>>(
        &mut self,
        part: &mut T,
        event: &Event,
        registry: &Registry,
    ) -> Result<(), Stop> {
        if event.token() == STALLED_TOKEN {
            return part.connect_stalled(self, registry);
        }
        let client = event.token().0;
        let Some(connection) = &mut self.clients[client] else {
            return Ok(());
        };
        let is_new = !connection.is_connected();
        if is_new {
            if !self.finish_connecting(client)? {
                return Ok(());
            }
            part.connected(self, client, registry)?;
        }
        if event.is_writable() && self.client(client).has_unsent() {
            self.client(client)
                .flush()
                .map_err(|source| self.failed(client, source))?;
            if !self.client(client).has_unsent() {
                part.got_room(self, client);
            }
        }
        let until = if event.is_read_closed() || event.is_error() {
            ReadUntil::End
        } else {
            ReadUntil::Short
        };
        let is_read = client >= self.topology.readers().start && part.reads_at_once(self, client);
        // With the end of its handshake, the server may have sent more.
        if (event.is_readable() || until == ReadUntil::End || is_new) && is_read {
            self.receive(part, client, until, registry)?;
        }
        Ok(())
    }

    fn receive<T: Part<P>>(
        &mut self,
        part: &mut T,
        client: usize,
        until: ReadUntil,
        registry: &Registry,
    ) -> Result<(), Stop> {
        let (intake, clock) = (&mut self.intake, self.clock);
        let connection = self.clients[client]
            .as_mut()
            .expect("events are for clients that are there");
        let received = connection.receive(self.scratch, until, registry, |messages| {
            intake.deliver(client, messages, clock.now())
        });
        self.received(part, client, received, registry)
    }

    /// Draws the consequences of what a client has received.
    pub(crate) fn received<T: Part<P>>(
        &mut self,
        part: &mut T,
        client: usize,
        received: io::Result<Stream>,
        registry: &Registry,
    ) -> Result<(), Stop> {
        if self.intake.is_broken {
            self.conduct.broken_at = self.connection(client);
            return Err(Stop::Broken);
        }
        self.answer(client)?;
        let refusal = self.intake.refusal.take();
        let received = refusal.map_or(received, |refusal| Err(io::Error::other(refusal)));
        self.received_at = self.now;
        if std::mem::take(&mut self.intake.has_progressed) {
            self.progressed_at = self.now;
        }
        while let Some(joined) = self.intake.joined.pop() {
            if self.joined(joined) {
                part.visitor_joined();
            }
        }
        while let Some(sender) = self.intake.completed.pop() {
            part.settled(self, sender, registry)?;
        }
        match received {
            Ok(Stream::Open) => Ok(()),
            Ok(Stream::Closed) => part.ended(self, client, None, registry),
            Err(error) => part.ended(self, client, Some(error), registry),
        }
    }

    /// Has a client answer what it was asked, behind what it has begun to send.
    fn answer(&mut self, client: usize) -> Result<(), Stop> {
        if self.intake.answers.is_empty() {
            return Ok(());
        }
        let connection = self.clients[client].as_mut();
        let answered = connection.map_or(Ok(()), |it| it.send(&self.intake.answers));
        self.intake.answers.clear();
        answered.map_err(|source| self.failed(client, source))
    }

    /// Looks after what no event tells: senders that wait in vain, slow readers, a server that is
    /// gone, time that is up.
    fn tick<T: Part<P>>(&mut self, part: &mut T, registry: &Registry) -> Result<(), Stop> {
        self.tick_at = self.now + nanos(TICK);
        self.tell(T::PHASE, part.open())?;
        let timeout = self.load.timeout;
        // Looking takes its time, so it is done before it matters and not at once.
        if self.now.saturating_sub(self.progressed_at) >= nanos(timeout / 2)
            && part.is_between(self)
        {
            (self.progressed_at, self.received_at) = (self.now, self.now);
        }
        part.tick(self, registry)?;
        let Some(nudge) = T::NUDGE else {
            return Ok(());
        };
        if self.inquire(part, nudge)? {
            return Ok(());
        }
        self.ask_visitors()?;
        self.check_timeout(part)?;
        for sender in 0..self.topology.resident_count().min(self.clients.len()) {
            let is_due = self.intake.progress.is_nudge_due(sender, self.now, timeout);
            if is_due && !self.client(sender).has_unsent() {
                self.send(sender, nudge)?;
                self.nudge_count += 1;
                self.intake.progress.nudged(sender, self.now);
            }
        }
        Ok(())
    }
}

/// Returns the processor time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// How often to look after what no event tells. A judgement: half the shortest time after which a
/// sender sends a probe.
const TICK: Duration = Duration::from_millis(50);
