//! Rule 3: messages.

use crate::case::Case;
use crate::client::{Client, encoded, encoded_all};
use crate::trial::Trial;
use crate::wrong::Wrong;

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-3/every-length",
        "Sends a body of each length from 0 to 255, which both clients must receive unchanged.",
        "A length that fails alone usually means an off-by-one in the size of a buffer.",
        every_length,
    ),
    Case::must(
        "rule-3/empty-message",
        "Sends a message with an empty body, which both clients must receive.",
        "An empty body that is lost usually means that a read of 0 bytes is taken for the end.",
        |trial| both_receive(trial, &[b""]),
    ),
    Case::must(
        "rule-3/many-empty-messages",
        "Sends 1000 empty messages in one write, all of which both clients must receive.",
        "A wrong number usually means that empty messages are merged or passed over.",
        |trial| both_receive(trial, &[b"".as_slice(); 1000]),
    ),
    Case::must(
        "rule-3/empty-between-others",
        "Sends empty messages between others in one write, all of which must arrive in order.",
        "Lost empty messages usually mean a parser that skips bodies of length 0.",
        |trial| both_receive(trial, &[b"a", b"", b"", b"b", b"", b"c"]),
    ),
    Case::must(
        "rule-3/longest-message",
        "Sends a body of 255 bytes, which both clients must receive unchanged.",
        "A longest body that is cut usually means a buffer of 255 bytes for 256, or a signed length.",
        |trial| both_receive(trial, &[&[b'.'; 255]]),
    ),
    Case::must(
        "rule-3/longest-messages-glued",
        "Sends 200 bodies of 255 bytes in one write, all of which must arrive in order.",
        "A loss in a burst usually means a queue that is bounded in messages and never waits.",
        |trial| both_receive(trial, &[[b'.'; 255].as_slice(); 200]),
    ),
    Case::must(
        "rule-3/every-byte-value",
        "Sends bodies with all 256 byte values, which must arrive unchanged.",
        "Changed bytes usually mean that bodies are treated as text or as lines.",
        every_byte_value,
    ),
    Case::must(
        "rule-3/line-ends",
        "Sends bodies of line ends and zero bytes, which must arrive unchanged.",
        "Lost line ends usually mean that the server reads or trims lines.",
        |trial| both_receive(trial, &[b"\n", b"\r\n", b"\0", b"a\nb\n", b" \t "]),
    ),
    Case::must(
        "rule-3/body-like-messages",
        "Sends a body that looks like messages itself, which must arrive as one.",
        "A body that falls apart usually means that the parser loses its place after a short read.",
        |trial| both_receive(trial, &[b"\x03123\x00\x0545678", b"\x05"]),
    ),
    Case::must(
        "rule-3/glued",
        "Sends 50 messages of different lengths in one write, all of which must arrive in order.",
        "Lost messages usually mean that a read is taken for one message.",
        glued,
    ),
    Case::must(
        "rule-3/one-byte-at-a-time",
        "Sends a message byte by byte, which must arrive whole.",
        "A message that falls apart usually means that a read is taken for one message.",
        one_byte_at_a_time,
    ),
    Case::must(
        "rule-3/header-apart",
        "Sends a header and, a little later, the body, which must arrive as one message.",
        "A wrong message usually means that header and body are expected in one read.",
        |trial| dribbled(trial, &[b"\x05", b"hello"]),
    ),
    Case::must(
        "rule-3/cut-at-every-byte",
        "Sends three messages in two writes, cut at each byte, which must arrive unchanged.",
        "A cut that fails usually means that the rest of a read is thrown away.",
        cut_at_every_byte,
    ),
    Case::must(
        "rule-3/glued-to-the-next-header",
        "Sends a message with the header of the next, and then its body; both must arrive.",
        "A lost message usually means that what follows a whole message in a read is thrown away.",
        |trial| dribbled(trial, &[b"\x05hello\x05", b"world"]),
    ),
    Case::must(
        "rule-3/two-dribblers",
        "Has two clients send a message each at once, byte by byte; both must arrive whole.",
        "Mixed messages usually mean that clients share a buffer, or that pieces are forwarded.",
        two_dribblers,
    ),
    Case::must(
        "rule-3/unfinished-delays-nobody",
        "Has a client wait inside a message; others' messages must pass, and then its own.",
        "A standstill usually means that the server reads whole messages, one client at a time.",
        unfinished_delays_nobody,
    ),
];

/// Sends messages in one write and has both clients receive them.
fn both_receive(trial: &mut Trial<'_>, bodies: &[&[u8]]) -> Result<(), Wrong> {
    let [mut sender, mut other] = trial.join_all()?;
    sender.send_raw(&encoded_all(bodies.iter().copied()))?;
    sender.expect_all(bodies.iter().copied())?;
    other.expect_all(bodies.iter().copied())
}

/// Sends pieces of `hello`, and of `world` if there are so many, and has both clients receive that.
fn dribbled(trial: &mut Trial<'_>, pieces: &[&[u8]]) -> Result<(), Wrong> {
    let [mut sender, mut other] = trial.join_all()?;
    sender.dribble(pieces.iter().copied())?;
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    let bodies = [b"hello".as_slice(), b"world"];
    let count = len / (1 + bodies[0].len());
    sender.expect_all(bodies.into_iter().take(count))?;
    other.expect_all(bodies.into_iter().take(count))
}

fn every_length(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut sender, mut other] = trial.join_all()?;
    for len in 0..=255_u8 {
        let body: Vec<u8> = (0..len).map(|n| n.wrapping_mul(3) % 64).collect();
        sender.send(&body)?;
        sender.expect(&body)?;
        other.expect(&body)?;
    }
    Ok(())
}

fn every_byte_value(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let all: Vec<u8> = (0..=255).collect();
    both_receive(trial, &[&all[..128], &all[128..], &all[1..], &all[..255]])
}

fn glued(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let bodies: Vec<Vec<u8>> = (0..50_u8)
        .map(|n| vec![b'0' + n % 10; usize::from(n) * 5])
        .collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    both_receive(trial, &bodies)
}

fn one_byte_at_a_time(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut sender, mut other] = trial.join_all()?;
    let body = b"0123456789 slowly".as_slice();
    sender.dribble(encoded(body).chunks(1))?;
    sender.expect(body)?;
    other.expect(body)
}

fn cut_at_every_byte(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut sender, mut other] = trial.join_all()?;
    let bodies = [b"one".as_slice(), b"", b"three"];
    let wire = encoded_all(bodies);
    for cut in 1..wire.len() {
        sender.dribble([&wire[..cut], &wire[cut..]])?;
        sender.expect_all(bodies)?;
        other.expect_all(bodies)?;
    }
    Ok(())
}

fn two_dribblers(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut one, mut two] = trial.join_all()?;
    let bodies = [b"11111111111111111".as_slice(), b"22222222222222222"];
    let wires = bodies.map(encoded);
    for (first, second) in wires[0].chunks(1).zip(wires[1].chunks(1)) {
        one.dribble([first])?;
        two.dribble([second])?;
    }
    let orders = [
        one.expect_in_any_order(&bodies)?,
        two.expect_in_any_order(&bodies)?,
    ];
    if orders[0] == orders[1] {
        Ok(())
    } else {
        Err(two.broken("two clients received two messages in two orders", &[]))
    }
}

fn unfinished_delays_nobody(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut waiting, mut other] = trial.join_all()?;
    waiting.send_raw(b"\x05he")?;
    let expect = |client: &mut Client| client.expect(b"past");
    for _ in 0..10 {
        other.send(b"past")?;
        expect(&mut other)?;
        expect(&mut waiting)?;
    }
    waiting.send_raw(b"llo")?;
    waiting.expect(b"hello")?;
    other.expect(b"hello")
}
