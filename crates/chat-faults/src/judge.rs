//! Whether all that the members of a room saw keeps the specification.

use std::collections::{HashMap, HashSet};

use chat_check::{MessageId, Record, Violation, check};

use crate::body::Bodies;
use crate::member::{Ended, Report};
use crate::schedule::{Event, Member, Schedule};

/// What was seen in a room that kept the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How many messages the members received together.
    pub delivered: u64,
    /// How many messages that the witness received did not reach a member that was there.
    pub missed: u64,
    /// How many connections ended by a reset.
    pub resets: u64,
    /// How many ended as a half-close is owed: by the server, on a message boundary.
    pub closed: u64,
}

/// How a server broke the specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No order explains what the members saw, or something arrived that nobody sent so.
    #[error("no order explains what the members saw: {0}")]
    Order(Box<Violation<String>>),
    /// More messages without a body arrived than there were.
    #[error("member {member} received {received} messages without a body, and {sent} were sent")]
    Empties {
        /// Who received them.
        member: usize,
        /// How many it received.
        received: u64,
        /// How many all members sent.
        sent: u64,
    },
    /// A connection was closed inside a message.
    #[error("the connection of member {member} was closed {held} bytes inside a message")]
    Inside {
        /// Whose connection it was.
        member: usize,
        /// How many bytes of the message there were.
        held: usize,
    },
    /// A connection did not end as it should.
    #[error("the connection of member {member} ended so: {ended:?}")]
    Ended {
        /// Whose connection it was.
        member: usize,
        /// How it ended.
        ended: Ended,
    },
    /// A message is missing where nothing may be dropped.
    #[error("member {member} missed {message}, though nothing may be dropped")]
    Missed {
        /// Who missed it.
        member: usize,
        /// The message.
        message: String,
    },
}

/// Says whether what the members of a room saw keeps the specification.
///
/// # Errors
///
/// When it does not: the first way that was found.
pub fn judge(schedule: &Schedule, reports: &[Report]) -> Result<Facts, Fault> {
    let records: Vec<Record> = reports.iter().map(|report| report.record.clone()).collect();
    let bodies = schedule.bodies();
    check(&records).map_err(|violation| {
        Fault::Order(Box::new(violation.map(|message| name(&bodies, message))))
    })?;
    let sent = schedule.members.iter().map(|member| member.empty_count);
    let sent: u64 = sent.map(u64::from).sum();
    let is_ended = matches!(schedule.event, Some(Event::Terminate { .. }));
    for (member, report) in reports.iter().enumerate() {
        let received = report.empty_count;
        if received > sent && !schedule.is_shared {
            return Err(Fault::Empties {
                member,
                received,
                sent,
            });
        }
        judge_end(schedule, member, &report.ended, is_ended)?;
    }
    if schedule.is_lossless && !is_ended {
        judge_lossless(schedule, reports, &bodies)?;
    }
    Ok(facts(reports))
}

/// Judges how the connection of a member ended.
fn judge_end(
    schedule: &Schedule,
    number: usize,
    ended: &Ended,
    is_ended: bool,
) -> Result<(), Fault> {
    let member = &schedule.members[number];
    if let &Ended::Inside(held) = ended
        && !is_cut_by_plan(member)
    {
        return Err(Fault::Inside {
            member: number,
            held,
        });
    }
    let is_right = match ended {
        Ended::Closed | Ended::Left => true,
        Ended::Reset => is_ended || schedule.may_disconnect || !member.is_whole(),
        Ended::Refused(_) => is_ended,
        Ended::Inside(_) | Ended::Open => !member.is_whole(),
    };
    if !is_right {
        return Err(Fault::Ended {
            member: number,
            ended: ended.clone(),
        });
    }
    Ok(())
}

/// Tells whether the proxy may end what a member receives inside a message.
fn is_cut_by_plan(member: &Member) -> bool {
    let end = member.plan.as_ref().map(|plan| plan.to_client.end);
    end.is_some_and(|end| end != chat_toxic::End::Never)
}

/// Holds a room in which nothing may be dropped to that: what a member receives has no gap, and
/// those that leave in order have received their own messages.
fn judge_lossless(schedule: &Schedule, reports: &[Report], bodies: &Bodies) -> Result<(), Fault> {
    let (all, places) = places(reports);
    for (number, (member, report)) in schedule.members.iter().zip(reports).enumerate() {
        let missed = |message: MessageId| Fault::Missed {
            member: number,
            message: name(bodies, message),
        };
        let mut next = None;
        for message in report.record.received_messages() {
            let place = *places.get(&message).ok_or_else(|| Fault::Missed {
                member: 0,
                message: name(bodies, message),
            })?;
            if let Some(next) = next.filter(|&next| next < place) {
                return Err(missed(all[next]));
            }
            next = Some(place + 1);
        }
        if !member.is_whole() || schedule.may_disconnect {
            continue;
        }
        let received: HashSet<_> = report.record.received_messages().collect();
        let own = (0..member.send_count).filter_map(|sent| bodies.id(number, sent));
        for message in own {
            if !received.contains(&message) {
                return Err(missed(message));
            }
        }
    }
    Ok(())
}

fn facts(reports: &[Report]) -> Facts {
    let mut facts = Facts::default();
    let (_, places) = places(reports);
    for report in reports {
        let received: Vec<_> = report.record.received_messages().collect();
        facts.delivered += received.len() as u64;
        facts.resets += u64::from(report.ended == Ended::Reset);
        facts.closed += u64::from(report.ended == Ended::Closed);
        let mut known = received.iter().filter_map(|message| places.get(message));
        if let Some(first) = known.next() {
            let (count, last) = known.fold((1, first), |(count, _), last| (count + 1, last));
            facts.missed += (last - first + 1).saturating_sub(count) as u64;
        }
    }
    facts
}

/// Returns what the first member received, in its order, and the place of each message in that.
fn places(reports: &[Report]) -> (Vec<MessageId>, HashMap<MessageId, usize>) {
    let all: Vec<MessageId> = reports[0].record.received_messages().collect();
    let places = all.iter().enumerate().map(|(place, &id)| (id, place));
    let places = places.collect();
    (all, places)
}

/// Names a message as people look for it.
fn name(bodies: &Bodies, message: MessageId) -> String {
    match bodies.origin(message) {
        Some((sender, number)) => format!("message {number} of member {sender}"),
        None => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn messages_without_a_body_may_be_those_of_another_room() {
        let mut schedule = Schedule::draw(0);
        for member in &mut schedule.members {
            member.empty_count = 1;
        }
        let count = schedule.members.len() as u64;
        let mut reports = vec![Report::default(); schedule.members.len()];
        reports[1].empty_count = count + 1;
        let fault = judge(&schedule, &reports).unwrap_err();
        let (received, sent) = (count + 1, count);
        let expected = Fault::Empties {
            member: 1,
            received,
            sent,
        };
        assert_eq!(fault, expected);
        let schedule = schedule.on_shared_server(NonZeroU64::MIN);
        assert!(judge(&schedule, &reports).is_ok());
    }
}
