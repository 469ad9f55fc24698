//! Rule 7: joining.

use std::thread;

use super::flood::{self, Numbered};
use crate::case::Case;
use crate::client::{Client, encoded_all};
use crate::trial::Trial;
use crate::wrong::Wrong;

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-7/starts-on-a-message",
        "Has clients join while another talks; all that they receive must be whole messages.",
        "A wrong start usually means that a joiner gets the rest of a write that is under way.",
        starts_on_a_message,
    ),
    Case::must(
        "rule-7/misses-nothing-after-own-first",
        "Has clients join and speak while another talks; after their own word nothing may be missing.",
        "A gap usually means that a client is read before it is in the list of receivers.",
        misses_nothing_after_own_first,
    ),
    Case::must(
        "rule-7/joiners-at-once",
        "Has 20 clients join at once while another talks; nobody may miss anything after their word.",
        "A gap usually means that the list of receivers is copied, changed and put back.",
        joiners_at_once,
    ),
    Case::must(
        "rule-7/speaks-at-once",
        "Has clients send three messages with the connection; each must receive all three.",
        "A loss usually means that the first bytes are read before the client is a receiver.",
        speaks_at_once,
    ),
    Case::must(
        "rule-7/listener-misses-nothing",
        "Has a client only listen while another talks; after its first message none may be missing.",
        "A gap usually means that messages are dropped for clients that never spoke.",
        listener_misses_nothing,
    ),
    Case::must(
        "rule-7/joiner-sees-no-past",
        "Has a client join a silent chat and speak; its own word must be the first it receives.",
        "Old messages usually mean that the server keeps a history and replays it.",
        joiner_sees_no_past,
    )
    .info(),
];

fn starts_on_a_message(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let talker = trial.join_first()?;
    flood::while_talking(talker, || {
        for _ in 0..30 {
            let mut joiner = trial.connect()?;
            for _ in 0..10 {
                let body = joiner.receive()?;
                flood::parse_all(&joiner, &[body], |_| false)?;
            }
        }
        Ok(())
    })
}

/// Fails unless a client receives a talker's messages without a gap.
fn hears_all(joiner: &mut Client, is_other: impl Fn(&[u8]) -> bool) -> Result<(), Wrong> {
    let mut last = None;
    for _ in 0..50 {
        let body = joiner.receive()?;
        if is_other(&body) {
            continue;
        }
        let Some(Numbered { number, .. }) = Numbered::parse(&body) else {
            return Err(flood::not_sent(joiner, &body));
        };
        if let Some(last) = last.replace(number)
            && number != last + 1
        {
            let what = format!("message {number} arrived after message {last}");
            return Err(joiner.broken(what, &[]));
        }
    }
    Ok(())
}

fn misses_nothing_after_own_first(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let talker = trial.join_first()?;
    flood::while_talking(talker, || {
        for number in 0..20 {
            let mut joiner = trial.connect()?;
            let word = format!("mine{number}").into_bytes();
            joiner.send(&word)?;
            joiner.skip_to(&word)?;
            // At another server of a group, the word of one before may come late.
            hears_all(&mut joiner, |body| {
                body.starts_with(b"mine") && body != word
            })?;
        }
        Ok(())
    })
}

fn joiners_at_once(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let talker = trial.join_first()?;
    let trial = &*trial;
    flood::while_talking(talker, || {
        thread::scope(|scope| {
            let joining: Vec<_> = (0..20)
                .map(|number| {
                    scope.spawn(move || {
                        let mut joiner = trial.connect()?;
                        let word = format!("j{number}");
                        joiner.send(word.as_bytes())?;
                        joiner.skip_to(word.as_bytes())?;
                        hears_all(&mut joiner, |body| body.starts_with(b"j"))
                    })
                })
                .collect();
            joining.into_iter().try_for_each(flood::join)
        })
    })
}

fn speaks_at_once(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut witnesses = trial.witnesses()?;
    for _ in 0..20 {
        let mut joiner = trial.connect()?;
        let bodies = [b"1".as_slice(), b"", b"3"];
        joiner.send_raw(&encoded_all(bodies))?;
        joiner.expect_all(bodies)?;
        for witness in &mut witnesses {
            witness.expect_all(bodies)?;
        }
    }
    Ok(())
}

fn listener_misses_nothing(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let talker = trial.join_first()?;
    flood::while_talking(talker, || {
        let mut listener = trial.connect()?;
        hears_all(&mut listener, |_| false)
    })
}

fn joiner_sees_no_past(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut witnesses = trial.witnesses()?;
    for number in 0..witnesses.len() {
        witnesses[number].send(b"past")?;
        for witness in &mut witnesses {
            witness.expect(b"past")?;
        }
    }
    let mut joiner = trial.connect()?;
    joiner.send(b"mine")?;
    joiner.expect(b"mine")
}
