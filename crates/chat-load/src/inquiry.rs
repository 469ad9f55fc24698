//! Whether a server leaves a client out.

use chat_trace::{Kind, LeftOut, Nanos};

use crate::bench::nanos;
use crate::pauses::Pauses;
use crate::phases::Part;
use crate::protocol::Protocol;
use crate::settle::Open;
use crate::stop::{Stop, Unresolved};
use crate::wiring::Wiring;

/// Finds out whether a server leaves a client out of the messages of one sender, when that waits for
/// the client in vain.
///
/// The sender sends many messages more. When others have got them and the client none, the client
/// ends its sending side: it is owed all up to its own last message, and then the end. So neither a
/// clock nor chance decides, but what comes until then.
///
/// While the load tester does not run, the client does not keep up. So what was asked then is asked
/// again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inquiry {
    pub(crate) client: usize,
    pub(crate) sender: usize,
    /// How many messages of the sender the client was settled on before.
    settled: u32,
    /// How many the sender had sent.
    first: u32,
    asked: u32,
    /// When it began to ask.
    begun_at: Nanos,
    /// When it asked last.
    pub(crate) asked_at: Nanos,
    /// How many times it began to ask again.
    again_count: u32,
    /// Whether the client has ended its sending side.
    pub(crate) is_closing: bool,
}

impl Inquiry {
    /// Begins to ask again, after the `sent` messages that the sender has sent, if the load tester
    /// did not run meanwhile. Tells whether it does; when that happens too often, it fails.
    fn try_again(&mut self, sent: u32, pauses: &Pauses, now: Nanos) -> Result<bool, Disturbed> {
        if !pauses.blur(self.begun_at, now) {
            return Ok(false);
        }
        if self.again_count == AGAIN_MAX {
            return Err(Disturbed);
        }
        (self.first, self.asked) = (sent, 0);
        (self.begun_at, self.asked_at) = (now, now);
        self.again_count += 1;
        Ok(true)
    }
}

/// The load tester was paused each time that it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disturbed;

impl<P: Protocol + Copy> Wiring<'_, P> {
    /// Begins an inquiry, if the server may leave somebody out, and tells whether it did.
    pub(crate) fn begin_inquiry(&mut self) -> bool {
        if !P::OUTLASTS_HALF_CLOSE {
            // Nobody could tell when the server has sent a client all that it will.
            return false;
        }
        let Some((client, sender)) = self.missed() else {
            return false;
        };
        let trace = &self.intake.trace;
        self.inquiry = Some(Inquiry {
            client,
            sender,
            settled: trace.receivers().settled(client, sender).unwrap_or(0),
            first: trace.sent().of(sender).count(),
            asked: 0,
            begun_at: self.now,
            asked_at: self.now,
            again_count: 0,
            is_closing: false,
        });
        self.progressed_at = self.now;
        true
    }

    /// Goes on with an inquiry, and tells whether there is one.
    pub(crate) fn inquire<T: Part<P>>(&mut self, part: &T, kind: Kind) -> Result<bool, Stop> {
        let Some(mut inquiry) = self.inquiry.filter(|inquiry| !inquiry.is_closing) else {
            return Ok(self.inquiry.is_some());
        };
        let Inquiry {
            client,
            sender,
            settled,
            first,
            ..
        } = inquiry;
        let receivers = self.intake.trace.receivers();
        if receivers.settled(client, sender) > Some(settled) {
            // It is not left out.
            self.inquiry = None;
            return Ok(false);
        }
        let others_have = self.intake.progress.seen(sender) >= first + QUESTIONS / 2;
        if inquiry.asked < QUESTIONS {
            if !self.client(sender).has_unsent() {
                self.ask(sender, kind)?;
                inquiry.asked += QUESTIONS_AT_ONCE;
                inquiry.asked_at = self.now;
            }
        } else if others_have {
            let sent = self.intake.trace.sent().of(sender).count();
            match inquiry.try_again(sent, &self.intake.pauses, self.now) {
                Ok(false) => {}
                Ok(true) => {
                    self.inquiry = Some(inquiry);
                    return Ok(true);
                }
                Err(Disturbed) => return Err(Stop::Unresolved(self.unresolved(part))),
            }
            self.mark_place(client, kind)?;
            inquiry.is_closing = true;
            inquiry.asked_at = self.now;
            let ended = self.client(client).end_sending();
            ended.map_err(|source| self.failed(client, source))?;
        }
        if self.now.saturating_sub(inquiry.asked_at) >= nanos(self.load.timeout) {
            return Err(Stop::Unresolved(self.unresolved(part)));
        }
        self.progressed_at = self.now;
        self.inquiry = Some(inquiry);
        Ok(true)
    }

    /// Has a client of one of several servers send a last message. Others have messages already that
    /// its own server may be yet to hear of: what is sent now comes after them in the one order, and the
    /// client is owed all up to it.
    fn mark_place(&mut self, client: usize, kind: Kind) -> Result<(), Stop> {
        if self.addrs.count() > 1 {
            self.send(client, kind)?;
            self.intake.progress.asked(client, 1);
        }
        Ok(())
    }

    /// Decides what became of a client that the server may have left out, at the end of its stream.
    pub(crate) fn judge_left_out<T: Part<P>>(
        &mut self,
        part: &T,
        inquiry: Inquiry,
        has_failed: bool,
    ) -> Stop {
        let Inquiry {
            client,
            sender,
            settled,
            first,
            ..
        } = inquiry;
        if has_failed {
            return Stop::Unresolved(self.unresolved(part));
        }
        if self.intake.trace.receivers().settled(client, sender) == Some(settled) {
            self.intake.trace.note_left_out(LeftOut {
                client,
                sender,
                count: first + QUESTIONS - settled,
            });
            self.conduct.broken_at = self.apart(client, sender);
            return Stop::Broken;
        }
        let mut unresolved = Unresolved::new(self.load.timeout);
        unresolved.push(|| {
            format!(
                "{} got messages of {} only after that",
                self.topology.role(client),
                self.topology.role(sender)
            )
        });
        Stop::Unresolved(unresolved)
    }

    /// Asks whether the servers of two clients have anything to do with each other, if these are not the same.
    fn apart(&self, client: usize, sender: usize) -> Option<String> {
        let [at, from] = [client, sender].map(|it| self.addrs.of(it));
        (at != from).then(|| {
            format!(
                "the one is connected to {at}, and the other to {from}: do these serve one room?"
            )
        })
    }

    /// Returns a client that is waited for, and the sender of the message that it has not got,
    /// though somebody has.
    fn missed(&self) -> Option<(usize, usize)> {
        let (trace, progress) = (&self.intake.trace, &self.intake.progress);
        let mut missed = None;
        progress.for_each_open(trace, |open| {
            if let Open::Unsettled { sender, client, .. } = open {
                missed = missed
                    .or(Some((client, sender)).filter(|_| self.may_be_left_out(client, sender)));
            }
        });
        let visitors = self.visits.waiting().map(|visitor| (visitor, visitor));
        missed.or_else(|| {
            let mut visitors = visitors;
            visitors.find(|&(client, sender)| self.may_be_left_out(client, sender))
        })
    }

    /// Tells whether a client that keeps up lacks messages of a sender that others have.
    fn may_be_left_out(&self, client: usize, sender: usize) -> bool {
        let settled = self.intake.trace.receivers().settled(client, sender);
        !self.topology.slow_clients().contains(&client)
            && self.clients.get(client).is_some_and(Option::is_some)
            && Some(self.intake.progress.seen(sender)) > settled
    }

    /// Has a sender send some messages.
    fn ask(&mut self, sender: usize, kind: Kind) -> Result<(), Stop> {
        self.send_many(sender, kind, QUESTIONS_AT_ONCE)?;
        self.intake.progress.asked(sender, QUESTIONS_AT_ONCE);
        self.nudge_count += u64::from(QUESTIONS_AT_ONCE);
        Ok(())
    }
}

/// How many messages in a row a client has to miss to be left out. A judgement: of a server that
/// drops nine of ten at random, a client misses as many once in a billion times.
pub(crate) const QUESTIONS: u32 = 200;

/// How many of them are sent at once. A judgement: so few that they fit any queue.
const QUESTIONS_AT_ONCE: u32 = 10;

/// How many times it asks again, when the load tester was paused. A judgement: where it happens more
/// often, nobody can tell anything; a busy machine has some in a row.
const AGAIN_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_again_after_a_pause_and_not_for_ever() {
        let mut pauses = Pauses::default();
        let mut inquiry = Inquiry {
            client: 2,
            sender: 0,
            settled: 3,
            first: 5,
            asked: QUESTIONS,
            begun_at: 10,
            asked_at: 90,
            again_count: 0,
            is_closing: false,
        };
        pauses.end(9, 9);
        assert_eq!(inquiry.try_again(205, &pauses, 100), Ok(false));
        for round in 1..=AGAIN_MAX {
            let now = Nanos::from(100 * round);
            pauses.end(now, 90);
            assert_eq!(inquiry.try_again(205, &pauses, now), Ok(true));
            assert_eq!((inquiry.first, inquiry.asked), (205, 0));
            assert_eq!(inquiry.try_again(205, &pauses, now), Ok(false));
        }
        pauses.end(10_000, 9_000);
        assert_eq!(inquiry.try_again(205, &pauses, 10_000), Err(Disturbed));
    }
}
