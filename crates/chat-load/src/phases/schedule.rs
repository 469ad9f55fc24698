//! The load by an open schedule.

use chat_trace::{Kind, Nanos, Times};

use crate::bench::nanos;
use crate::pacing::{CATCH_UP, Schedule};
use crate::phases::publish::{Publish, Publisher, load_end, load_is_full, measure_start};
use crate::protocol::Protocol;
use crate::stop::Stop;
use crate::wiring::Wiring;

impl Publish {
    /// Sends or gives up what one publisher is to send by now.
    pub(super) fn send_due<P: Protocol + Copy>(
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
        let measured = schedule.first_since(publisher, measure_start(wiring));
        self.give_up(wiring, publisher, kept, (free, measured));
        let is_cut = !is_full && wiring.is_next_cut(publisher);
        wiring.outbox.clear();
        let mut last_start = None;
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
                // The time in which the rest of a message was held back was our own choice.
                intended: due.max(wiring.cuts.released_at(publisher)),
                sent: now,
                is_measured: due >= measure_start,
            };
            last_start = Some(wiring.outbox.wire().len());
            wiring.add(publisher, Kind::Load, 1, times);
            wiring.intake.latencies.was_late(now - due.max(free_since));
            wiring.intake.count.sent += 1;
            wiring.intake.count.measured_sent += u64::from(times.is_measured);
            *next += 1;
        }
        let has_sent_all = *next == end;
        match last_start.filter(|_| is_cut) {
            Some(start) => wiring.write_part(publisher, start)?,
            None => wiring.write(publisher)?,
        }
        if has_sent_all || load_is_full(wiring) {
            self.await_last(wiring, publisher);
        }
        Ok(())
    }

    /// Gives up the messages of a publisher before number `kept`, which are too late. Since number
    /// `free` the socket has had room, so these could have been sent in time; from number `measured`
    /// on they are no warm-up.
    fn give_up<P>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        publisher: usize,
        kept: u64,
        (free, measured): (u64, u64),
    ) {
        let next = &mut self.publishers[publisher].next;
        if kept > *next {
            wiring.intake.count.unsent += kept - *next;
            wiring.intake.count.measured_unsent += kept.saturating_sub(measured.max(*next));
            wiring.intake.count.missed += kept.saturating_sub(free.max(*next));
            *next = kept;
        }
    }

    /// Has publishers with a schedule ask what became of their messages, when nothing has arrived
    /// for long: nobody waits for single ones, but if something was dropped, nothing else would
    /// tell until the next is due.
    pub(super) fn ask_at_rate<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
    ) -> Result<(), Stop> {
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

    /// Returns when the next message of the schedule is due that can be sent.
    pub(super) fn next_due<P: Protocol + Copy>(
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

/// Returns the schedule of a load, if it has one.
pub(super) fn schedule<P>(wiring: &Wiring<'_, P>) -> Option<Schedule> {
    let rate = wiring.load.pacing.rate()?;
    Some(Schedule::new(
        wiring.phase_start,
        rate,
        wiring.topology.publishers,
    ))
}

/// How often a publisher with a schedule asks what became of its messages, before the timeout. A
/// judgement: twice before it is looked whether anybody waits.
const ASKS: u32 = 8;

/// How many bytes of a schedule are sent in a turn, but for the rest of a message. A judgement: as
/// much as with a flood.
const WRITE_LEN: usize = 64 << 10;
