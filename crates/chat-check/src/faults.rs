//! Violations that a single record shows, given the senders of all messages.

use crate::record::Event;
use crate::{MessageId, Record, Step, StepKind, Violation};

/// Returns the first violation that is not a contradiction, in the order of the variants of
/// [`Violation`].
pub(crate) fn rule_out(records: &[Record], message_end: usize) -> Result<(), Violation> {
    let sends = Sends::new(records, message_end)?;
    rule_out_corrupt(records)?;
    rule_out_phantom(records, &sends)?;
    rule_out_duplicate(records, &sends)?;
    rule_out_reordered(records, &sends)
}

fn rule_out_corrupt(records: &[Record]) -> Result<(), Violation> {
    for (client, event) in events(records) {
        if let Event::Corrupt(message) = event {
            return Err(Violation::Corrupt { client, message });
        }
    }
    Ok(())
}

fn rule_out_phantom(records: &[Record], sends: &Sends) -> Result<(), Violation> {
    for (client, event) in events(records) {
        match event {
            Event::Received(message) if sends.of(message).is_none() => {
                return Err(Violation::Phantom {
                    client,
                    message: Some(message),
                });
            }
            Event::Phantom => {
                return Err(Violation::Phantom {
                    client,
                    message: None,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn rule_out_duplicate(records: &[Record], sends: &Sends) -> Result<(), Violation> {
    let mut last_receiver = vec![NOBODY; sends.messages.len()];
    for (client, message) in receipts(records) {
        let number = number_of(client);
        if last_receiver[message.place()] == number {
            return Err(Violation::Duplicate { client, message });
        }
        last_receiver[message.place()] = number;
    }
    Ok(())
}

fn rule_out_reordered(records: &[Record], sends: &Sends) -> Result<(), Violation> {
    // For each sender, the last client that received one of its messages, and the latest of these
    // that the client received.
    let mut latest: Vec<Option<(usize, MessageId, u32)>> = vec![None; records.len()];
    for (client, message) in receipts(records) {
        let Some(Send { sender, rank }) = sends.of(message) else {
            continue;
        };
        match latest[sender as usize] {
            Some((receiver, later, later_rank)) if receiver == client && later_rank > rank => {
                let sent = Step {
                    client: sender as usize,
                    kind: StepKind::Sent,
                    before: message,
                    after: later,
                };
                let received = Step {
                    client,
                    kind: StepKind::Received,
                    before: later,
                    after: message,
                };
                return Err(Violation::Reordered {
                    story: [sent, received],
                });
            }
            _ => latest[sender as usize] = Some((client, message, rank)),
        }
    }
    Ok(())
}

/// The sends of all messages.
struct Sends {
    /// For each message its send; that of [`NOBODY`] when there is none.
    messages: Vec<Send>,
}

impl Sends {
    fn new(records: &[Record], message_end: usize) -> Result<Self, Violation> {
        let mut messages = vec![
            Send {
                sender: NOBODY,
                rank: 0
            };
            message_end
        ];
        let mut rank = 0;
        for (client, event) in events(records) {
            let Event::Sent(message) = event else {
                continue;
            };
            let send = &mut messages[message.place()];
            if send.sender != NOBODY {
                return Err(Violation::SentTwice {
                    client: send.sender as usize,
                    again: client,
                    message,
                });
            }
            *send = Send {
                sender: number_of(client),
                rank,
            };
            rank += 1;
        }
        Ok(Self { messages })
    }

    fn of(&self, message: MessageId) -> Option<Send> {
        self.messages
            .get(message.place())
            .copied()
            .filter(|send| send.sender != NOBODY)
    }
}

/// The send of a message.
#[derive(Clone, Copy)]
struct Send {
    sender: u32,
    /// Its place among all sends, those of one sender in their order.
    rank: u32,
}

fn events(records: &[Record]) -> impl Iterator<Item = (usize, Event)> {
    let clients = records.iter().enumerate();
    clients.flat_map(|(client, record)| {
        record
            .events()
            .iter()
            .map(move |event| (client, event.unpack()))
    })
}

fn receipts(records: &[Record]) -> impl Iterator<Item = (usize, MessageId)> {
    events(records).filter_map(|(client, event)| match event {
        Event::Received(message) => Some((client, message)),
        _ => None,
    })
}

/// Returns a client's index in 4 bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "there are at most CLIENT_COUNT_MAX clients"
)]
fn number_of(client: usize) -> u32 {
    debug_assert!(client < crate::CLIENT_COUNT_MAX);
    client as u32
}

/// No client.
const NOBODY: u32 = u32::MAX;
