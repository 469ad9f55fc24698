//! Rule 5: order.

use std::thread;

use chat_check::{MessageId, Record, check};

use super::flood::{self, Numbered};
use crate::case::Case;
use crate::client::Client;
use crate::trial::Trial;
use crate::wrong::Wrong;

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-5/senders-order",
        "Has one client send 3000 messages at once; nobody may receive them in another order.",
        "A wrong order usually means a task for each message instead of one for each client.",
        senders_order,
    ),
    Case::must(
        "rule-5/two-senders",
        "Has two clients send 500 messages each at once; one order must explain all that arrives.",
        "Two orders usually mean that each client has a lock of its own, and none is held over all.",
        |trial| one_order(trial, 2, 500),
    ),
    Case::must(
        "rule-5/one-order",
        "Has four clients send 500 messages each at once; one order must explain all that arrives.",
        "Two orders usually mean that each client has a lock of its own, and none is held over all.",
        |trial| one_order(trial, 4, 500),
    ),
    Case::must(
        "rule-5/large-windows",
        "Has eight clients send 1000 messages each without waiting; one order must explain all.",
        "Two orders under load usually mean a second queue for clients that are slow for a moment.",
        |trial| one_order(trial, 8, 1000),
    ),
    Case::must(
        "rule-5/pairs-in-turn",
        "Has two of three clients send a message each at once, 200 times; all must agree on each pair.",
        "Two orders usually mean that two clients' messages are forwarded at the same time.",
        pairs_in_turn,
    ),
    Case::must(
        "rule-5/questions-and-answers",
        "Has a client answer each question of another; a third may never see the answer first.",
        "An answer before its question usually means a queue for each sender instead of one for all.",
        questions_and_answers,
    ),
    Case::must(
        "rule-5/chain",
        "Passes a word along a chain of five clients; nobody may receive its links in another order.",
        "A wrong order usually means that messages reach clients by different ways.",
        chain,
    ),
    Case::must(
        "rule-5/own-among-others",
        "Has two clients send at once; each must receive its own in the place where others see it.",
        "Another place usually means that the echo is written at once, and not through the queue.",
        own_among_others,
    ),
];

fn senders_order(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    one_order(trial, 1, 3000)?;
    let [mut sender, mut other] = trial.join_all()?;
    for number in 0..500 {
        sender.send(&Numbered { sender: 0, number }.body(8))?;
    }
    sender.send(flood::HERE)?;
    let received = other.take_until(flood::HERE)?;
    let messages = flood::parse_all(&other, &received, |_| false)?;
    flood::check_rising(&other, &messages)
}

/// Has clients send all at once, and looks for one order that explains all they received.
fn one_order(trial: &mut Trial<'_>, client_count: u8, message_count: u32) -> Result<(), Wrong> {
    let received = flood::flood_together(trial, client_count.into(), message_count)?;
    let id = |message: Numbered| {
        let index = u32::from(message.sender) * message_count + message.number;
        let is_sent = message.sender < client_count && message.number < message_count;
        is_sent.then(|| MessageId::new(index).ok()).flatten()
    };
    let mut records = Vec::new();
    // Sending and receiving went on at once, so they are records of their own.
    for sender in 0..client_count {
        let mut record = Record::new();
        for number in 0..message_count {
            record.sent(id(Numbered { sender, number }).expect("it was sent"));
        }
        records.push(record);
    }
    for messages in &received {
        let mut record = Record::new();
        for &message in messages {
            match id(message) {
                Some(id) => record.received(id),
                None => record.received_phantom(),
            }
        }
        records.push(record);
    }
    let receiver_of = usize::from(client_count);
    check(&records).map(drop).map_err(|violation| {
        let named = violation.map(|message| message.index());
        Wrong::broken(format!(
            "no order of all messages explains it: {named} (client {receiver_of} of the proof is \
             the first receiver, and sender n's messages begin with n times {message_count})"
        ))
    })
}

fn pairs_in_turn(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut clients: [Client; 3] = trial.join_all()?;
    for number in 0..200 {
        let pair = [0, 1].map(|sender| Numbered { sender, number }.body(16));
        let pair = [pair[0].as_slice(), &pair[1]];
        clients[0].send(pair[0])?;
        clients[1].send(pair[1])?;
        let mut orders = Vec::new();
        for client in &mut clients {
            orders.push(client.expect_in_any_order(&pair)?);
        }
        if let Some(other) = (1..3).find(|&client| orders[client] != orders[0]) {
            let what = format!("it received a pair in another order than client 0, pair {number}");
            return Err(clients[other].broken(what, &[]));
        }
    }
    Ok(())
}

fn questions_and_answers(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut asking, mut answering, mut witness] = trial.join_all()?;
    for number in 0..300 {
        let question = Numbered { sender: 0, number }.body(16);
        let answer = Numbered { sender: 1, number }.body(16);
        asking.send(&question)?;
        answering.expect(&question)?;
        answering.send(&answer)?;
        answering.expect(&answer)?;
        for client in [&mut witness, &mut asking] {
            client.expect(&question)?;
            client.expect(&answer)?;
        }
    }
    Ok(())
}

fn chain(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut clients: [Client; 5] = trial.join_all()?;
    let words: Vec<Vec<u8>> = (0..100_u32).map(|n| format!("{n}!").into_bytes()).collect();
    let count = clients.len();
    thread::scope(|scope| {
        let passing: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(index, client)| {
                let words = &words;
                scope.spawn(move || {
                    for (turn, word) in words.iter().enumerate() {
                        // Each says the next word when it has heard the one before.
                        if turn % count == index {
                            client.send(word)?;
                        }
                        client.expect(word)?;
                    }
                    Ok(())
                })
            })
            .collect();
        passing.into_iter().try_for_each(flood::join)
    })
}

fn own_among_others(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut one, mut two] = trial.join_all()?;
    for round in 0..200 {
        let pair = [format!("a{round}"), format!("b{round}")];
        let pair = [pair[0].as_bytes(), pair[1].as_bytes()];
        one.send(pair[0])?;
        two.send(pair[1])?;
        let orders = [
            one.expect_in_any_order(&pair)?,
            two.expect_in_any_order(&pair)?,
        ];
        if orders[0] != orders[1] {
            let what = format!("it received pair {round} in another order than client 0");
            return Err(two.broken(what, &[]));
        }
    }
    Ok(())
}
