//! The load: publishers send, as the pacing has it.

use chat_results::{Pacing, Phase};
use chat_trace::{Kind, Nanos, Times};
use mio::Registry;

use crate::antagonists::{SlowReading, Visits};
use crate::bench::nanos;
use crate::pacing::{CATCH_UP, FLOOD_BURST, Schedule};
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
    publishers: Vec<Publisher>,
    /// The publishers that may send at once, though nothing arrives.
    ready: Vec<usize>,
    slow: SlowReading,
    /// When publishers with a schedule last asked what became of their messages.
    asked_at: Nanos,
}

/// How far a publisher is with its load.
#[derive(Clone, Copy, Debug, Default)]
struct Publisher {
    /// Which message of the schedule is next.
    next: u64,
    /// How many load messages all of its subscribers are settled on, at least.
    settled_load: u32,
    /// Whether it sends no more.
    has_finished: bool,
    /// When its socket last had room again, at the earliest. What was to be sent before that, the
    /// server did not take.
    free_since: Nanos,
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
    fn await_last<P: Protocol + Copy>(&mut self, wiring: &mut Wiring<'_, P>, publisher: usize) {
        self.publishers[publisher].has_finished = true;
        wiring.intake.count.is_cut |= load_is_full(wiring);
        let count = wiring.intake.trace.sent().of(publisher).count();
        if wiring.expect(publisher, count) {
            self.open -= 1;
        }
    }

    /// Sends or gives up what one publisher is to send by now.
    fn send_due<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        publisher: usize,
        schedule: Schedule,
    ) -> Result<(), Stop> {
        let now = wiring.clock.now();
        let messages = wiring.load.messages.map_or(u64::MAX, u64::from);
        let end = load_end(wiring).map_or(messages, |end| {
            messages.min(schedule.first_since(publisher, end))
        });
        let is_full = wiring.client(publisher).has_unsent();
        let free_since = if is_full {
            now
        } else {
            self.publishers[publisher].free_since
        };
        let kept = schedule
            .first_since(publisher, now.saturating_sub(nanos(CATCH_UP)))
            .min(end);
        let free = schedule.first_since(publisher, free_since);
        self.give_up(wiring, publisher, kept, free);
        wiring.outbox.clear();
        let measure_start = measure_start(wiring);
        let next = &mut self.publishers[publisher].next;
        while !is_full
            && *next < end
            && wiring.outbox.wire().len() < WRITE_LEN
            && !load_is_full(wiring)
        {
            let due = schedule.due(publisher, *next);
            if due > now {
                break;
            }
            let times = Times {
                intended: due,
                sent: now,
                is_measured: due >= measure_start,
            };
            wiring
                .outbox
                .add(wiring.intake.trace, publisher, Kind::Load, 1, times);
            wiring.intake.latencies.was_late(now - due.max(free_since));
            wiring.intake.count.sent += 1;
            *next += 1;
        }
        let has_sent_all = *next == end;
        wiring.write(publisher)?;
        if has_sent_all || load_is_full(wiring) {
            self.await_last(wiring, publisher);
        }
        Ok(())
    }

    /// Gives up the messages of a publisher before number `kept`, which are too late. Since number
    /// `free` the socket has had room, so these could have been sent in time.
    fn give_up<P>(&mut self, wiring: &mut Wiring<'_, P>, publisher: usize, kept: u64, free: u64) {
        let next = &mut self.publishers[publisher].next;
        if kept > *next {
            wiring.intake.count.unsent += kept - *next;
            wiring.intake.count.missed += kept.saturating_sub(free.max(*next));
            *next = kept;
        }
    }

    /// Has publishers with a schedule ask what became of their messages, when nothing has arrived
    /// for long: nobody waits for single ones, but if something was dropped, nothing else would
    /// tell until the next is due.
    fn ask_at_rate<P: Protocol + Copy>(&mut self, wiring: &mut Wiring<'_, P>) -> Result<(), Stop> {
        let quiet_since = wiring
            .intake
            .loaded_at
            .max(self.asked_at)
            .max(wiring.phase_start);
        if !wiring.load.has_schedule()
            || wiring.now.saturating_sub(quiet_since) < nanos(wiring.load.timeout / ASKS)
        {
            return Ok(());
        }
        self.asked_at = wiring.now;
        for publisher in 0..self.publishers.len() {
            let trace = &wiring.intake.trace;
            let unresolved = trace.receivers().unresolved_of(publisher, trace.sent());
            if unresolved > 0 && !wiring.client(publisher).has_unsent() {
                wiring.send(publisher, Kind::Probe)?;
            }
        }
        Ok(())
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

    /// Returns when the next message of the schedule is due that can be sent.
    fn next_due<P: Protocol + Copy>(
        &self,
        wiring: &Wiring<'_, P>,
        schedule: Schedule,
    ) -> Option<Nanos> {
        // Whose socket is full has an event to wait for.
        let is_sending = |&(index, publisher): &(usize, &Publisher)| {
            !publisher.has_finished
                && wiring.clients[index]
                    .as_ref()
                    .is_some_and(|client| !client.has_unsent())
        };
        let sending = self.publishers.iter().enumerate().filter(is_sending);
        sending
            .map(|(index, publisher)| schedule.due(index, publisher.next))
            .min()
    }
}

impl<P: Protocol + Copy> Part<P> for Publish {
    const PHASE: Phase = Phase::Load;
    const AUDIENCE: Audience = Audience::OwnSubscribers;
    const NUDGE: Option<Kind> = Some(Kind::Probe);
    const SEEKS_MISSING_ECHO: bool = false;
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
    let now = wiring.clock.now();
    let times = Times {
        intended: now,
        sent: now,
        is_measured: now >= measure_start(wiring),
    };
    wiring.outbox.clear();
    wiring
        .outbox
        .add(wiring.intake.trace, publisher, Kind::Load, count, times);
    wiring.intake.count.sent += u64::from(count);
    wiring.write(publisher)
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

fn schedule<P>(wiring: &Wiring<'_, P>) -> Option<Schedule> {
    let rate = wiring.load.pacing.rate()?;
    Some(Schedule::new(
        wiring.phase_start,
        rate,
        wiring.topology.publishers,
    ))
}

fn measure_start<P>(wiring: &Wiring<'_, P>) -> Nanos {
    wiring.phase_start + nanos(wiring.load.warmup)
}

fn load_end<P>(wiring: &Wiring<'_, P>) -> Option<Nanos> {
    let duration = wiring.load.duration?;
    Some(wiring.phase_start + nanos(wiring.load.warmup + duration))
}

fn load_is_full<P>(wiring: &Wiring<'_, P>) -> bool {
    wiring.intake.trace.room() == 0
}

/// How often a publisher with a schedule asks what became of its messages, before the timeout. A
/// judgement: twice before it is looked whether anybody waits.
const ASKS: u32 = 8;

/// How many bytes of a schedule are sent in a turn, but for the rest of a message. A judgement: as
/// much as with a flood.
const WRITE_LEN: usize = 64 << 10;
