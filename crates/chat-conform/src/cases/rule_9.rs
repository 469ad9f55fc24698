//! Rule 9: half-close, and clients that vanish.

use std::net::TcpStream;

use super::flood::{self, Numbered};
use crate::case::Case;
use crate::client::encoded;
use crate::trial::Trial;
use crate::wrong::{Wrong, ensure};

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-9/echo-then-close",
        "Has a client send a message and end its sending side; it must get the echo, then the end.",
        "A missing echo usually means that an end of reading closes both directions.",
        echo_then_close,
    ),
    Case::must(
        "rule-9/nothing-sent",
        "Has a client end its sending side without a word; the server must close.",
        "An open connection usually means that an end without a message is passed over.",
        nothing_sent,
    ),
    Case::must(
        "rule-9/much-in-flight",
        "Has a client send 1000 messages and end its sending side; it must get all, then the end.",
        "A loss usually means that the connection closes before its queue is empty.",
        much_in_flight,
    ),
    Case::must(
        "rule-9/in-a-flood",
        "Has a client end its sending side while another talks; it must get its last word, and the end.",
        "A missing end usually means that the connection stays as long as there is something to send.",
        in_a_flood,
    ),
    Case::must(
        "rule-9/nothing-after-own-last",
        "Has a client end its sending side while another talks; its last word should be the last.",
        "More messages tell that the connection closes when its queue is empty, not at its place in it.",
        nothing_after_own_last,
    )
    .info(),
    Case::must(
        "rule-9/others-go-on",
        "Has a client end its sending side, and another publish then; the server must serve that one.",
        "An end usually means that a write to a closed client is a fatal error.",
        others_go_on,
    ),
    Case::must(
        "rule-9/leaves-no-socket",
        "Has clients end their sending side and stay; the server's sockets must go all the same.",
        "A leak usually means that only one direction of the connection is closed.",
        leaves_no_socket,
    )
    .should()
    .watches_process(),
    Case::must(
        "rule-9/vanish-before-a-word",
        "Has clients vanish as soon as they are connected; the server must live and serve.",
        "An end usually means that an error of accept, of an option or of the first read is fatal.",
        |trial| vanish(trial, |client| client.reset()),
    ),
    Case::must(
        "rule-9/vanish-with-unread-messages",
        "Has clients vanish that have not read all; the server must live and serve.",
        "An end usually means that a write to a reset connection is fatal, or SIGPIPE is.",
        vanish_with_unread,
    ),
    Case::must(
        "rule-9/vanish-after-half-close",
        "Has clients end their sending side and vanish; the server must live and serve.",
        "An end usually means that closing a connection that is reset is a fatal error.",
        |trial| {
            vanish(trial, |mut client| {
                client.send(b"bye")?;
                client.end_sending();
                client.reset()
            })
        },
    ),
    Case::must(
        "rule-9/vanish-in-a-flood",
        "Has clients vanish while another talks; the server must live and serve.",
        "An end usually means that a write to a reset connection is fatal, or SIGPIPE is.",
        vanish_in_a_flood,
    ),
    Case::must(
        "rule-9/thousand-vanish",
        "Has a thousand clients connect and vanish; the server must live and serve.",
        "An end usually means that each leaves something behind: a descriptor, a thread, a task.",
        thousand_vanish,
    ),
];

fn echo_then_close(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut client = trial.connect()?;
    client.send(b"hello")?;
    client.end_sending();
    client.expect(b"hello")?;
    client.expect_end()
}

fn nothing_sent(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut client = trial.connect()?;
    client.end_sending();
    client.expect_end()
}

fn much_in_flight(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut client = trial.connect()?;
    let bodies: Vec<Vec<u8>> = (0..1000)
        .map(|number| Numbered { sender: 0, number }.body(60))
        .collect();
    client.send_raw(
        &bodies
            .iter()
            .flat_map(|body| encoded(body))
            .collect::<Vec<_>>(),
    )?;
    client.end_sending();
    client.expect_all(bodies.iter().map(Vec::as_slice))?;
    client.expect_end()
}

/// Has a client say a last word in a flood, and returns what it received from that on.
fn last_word_in_a_flood(trial: &Trial<'_>) -> Result<Vec<Vec<Vec<u8>>>, Wrong> {
    let talker = trial.join()?;
    let mut after = Vec::new();
    flood::while_talking(talker, || {
        for _ in 0..10 {
            let mut client = trial.join()?;
            client.send(b"bye")?;
            client.end_sending();
            client.skip_to(b"bye")?;
            after.push(client.receive_to_end()?);
        }
        Ok(())
    })?;
    Ok(after)
}

fn in_a_flood(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    last_word_in_a_flood(trial)?;
    trial.assert_serves()
}

fn nothing_after_own_last(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let after = last_word_in_a_flood(trial)?;
    let count: usize = after.iter().map(Vec::len).sum();
    ensure(count == 0, || {
        format!(
            "after their last words, {} clients received {count} messages",
            after.len()
        )
    })
}

fn others_go_on(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut leaving, mut staying] = trial.join_all()?;
    leaving.end_sending();
    for number in 0..100 {
        let body = format!("{number}").into_bytes();
        staying.send(&body)?;
        staying.expect(&body)?;
    }
    leaving.receive_to_end()?;
    staying.send(b"on")?;
    staying.expect(b"on")?;
    trial.assert_serves()
}

fn leaves_no_socket(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let nothing = || Wrong::Skipped("the system does not tell".to_owned());
    drop(trial.join()?);
    let watch = trial.watch();
    let before = watch.look().ok_or_else(nothing)?.descriptor_count;
    let mut clients = trial.join_many(20)?;
    for client in &mut clients {
        client.end_sending();
        client.receive_to_end()?;
    }
    trial.wait_until(|_| {
        let now = watch.look().map_or(0, |look| look.descriptor_count);
        if now <= before + 4 {
            Ok(())
        } else {
            Err(format!("{now} descriptors are open, {before} were before"))
        }
    })
}

/// Has clients vanish in some way beside one that stays.
fn vanish(
    trial: &mut Trial<'_>,
    leave: impl Fn(crate::client::Client) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let mut staying = trial.join()?;
    for _ in 0..20 {
        leave(trial.connect()?)?;
        staying.send(b"on")?;
        staying.skip_to(b"on")?;
    }
    trial.assert_serves()
}

fn vanish_with_unread(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut talker = trial.join()?;
    for _ in 0..10 {
        let vanishing = trial.join()?;
        for _ in 0..5 {
            talker.send(&[b'.'; 200])?;
            talker.skip_to(&[b'.'; 200])?;
        }
        vanishing.reset()?;
    }
    trial.assert_serves()
}

fn vanish_in_a_flood(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let talker = trial.join()?;
    flood::while_talking(talker, || {
        for number in 0..40 {
            let mut vanishing = trial.join()?;
            match number % 4 {
                0 => vanishing.send_raw(b"\x20inside")?,
                1 => vanishing.end_sending(),
                2 => vanishing.receive().map(drop)?,
                _ => continue,
            }
            vanishing.reset()?;
        }
        Ok(())
    })?;
    trial.assert_serves()
}

fn thousand_vanish(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut staying = trial.join()?;
    for number in 0..1000 {
        let client = TcpStream::connect_timeout(&trial.addr(), trial.patience().time)
            .map_err(|error| Wrong::broken(format!("cannot connect: {error}")))?;
        if number % 2 == 0 {
            // The others get a reset for the word that nobody reads.
            drop(client);
        } else {
            crate::client::Client::of_stream(client, trial.patience(), trial.story.begin())?
                .reset()?;
        }
    }
    staying.send(b"on")?;
    staying.skip_to(b"on")?;
    trial.assert_serves()
}
