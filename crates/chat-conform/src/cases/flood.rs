//! Many messages that can be told apart, and what may come of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{Client, encoded, encoded_all};
use crate::trial::Trial;
use crate::wrong::Wrong;

/// A message of a flood: it tells who sent it, and as which of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbered {
    pub(super) sender: u8,
    pub(super) number: u32,
}

impl Numbered {
    /// Returns the body, `len` bytes of which all are known. There are at least 7.
    pub(super) fn body(self, len: usize) -> Vec<u8> {
        let [a, b, c, d] = self.number.to_be_bytes();
        let mut body = vec![b'#', self.sender, a, b, c, d, len as u8];
        body.resize(len, b'x');
        body
    }

    /// Reads a body that [`body`](Self::body) made, to the last byte.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let [b'#', sender, a, b, c, d, len, rest @ ..] = body else {
            return None;
        };
        let is_whole = usize::from(*len) == body.len();
        (is_whole && rest.iter().all(|&byte| byte == b'x')).then_some(Self {
            sender: *sender,
            number: u32::from_be_bytes([*a, *b, *c, *d]),
        })
    }
}

/// Fails unless all of `bodies` are of floods, to the last byte, and returns them. Bodies for which
/// `is_other` holds are passed over.
pub(super) fn parse_all(
    client: &Client,
    bodies: &[Vec<u8>],
    is_other: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Numbered>, Wrong> {
    let mut parsed = Vec::with_capacity(bodies.len());
    for body in bodies.iter().filter(|body| !is_other(body)) {
        match Numbered::parse(body) {
            Some(message) => parsed.push(message),
            None => return Err(not_sent(client, body)),
        }
    }
    Ok(parsed)
}

/// Makes a failure of a body that nobody sent.
pub(super) fn not_sent(client: &Client, body: &[u8]) -> Wrong {
    let what = format!("a message of {} bytes arrived that nobody sent", body.len());
    let mut wrong = client.broken(what, &[]);
    if let Wrong::Broken(broken) = &mut wrong {
        broken.received = encoded(body);
    }
    wrong
}

/// Fails unless each sender's numbers rise.
pub(super) fn check_rising(client: &Client, messages: &[Numbered]) -> Result<(), Wrong> {
    let mut last = [None; 256];
    for message in messages {
        let before = last[usize::from(message.sender)].replace(message.number);
        if before >= Some(message.number) {
            let what = format!(
                "message {} of sender {} arrived after message {}",
                message.number,
                message.sender,
                before.unwrap_or_default()
            );
            return Err(client.broken(what, &[]));
        }
    }
    Ok(())
}

/// Sends `len` bytes in messages of 255, and takes each batch before it sends the next, so the
/// client keeps up.
pub(super) fn flood(client: &mut Client, len: usize) -> Result<(), Wrong> {
    let mut number = 0;
    while (number as usize) * 256 < len {
        flood_batch(client, number)?;
        number += BATCH_COUNT;
    }
    Ok(())
}

/// Sends one batch of messages from `first` on, and takes it.
pub(super) fn flood_batch(client: &mut Client, first: u32) -> Result<(), Wrong> {
    let bodies: Vec<Vec<u8>> = (first..first + BATCH_COUNT)
        .map(|number| Numbered { sender: 0, number }.body(255))
        .collect();
    client.send_raw(&encoded_all(bodies.iter().map(Vec::as_slice)))?;
    for body in &bodies {
        client.skip_to(body)?;
    }
    Ok(())
}

/// Has a client talk all the time, one message in flight, while `others` do something. The lengths
/// of the messages vary.
pub(super) fn while_talking(
    mut talker: Client,
    others: impl FnOnce() -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let mut number = 0;
    let talk = || {
        let len = 8 + number as usize * 7 % 248;
        let body = Numbered { sender: 0, number }.body(len);
        number += 1;
        talker.send(&body)?;
        talker.skip_to(&body)
    };
    while_repeating(talk, others)
}

/// Repeats something in another thread while `others` do something, until that is done or either
/// fails. Of two failures, that of the others is told.
pub(super) fn while_repeating<T>(
    mut repeat: impl FnMut() -> Result<(), Wrong> + Send,
    others: impl FnOnce() -> Result<T, Wrong>,
) -> Result<T, Wrong> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let repeating = scope.spawn(|| {
            // Nothing else is read on the strength of this flag, so no ordering is needed.
            while !is_over.load(Ordering::Relaxed) {
                repeat()?;
            }
            Ok(())
        });
        let done = others();
        is_over.store(true, Ordering::Relaxed);
        let repeated = join(repeating);
        let done = done?;
        repeated.map(|()| done)
    })
}

/// Lets a client catch up that may have lost messages: it speaks until it hears itself. Returns what
/// arrived before.
pub(super) fn catch_up(client: &mut Client) -> Result<Vec<Vec<u8>>, Wrong> {
    let mut sender = client.sender()?;
    // Whatever is sent while it does not keep up may be lost for it, too.
    let speak = || {
        sender.send(HERE)?;
        thread::sleep(HERE_INTERVAL);
        Ok(())
    };
    while_repeating(speak, || client.take_until(HERE))
}

/// Has as many clients as `count` send `message_count` messages each, all at once and without
/// waiting, and end their sending side. Returns what each received until its end.
pub(super) fn flood_together(
    trial: &Trial<'_>,
    count: usize,
    message_count: u32,
) -> Result<Vec<Vec<Numbered>>, Wrong> {
    let clients = trial.join_many(count)?;
    thread::scope(|scope| {
        let receiving: Vec<_> = clients
            .into_iter()
            .zip(0..)
            .map(|(mut client, sender)| {
                scope.spawn(move || {
                    let mut sending = client.sender()?;
                    let sent = thread::spawn(move || {
                        for number in 0..message_count {
                            sending.send(&Numbered { sender, number }.body(40))?;
                        }
                        sending.end();
                        Ok(())
                    });
                    let received = client.receive_to_end();
                    let sent = sent.join().unwrap_or_else(|_| Err(panicked()));
                    let messages = parse_all(&client, &received?, |_| false)?;
                    sent?;
                    check_rising(&client, &messages)?;
                    Ok(messages)
                })
            })
            .collect();
        receiving.into_iter().map(join).collect()
    })
}

/// Waits for a thread of a case.
pub(super) fn join<T>(handle: thread::ScopedJoinHandle<'_, Result<T, Wrong>>) -> Result<T, Wrong> {
    handle.join().unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> Wrong {
    Wrong::Skipped("the case itself panicked".to_owned())
}

/// Has a client send without ever reading while `others` do something. When sending fails or takes
/// too long, the server takes no more; that is fine, and the client leaves.
pub(super) fn while_flooding(
    client: Client,
    others: impl FnOnce() -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let mut sender = Some(client.sender()?);
    // The connection is closed with the last of its handles.
    drop(client);
    let mut number = 0;
    let send = || {
        let wire = encoded(&Numbered { sender: 9, number }.body(100));
        number += 1;
        match sender.take() {
            Some(mut taken) => sender = taken.send_raw(&wire).is_ok().then_some(taken),
            None => thread::sleep(HERE_INTERVAL),
        }
        Ok(())
    };
    while_repeating(send, others)
}

/// What a client says to hear itself.
pub(super) const HERE: &[u8] = b"here";

/// How long between two times that it says so.
const HERE_INTERVAL: Duration = Duration::from_millis(20);

/// How many messages are in a batch: 16 KiB fit into any socket's buffers.
const BATCH_COUNT: u32 = 64;
