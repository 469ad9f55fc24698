//! Rule 4: broadcast.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use chat_target::raise_descriptor_limit;

use super::flood::{self, Numbered};
use crate::case::Case;
use crate::client::Client;
use crate::trial::Trial;
use crate::wrong::Wrong;

pub(super) const CASES: &[Case] = &[
    Case::must(
        super::ECHO,
        "Has a client alone send 20 messages one by one, each of which it must receive itself.",
        "A missing echo usually means that the server skips the sender.",
        sender_included,
    ),
    Case::must(
        "rule-4/every-client",
        "Has each of ten clients send a message, which all ten must receive.",
        "A client that misses one usually joined a list that is copied too early.",
        |trial| everybody_hears_everybody(trial, 10),
    ),
    Case::must(
        "rule-4/hundred-clients",
        "Has each of a hundred clients send a message, which all hundred must receive.",
        "A loss with many clients usually means a queue that is too short and never waits.",
        |trial| everybody_hears_everybody(trial, 100),
    ),
    Case::must(
        "rule-4/thousand-clients",
        "Connects a thousand clients at once; messages that follow must reach each of them.",
        "Clients without service usually mean a short backlog, or an accept that happens once a wake.",
        thousand_clients,
    )
    .alone(),
    Case::must(
        "rule-4/once-each",
        "Has two clients send a hundred messages in turn; each must arrive once at both.",
        "Messages that arrive twice usually mean that two writers share a client.",
        once_each,
    ),
    Case::must(
        "rule-4/nothing-invented",
        "Has three clients send 300 long messages in turn; nothing else may arrive anywhere.",
        "Phantom messages usually mean that two writers share a socket, or a buffer is reused early.",
        nothing_invented,
    ),
    Case::must(
        "rule-4/equal-messages",
        "Has two clients send the same message; both must arrive at both.",
        "A missing one usually means that equal messages are taken for repetitions.",
        equal_messages,
    ),
    Case::must(
        "rule-4/silent-client",
        "Has a client only listen; it must receive what another sends.",
        "Silence usually means that clients are only served after their first message.",
        silent_client,
    ),
    Case::must(
        "rule-4/others-leave",
        "Has clients leave one by one in the middle; those who stay must receive everything.",
        "A loss usually means that removing a client shifts the places of others in a list.",
        others_leave,
    ),
    Case::must(
        "rule-4/leaver-in-flood",
        "Has clients leave in the middle of a flood; another's messages must go on arriving.",
        "A standstill usually means that a failed write ends the loop over all clients.",
        leaver_in_flood,
    ),
];

fn sender_included(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    hears_itself(trial.connect()?)
}

/// Fails unless a client that is alone receives what it sends, again and again.
pub(super) fn hears_itself(mut client: Client) -> Result<(), Wrong> {
    for number in 0..20 {
        let body = format!("I am {number}").into_bytes();
        client.send(&body)?;
        client.expect(&body)?;
    }
    Ok(())
}

fn everybody_hears_everybody(trial: &mut Trial<'_>, count: usize) -> Result<(), Wrong> {
    let mut clients = trial.join_many(count)?;
    for sender in 0..count {
        let body = format!("from {}", sender % 10).into_bytes();
        clients[sender].send(&body)?;
        for client in &mut clients {
            client.expect(&body)?;
        }
    }
    Ok(())
}

fn thousand_clients(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let needed = 2 * THOUSAND as u64 + 200;
    if raise_descriptor_limit().is_some_and(|limit| limit < needed) {
        let why = format!("it needs a limit of {needed} open files");
        return Err(Wrong::Skipped(why));
    }
    let mut clients = connect_at_once(trial)?;
    let mut sender = trial.connect()?;
    // A client that connects late misses what was sent before, so there is more.
    let send = || {
        sender.send(b"to all")?;
        thread::sleep(MARK_INTERVAL);
        Ok(())
    };
    flood::while_repeating(send, || {
        clients
            .iter_mut()
            .try_for_each(|client| client.expect(b"to all"))
    })
}

/// Connects a thousand clients, from a few threads at once.
fn connect_at_once(trial: &Trial<'_>) -> Result<Vec<Client>, Wrong> {
    let (addr, patience) = (trial.addr(), trial.patience());
    let connected: Vec<Client> = thread::scope(|scope| {
        let connecting: Vec<_> = (0..CONNECTING_THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let connect = |_| {
                        let stream = TcpStream::connect_timeout(&addr, patience.time)
                            .map_err(|error| Wrong::broken(format!("cannot connect: {error}")))?;
                        Client::of_stream(stream, patience, trial.story.begin())
                    };
                    (0..THOUSAND / CONNECTING_THREADS).map(connect).collect()
                })
            })
            .collect();
        let connected: Result<Vec<Vec<Client>>, Wrong> =
            connecting.into_iter().map(flood::join).collect();
        connected.map(|clients| clients.into_iter().flatten().collect())
    })?;
    Ok(connected)
}

fn once_each(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut clients: [Client; 2] = trial.join_all()?;
    for number in 0..100 {
        let body = format!("no {number}").into_bytes();
        clients[number % 2].send(&body)?;
        for client in &mut clients {
            client.expect(&body)?;
        }
    }
    Ok(())
}

fn nothing_invented(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut clients: [Client; 3] = trial.join_all()?;
    for number in 0..300 {
        let sender = number as u8 % 3;
        let body = Numbered { sender, number }.body(20 + number as usize % 200);
        clients[usize::from(sender)].send(&body)?;
        for client in &mut clients {
            client.expect(&body)?;
        }
    }
    Ok(())
}

fn equal_messages(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut clients: [Client; 2] = trial.join_all()?;
    for client in &mut clients {
        client.send(b"same")?;
        client.send(b"same")?;
    }
    for client in &mut clients {
        client.expect_all([b"same".as_slice(); 4])?;
    }
    clients[0].send(b"end")?;
    clients
        .iter_mut()
        .try_for_each(|client| client.expect(b"end"))
}

fn silent_client(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let (mut silent, mut talker) = (trial.connect()?, trial.join()?);
    // When the silent client is served first is left to the server.
    let talk = || {
        talker.send(b"mark")?;
        talker.skip_to(b"mark")?;
        thread::sleep(Duration::from_millis(1));
        Ok(())
    };
    flood::while_repeating(talk, || {
        silent.skip_to(b"mark")?;
        silent.expect(b"mark")
    })
}

fn others_leave(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut clients = trial.join_many(6)?;
    while clients.len() > 1 {
        // From the middle, so that places in lists shift.
        clients.remove(clients.len() / 2);
        for _ in 0..5 {
            clients[0].send(b"stay")?;
            for client in &mut clients {
                client.expect(b"stay")?;
            }
        }
    }
    Ok(())
}

fn leaver_in_flood(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [talker, mut witness] = trial.join_all()?;
    flood::while_talking(talker, || {
        for round in 0..20 {
            let leaver = trial.join()?;
            if round % 2 == 0 {
                leaver.reset()?;
            }
            witness.receive()?;
        }
        Ok(())
    })?;
    trial.assert_serves()
}

/// How many clients are a thousand.
const THOUSAND: usize = 1000;

/// How many threads connect them.
const CONNECTING_THREADS: usize = 4;

/// How long between messages that a client is to receive at least one of.
const MARK_INTERVAL: Duration = Duration::from_millis(100);
