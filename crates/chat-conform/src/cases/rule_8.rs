//! Rule 8: the end inside a message.

use crate::case::Case;
use crate::trial::Trial;
use crate::wrong::Wrong;

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-8/after-header-by-fin",
        "Has a client end after a header; nobody may receive anything of it.",
        "A phantom usually means that what is in the buffer at the end is sent.",
        |trial| discarded(trial, b"\x05", &[]),
    ),
    Case::must(
        "rule-8/inside-body-by-fin",
        "Has a client end inside a body; nobody may receive anything of it.",
        "A phantom usually means that what is in the buffer at the end is sent.",
        |trial| discarded(trial, b"\x09unfin", &[]),
    ),
    Case::must(
        "rule-8/last-byte-missing",
        "Has a client end one byte before the end of the longest message; it must be discarded.",
        "A phantom usually means an off-by-one in the test for a whole message.",
        |trial| discarded(trial, &[255; 255], &[]),
    ),
    Case::must(
        "rule-8/whole-before-unfinished",
        "Has a client send a whole message and end inside the next; only the first must arrive.",
        "A lost message usually means that an end discards all that was read with it.",
        |trial| discarded(trial, b"\x05whole\x09unfin", &[b"whole"]),
    ),
    Case::must(
        "rule-8/empty-before-unfinished",
        "Has a client send an empty message and end after a header; only the first must arrive.",
        "A lost message usually means that empty messages wait for the next.",
        |trial| discarded(trial, b"\x00\x01", &[b""]),
    ),
    Case::must(
        "rule-8/after-header-by-reset",
        "Has clients reset their connections after a header; nobody may receive anything of it.",
        "A phantom usually means that an error of a read is treated like an end, with what is there.",
        |trial| discarded_by_reset(trial, b"\x05"),
    ),
    Case::must(
        "rule-8/inside-body-by-reset",
        "Has clients reset their connections inside a body; nobody may receive anything of it.",
        "A phantom usually means that an error of a read is treated like an end, with what is there.",
        |trial| discarded_by_reset(trial, b"\x09unfin"),
    ),
    Case::must(
        "rule-8/next-client-starts-clean",
        "Has clients end inside messages and others take their places; nothing may be left over.",
        "A mixed message usually means that a buffer outlives its client and serves the next.",
        next_client_starts_clean,
    ),
];

/// Has a client send bytes and end, of which both clients are to receive the whole messages.
fn discarded(trial: &mut Trial<'_>, bytes: &[u8], whole: &[&[u8]]) -> Result<(), Wrong> {
    let [mut witness, mut ending] = trial.join_all()?;
    ending.send_raw(bytes)?;
    ending.end_sending();
    ending.expect_all(whole.iter().copied())?;
    // When the server has closed, it has done with the rest whatever it does.
    ending.expect_end()?;
    witness.expect_all(whole.iter().copied())?;
    expect_only_own(&mut witness)
}

fn discarded_by_reset(trial: &mut Trial<'_>, bytes: &[u8]) -> Result<(), Wrong> {
    let mut witness = trial.join()?;
    for _ in 0..10 {
        let mut ending = trial.connect()?;
        let hello = trial.greet(&mut ending)?;
        witness.expect(&hello)?;
        ending.dribble([bytes])?;
        ending.reset()?;
        expect_only_own(&mut witness)?;
    }
    expect_only_own(&mut witness)
}

fn next_client_starts_clean(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut witnesses = trial.witnesses()?;
    for _ in 0..10 {
        let mut ending = trial.connect()?;
        ending.send_raw(b"\xc8leftover")?;
        ending.end_sending();
        ending.expect_end()?;
        let mut next = trial.connect()?;
        next.send(b"clean")?;
        next.expect(b"clean")?;
        for witness in &mut witnesses {
            witness.expect(b"clean")?;
        }
    }
    Ok(())
}

/// Fails if a client receives anything but what it sends now.
fn expect_only_own(witness: &mut crate::client::Client) -> Result<(), Wrong> {
    for _ in 0..5 {
        witness.send(b"after")?;
        witness.expect(b"after")?;
    }
    Ok(())
}
