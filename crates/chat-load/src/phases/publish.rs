//! The load: publishers send, as the pacing has it.

use chat_results::{Pacing, Phase};
use chat_trace::{Kind, Nanos, Times};
use mio::Registry;

use crate::antagonists::{SlowReading, Visits};
use crate::bench::nanos;
use crate::pacing::FLOOD_BURST;
use crate::phases::schedule::schedule;
use crate::phases::{Part, Pause};
use crate::protocol::Protocol;
use crate::settle::Audience;
use crate::stop::{Stop, Unresolved};
use crate::wiring::Wiring;

/// Publishers send, as the pacing has it; slow clients read slowly, visitors come and go.
#[derive(Debug)]
pub(crate) struct Publish {
    /// How many publishers have not sent all, or wait for the last of it.
    open: usize,
    pub(super) publishers: Vec<Publisher>,
    /// The publishers that may send at once, though nothing arrives.
    ready: Vec<usize>,
    slow: SlowReading,
    /// When publishers with a schedule last asked what became of their messages.
    pub(super) asked_at: Nanos,
}

/// How far a publisher is with its load.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Publisher {
    /// Which message of the schedule is next.
    pub(super) next: u64,
    /// How many load messages all of its subscribers are settled on, at least.
    settled_load: u32,
    /// Whether it sends no more.
    pub(super) has_finished: bool,
    /// When its socket last had room again, at the earliest. What was to be sent before that, the
    /// server did not take.
    pub(super) free_since: Nanos,
}

impl Publish {
    pub(crate) fn new<P: Protocol + Copy>(wiring: &Wiring<'_, P>) -> Self {
        let publisher_count = wiring.topology.publishers;
        Self {
            open: publisher_count,
            publishers: vec![Publisher::default(); publisher_count],
            ready: Vec::new(),
            slow: SlowReading::new(wiring.load.slow.bytes_per_s, wiring.now),
            asked_at: wiring.now,
        }
    }

    /// Has publishers without a schedule begin.
    pub(crate) fn start<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
    ) -> Result<(), Stop> {
        self.slow = SlowReading::new(wiring.load.slow.bytes_per_s, wiring.now);
        wiring.visits = Visits::new(wiring.now, wiring.load.churn);
        if !wiring.load.has_schedule() {
            for publisher in 0..self.publishers.len() {
                self.send_more(wiring, publisher)?;
            }
        }
        Ok(())
    }

    /// Sends as much as a publisher may send now.
    fn send_more<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        publisher: usize,
    ) -> Result<(), Stop> {
        loop {
            let left = load_left(wiring, publisher);
            let count = match wiring.load.pacing {
                Pacing::Window(window) => {
                    let in_flight = wiring.intake.trace.sent().of(publisher).load_count()
                        - self.publishers[publisher].settled_load;
                    window.get().saturating_sub(in_flight)
                }
                Pacing::Flood => FLOOD_BURST,
                Pacing::Rate(_) => 0,
            };
            let count = count.min(left);
            if count > 0 {
                send_load(wiring, publisher, count)?;
            }
            if count == left {
                self.await_last(wiring, publisher);
                return Ok(());
            }
            if wiring.load.pacing == Pacing::Flood {
                if !wiring.client(publisher).has_unsent() {
                    self.ready.push(publisher);
                }
                return Ok(());
            }
            if !self.await_half_window(wiring, publisher) {
                return Ok(());
            }
        }
    }

    /// Has a publisher wait until half a window is settled, so that it sends the other half at
    /// once. Tells whether that is so already.
    fn await_half_window<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        publisher: usize,
    ) -> bool {
        let Pacing::Window(window) = wiring.load.pacing else {
            return false;
        };
        let sends = wiring.intake.trace.sent().of(publisher);
        let awaited = sends.count() - window.get() / 2;
        let place = sends.find(awaited.saturating_sub(1), 0).unwrap_or_default();
        self.publishers[publisher].settled_load = sends.load_before(awaited, place);
        wiring.expect(publisher, awaited)
    }

    /// Has a publisher that sends no more wait until all is settled.
    pub(super) fn await_last<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        publisher: usize,
    ) {
        self.publishers[publisher].has_finished = true;
        wiring.intake.count.is_cut |= load_is_full(wiring);
        let count = wiring.intake.trace.sent().of(publisher).count();
        if wiring.expect(publisher, count) {
            self.open -= 1;
        }
    }

    /// Has slow clients read what time allows.
    fn read_slowly<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        registry: &Registry,
    ) -> Result<(), Stop> {
        let allowance = self.slow.allowance(wiring.now);
        if allowance == 0 {
            // To read nothing would look like the end of the stream.
            return Ok(());
        }
        for client in wiring.topology.slow_clients() {
            let (intake, clock) = (&mut wiring.intake, wiring.clock);
            let Some(connection) = &mut wiring.clients[client] else {
                continue;
            };
            let received = connection.receive_some(wiring.scratch, allowance, |messages| {
                intake.deliver(client, messages, clock.now())
            });
            wiring.received(self, client, received, registry)?;
        }
        Ok(())
    }
}

impl<P: Protocol + Copy> Part<P> for Publish {
    const PHASE: Phase = Phase::Load;
    const AUDIENCE: Audience = Audience::OwnSubscribers;
    const NUDGE: Option<Kind> = Some(Kind::Probe);
    const MAY_HANG: bool = true;

    fn open(&self) -> usize {
        self.open
    }

    fn settled(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        sender: usize,
        _registry: &Registry,
    ) -> Result<(), Stop> {
        if !self.publishers[sender].has_finished {
            return self.send_more(wiring, sender);
        }
        self.open -= 1;
        Ok(())
    }

    /// Slow clients are read in ticks.
    fn reads_at_once(&self, wiring: &Wiring<'_, P>, client: usize) -> bool {
        !wiring.topology.slow_clients().contains(&client)
    }

    fn got_room(&mut self, wiring: &Wiring<'_, P>, client: usize) {
        let Some(publisher) = self.publishers.get_mut(client) else {
            return;
        };
        publisher.free_since = wiring.since;
        // One that floods was waiting for this, unless it has finished.
        if wiring.load.pacing == Pacing::Flood && !publisher.has_finished {
            self.ready.push(client);
        }
    }

    fn pause(&self, wiring: &Wiring<'_, P>) -> Pause {
        if !self.ready.is_empty() {
            return Pause::None;
        }
        let schedule = schedule(wiring);
        let due = schedule.and_then(|schedule| self.next_due(wiring, schedule));
        due.map_or(Pause::Tick, Pause::Until)
    }

    fn turn(&mut self, wiring: &mut Wiring<'_, P>, registry: &Registry) -> Result<(), Stop> {
        for publisher in std::mem::take(&mut self.ready) {
            self.send_more(wiring, publisher)?;
        }
        if let Some(schedule) = schedule(wiring) {
            for publisher in 0..self.publishers.len() {
                if !self.publishers[publisher].has_finished {
                    self.send_due(wiring, publisher, schedule)?;
                }
            }
        }
        wiring.let_visitors_come(registry)?;
        wiring.let_visitors_go();
        Ok(())
    }

    fn tick(&mut self, wiring: &mut Wiring<'_, P>, registry: &Registry) -> Result<(), Stop> {
        self.read_slowly(wiring, registry)?;
        self.ask_at_rate(wiring)
    }

    fn is_in_lockstep(&self, wiring: &Wiring<'_, P>) -> bool {
        wiring.load.pacing == Pacing::LOCK_STEP
    }

    /// Tells whether nobody waits for anything but the next message of the schedule.
    fn is_between(&self, wiring: &Wiring<'_, P>) -> bool {
        wiring.load.has_schedule() && wiring.intake.trace.unresolved() == 0
    }

    fn tell_unresolved(&self, wiring: &Wiring<'_, P>, unresolved: &mut Unresolved) {
        if wiring.load.has_schedule() {
            // Nobody waits for these, but they are what did not go on.
            wiring.tell_undelivered(unresolved);
        }
        wiring.tell_open(unresolved, Wiring::told);
    }
}

/// Sends a burst of load messages.
fn send_load<P: Protocol + Copy>(
    wiring: &mut Wiring<'_, P>,
    publisher: usize,
    count: u32,
) -> Result<(), Stop> {
    let is_cut = wiring.is_next_cut(publisher);
    let now = wiring.clock.now();
    let times = Times {
        intended: now,
        sent: now,
        is_measured: now >= measure_start(wiring),
    };
    wiring.intake.count.sent += u64::from(count);
    if times.is_measured {
        wiring.intake.count.measured_sent += u64::from(count);
    }
    wiring.outbox.clear();
    if !is_cut {
        wiring.add(publisher, Kind::Load, count, times);
        return wiring.write(publisher);
    }
    if count > 1 {
        wiring.add(publisher, Kind::Load, count - 1, times);
    }
    let start = wiring.outbox.wire().len();
    wiring.add(publisher, Kind::Load, 1, times);
    wiring.write_part(publisher, start)
}

/// Returns how many load messages a publisher may send yet.
fn load_left<P>(wiring: &Wiring<'_, P>, publisher: usize) -> u32 {
    if load_end(wiring).is_some_and(|end| wiring.now >= end) {
        return 0;
    }
    let left = wiring.load.messages.map_or(u32::MAX, |messages| {
        messages - wiring.intake.trace.sent().of(publisher).load_count()
    });
    left.min(wiring.intake.trace.room())
}

pub(super) fn measure_start<P>(wiring: &Wiring<'_, P>) -> Nanos {
    wiring.phase_start + nanos(wiring.load.warmup)
}

pub(super) fn load_end<P>(wiring: &Wiring<'_, P>) -> Option<Nanos> {
    let duration = wiring.load.duration?;
    Some(wiring.phase_start + nanos(wiring.load.warmup + duration))
}

pub(super) fn load_is_full<P>(wiring: &Wiring<'_, P>) -> bool {
    wiring.intake.trace.room() == 0
}
