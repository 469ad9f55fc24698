//! Sending: the load as the pacing has it, and all other messages.

use chat_results::{Pacing, Phase};
use chat_trace::{Kind, Nanos, Times};

use crate::bench::nanos;
use crate::engine::Repetition;
use crate::pacing::{CATCH_UP, FLOOD_BURST, Schedule};
use crate::protocol::Protocol;
use crate::stop::Stop;

/// How far a publisher is with its load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Publisher {
    /// Which message of the schedule is next.
    pub(crate) next: u64,
    /// How many load messages all of its subscribers are settled on, at least.
    settled_load: u32,
    /// Whether it sends no more.
    pub(crate) has_finished: bool,
    /// When its socket last had room again, at the earliest. What was to be sent before that, the
    /// server did not take.
    pub(crate) free_since: Nanos,
}

impl<P: Protocol + Copy> Repetition<'_, P> {
    /// Sends as much as a publisher may send now.
    pub(crate) fn load_more(&mut self, publisher: usize) -> Result<(), Stop> {
        loop {
            let left = self.load_left(publisher);
            let count = match self.load.pacing {
                Pacing::Window(window) => {
                    let in_flight = self.intake.trace.sent().of(publisher).load_count()
                        - self.publishers[publisher].settled_load;
                    window.get().saturating_sub(in_flight)
                }
                Pacing::Flood => FLOOD_BURST,
                Pacing::Rate(_) => 0,
            };
            let count = count.min(left);
            if count > 0 {
                self.send_load(publisher, count)?;
            }
            if count == left {
                self.publishers[publisher].has_finished = true;
                return self.await_last(publisher);
            }
            if self.load.pacing == Pacing::Flood {
                if !self.client(publisher).has_unsent() {
                    self.ready.push(publisher);
                }
                return Ok(());
            }
            if !self.await_half_window(publisher) {
                return Ok(());
            }
        }
    }

    /// Notes that a client's socket has taken all that was sent.
    pub(crate) fn got_room(&mut self, client: usize) {
        let Some(publisher) = self.publishers.get_mut(client) else {
            return;
        };
        publisher.free_since = self.since;
        // One that floods was waiting for this, unless it has finished.
        if self.phase == Phase::Load && self.load.pacing == Pacing::Flood && !publisher.has_finished
        {
            self.ready.push(client);
        }
    }

    /// Returns how many load messages a publisher may send yet.
    fn load_left(&self, publisher: usize) -> u32 {
        let is_over = self.load_end().is_some_and(|end| self.now >= end);
        if is_over {
            return 0;
        }
        let left = self.load.messages.map_or(u32::MAX, |messages| {
            messages - self.intake.trace.sent().of(publisher).load_count()
        });
        left.min(self.intake.trace.room())
    }

    /// Has a publisher wait until half a window is settled, so that it sends the other half at
    /// once. Tells whether that is so already.
    fn await_half_window(&mut self, publisher: usize) -> bool {
        let Pacing::Window(window) = self.load.pacing else {
            return false;
        };
        let sends = self.intake.trace.sent().of(publisher);
        let awaited = sends.count() - window.get() / 2;
        let place = sends.find(awaited.saturating_sub(1), 0).unwrap_or_default();
        self.publishers[publisher].settled_load = sends.load_before(awaited, place);
        self.intake
            .progress
            .expect(publisher, awaited, self.intake.trace, self.now)
    }

    /// Has a publisher that sends no more wait until all is settled.
    fn await_last(&mut self, publisher: usize) -> Result<(), Stop> {
        self.intake.count.is_cut |= self.load_is_full();
        let count = self.intake.trace.sent().of(publisher).count();
        if self
            .intake
            .progress
            .expect(publisher, count, self.intake.trace, self.now)
        {
            self.open -= 1;
        }
        Ok(())
    }

    /// Sends a burst of load messages.
    fn send_load(&mut self, publisher: usize, count: u32) -> Result<(), Stop> {
        let now = self.bench.clock.now();
        let is_measured = now >= self.measure_start();
        let times = Times {
            intended: now,
            sent: now,
            is_measured,
        };
        self.outbox.clear();
        self.outbox
            .add(self.intake.trace, publisher, Kind::Load, count, times);
        self.intake.count.sent += u64::from(count);
        self.write(publisher)
    }

    /// Sends all messages that the schedule has for now, and gives up those that are too late.
    pub(crate) fn send_due(&mut self, rate: f64) -> Result<(), Stop> {
        let schedule = self.schedule(rate);
        for publisher in 0..self.publishers.len() {
            if !self.publishers[publisher].has_finished {
                self.send_due_of(publisher, schedule)?;
            }
        }
        Ok(())
    }

    /// Sends or gives up what one publisher is to send by now.
    fn send_due_of(&mut self, publisher: usize, schedule: Schedule) -> Result<(), Stop> {
        let now = self.bench.clock.now();
        let messages = self.load.messages.map_or(u64::MAX, u64::from);
        let end = self.load_end().map_or(messages, |end| {
            messages.min(schedule.first_since(publisher, end))
        });
        let is_full = self.client(publisher).has_unsent();
        let free_since = if is_full {
            now
        } else {
            self.publishers[publisher].free_since
        };
        let kept = schedule
            .first_since(publisher, now.saturating_sub(nanos(CATCH_UP)))
            .min(end);
        self.give_up(publisher, kept, schedule.first_since(publisher, free_since));
        self.outbox.clear();
        let measure_start = self.measure_start();
        let mut next = self.publishers[publisher].next;
        while !is_full && next < end && self.outbox.wire().len() < WRITE_LEN && !self.load_is_full()
        {
            let due = schedule.due(publisher, next);
            if due > now {
                break;
            }
            let times = Times {
                intended: due,
                sent: now,
                is_measured: due >= measure_start,
            };
            self.outbox
                .add(self.intake.trace, publisher, Kind::Load, 1, times);
            self.intake.latencies.was_late(now - due.max(free_since));
            self.intake.count.sent += 1;
            next += 1;
        }
        self.publishers[publisher].next = next;
        self.write(publisher)?;
        if next == end || self.load_is_full() {
            self.publishers[publisher].has_finished = true;
            return self.await_last(publisher);
        }
        Ok(())
    }

    /// Has publishers with a schedule ask what became of their messages, when nothing has arrived
    /// for long: nobody waits for single ones, but if something was dropped, nothing else would
    /// tell until the next is due.
    pub(crate) fn ask_at_rate(&mut self) -> Result<(), Stop> {
        let quiet_since = self
            .intake
            .loaded_at
            .max(self.asked_at)
            .max(self.phase_start);
        if !self.load.has_schedule()
            || self.now.saturating_sub(quiet_since) < nanos(self.load.timeout / ASKS)
        {
            return Ok(());
        }
        self.asked_at = self.now;
        for publisher in 0..self.publishers.len() {
            if self
                .intake
                .trace
                .receivers()
                .unresolved_of(publisher, self.intake.trace.sent())
                > 0
                && !self.client(publisher).has_unsent()
            {
                self.send(publisher, Kind::Probe)?;
            }
        }
        Ok(())
    }

    /// Gives up the messages of a publisher before number `kept`, which are too late. Since number
    /// `free` the socket has had room, so these could have been sent in time.
    fn give_up(&mut self, publisher: usize, kept: u64, free: u64) {
        let next = &mut self.publishers[publisher].next;
        if kept > *next {
            self.intake.count.unsent += kept - *next;
            self.intake.count.missed += kept.saturating_sub(free.max(*next));
            *next = kept;
        }
    }

    /// Sends a message on which the audience of the phase has to be settled.
    pub(crate) fn send_awaited(&mut self, sender: usize, kind: Kind) -> Result<(), Stop> {
        let count = self.send(sender, kind)?;
        self.intake
            .progress
            .expect(sender, count, self.intake.trace, self.now);
        Ok(())
    }

    /// Sends a message that is no load, and returns how many messages the client has sent.
    pub(crate) fn send(&mut self, sender: usize, kind: Kind) -> Result<u32, Stop> {
        self.outbox.clear();
        let times = Times {
            intended: self.now,
            sent: self.now,
            is_measured: false,
        };
        let count = self.outbox.add(self.intake.trace, sender, kind, 1, times);
        self.write(sender)?;
        Ok(count)
    }

    /// Writes what is being sent.
    pub(crate) fn write(&mut self, sender: usize) -> Result<(), Stop> {
        let connection = self.clients[sender].as_mut().expect("who sends is there");
        connection
            .send(self.outbox.wire())
            .map_err(|source| self.connection(sender, source))
    }

    pub(crate) fn schedule(&self, rate: f64) -> Schedule {
        Schedule::new(self.phase_start, rate, self.publishers.len())
    }

    fn measure_start(&self) -> Nanos {
        self.phase_start + nanos(self.load.warmup)
    }

    fn load_end(&self) -> Option<Nanos> {
        self.load
            .duration
            .map(|duration| self.phase_start + nanos(self.load.warmup + duration))
    }

    fn load_is_full(&self) -> bool {
        self.intake.trace.room() == 0
    }
}

/// How often a publisher with a schedule asks what became of its messages, before patience runs
/// out. A judgement: twice before it is looked whether anybody waits.
const ASKS: u32 = 8;

/// How many bytes of a schedule are sent in a turn, but for the rest of a message. A judgement: as
/// much as with a flood.
const WRITE_LEN: usize = 64 << 10;
