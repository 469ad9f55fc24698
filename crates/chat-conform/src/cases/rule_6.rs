//! Rule 6: drops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::flood::{self, Numbered};
use crate::case::Case;
use crate::client::{Client, encoded};
use crate::trial::Trial;
use crate::wrong::Wrong;

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-6/keeps-up-loses-nothing",
        "Has three clients send 300 messages in turn and read all; nobody may miss any.",
        "A loss usually means a queue whose reader is woken too late, or drops that have no reason.",
        keeps_up_loses_nothing,
    ),
    Case::must(
        "rule-6/bursts-lose-nothing",
        "Sends bursts of 64 messages that two clients read at once; neither may miss any.",
        "A loss usually means a queue that is bounded in messages and never makes senders wait.",
        bursts_lose_nothing,
    ),
    Case::must(
        "rule-6/never-reads-delays-nobody",
        "Has a client never read while another sends 12 MB and reads it; that one may miss nothing.",
        "A standstill usually means that one write blocks the loop over all clients.",
        never_reads_delays_nobody,
    ),
    Case::must(
        "rule-6/never-reads-stays-connected",
        "Has a client not read 12 MB and then read; it must get whole messages in order, and be served.",
        "A closed connection usually means that a full queue is taken for a failure.",
        never_reads_stays_connected,
    ),
    Case::must(
        "rule-6/slow-reader-whole-messages",
        "Has a client with a small buffer read slowly in a flood; it must get whole messages in order.",
        "A cut message usually means that the rest of a short write is dropped.",
        slow_reader_whole_messages,
    ),
    Case::must(
        "rule-6/pausing-reader",
        "Has a client pause again and again in a flood; it must get whole messages in order.",
        "A cut message usually means that the rest of a short write is dropped.",
        pausing_reader,
    ),
    Case::must(
        "rule-6/sender-that-never-reads",
        "Has a client send 6 MB and read nothing; the server must take it, and another receive it.",
        "A standstill usually means that a client is not read as long as its echo is not written.",
        sender_that_never_reads,
    ),
    Case::must(
        "rule-6/idle-client-stays",
        "Has clients say nothing for a while; they must still be served.",
        "A closed connection usually means a read timeout on clients.",
        idle_client_stays,
    ),
    Case::must(
        "rule-6/slow-reader-loses-nothing",
        "Has a client read 2 MB at some MB/s; it loses nothing if the server takes that for keeping up.",
        "A loss tells that the server's rate for keeping up is higher, or its buffers are small.",
        slow_reader_loses_nothing,
    )
    .info(),
];

fn keeps_up_loses_nothing(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut clients: [Client; 3] = trial.join_all()?;
    for number in 0..300 {
        let sender = number as u8 % 3;
        let body = Numbered { sender, number }.body(32);
        clients[usize::from(sender)].send(&body)?;
        for client in &mut clients {
            client.expect(&body)?;
        }
    }
    Ok(())
}

fn bursts_lose_nothing(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut sender, mut other] = trial.join_all()?;
    for burst in 0..20 {
        for number in 0..64 {
            sender.send(format!("{burst} {number}").as_bytes())?;
        }
        for client in [&mut sender, &mut other] {
            for number in 0..64 {
                client.expect(format!("{burst} {number}").as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Connects a client that holds little and one that floods. Only the second reads.
fn stalled_and_flooding(trial: &Trial<'_>) -> Result<(Client, Client), Wrong> {
    let [stalled, flooding] = trial.join_all()?;
    stalled.hold_little()?;
    Ok((stalled, flooding))
}

fn never_reads_delays_nobody(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let (_stalled, mut flooding) = stalled_and_flooding(trial)?;
    flood::flood(&mut flooding, FLOOD_LEN)?;
    trial.assert_serves()
}

fn never_reads_stays_connected(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let (mut stalled, mut flooding) = stalled_and_flooding(trial)?;
    flood::flood(&mut flooding, FLOOD_LEN)?;
    let received = flood::catch_up(&mut stalled)?;
    let messages = flood::parse_all(&stalled, &received, |_| false)?;
    flood::check_rising(&stalled, &messages)
}

/// Has a client read with pauses while another floods, and looks at what it gets.
fn slow_reader(
    trial: &Trial<'_>,
    pause_after_len: usize,
    pause: Duration,
    flood_len: usize,
) -> Result<Vec<Numbered>, Wrong> {
    let (mut slow, mut flooding) = stalled_and_flooding(trial)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut received, mut len) = (Vec::new(), 0);
            // Nothing else is read on the strength of this flag, so no ordering is needed.
            while !is_over.load(Ordering::Relaxed) {
                let body = slow.receive()?;
                len += 1 + body.len();
                received.push(body);
                if len >= pause_after_len {
                    len = 0;
                    thread::sleep(pause);
                }
            }
            received.extend(flood::catch_up(&mut slow)?);
            let messages = flood::parse_all(&slow, &received, |body| body == LAST)?;
            flood::check_rising(&slow, &messages)?;
            Ok(messages)
        });
        let flooded = flood::flood(&mut flooding, flood_len);
        is_over.store(true, Ordering::Relaxed);
        // So that who waits for a message sees that it is over.
        let told = flooding.send(LAST);
        let messages = flood::join(reading)?;
        flooded.and(told)?;
        Ok(messages)
    })
}

fn slow_reader_whole_messages(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    slow_reader(trial, 4 << 10, Duration::from_millis(2), 4 << 20).map(drop)
}

fn pausing_reader(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    slow_reader(trial, 256 << 10, Duration::from_millis(300), 8 << 20).map(drop)
}

fn slow_reader_loses_nothing(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let len = 2 << 20;
    let messages = slow_reader(trial, 16 << 10, Duration::from_millis(2), len)?;
    let lost = (len / 256).saturating_sub(messages.len());
    if lost == 0 {
        return Ok(());
    }
    let total = len / 256;
    Err(Wrong::broken(format!("it lost {lost} of {total} messages")))
}

fn sender_that_never_reads(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    // It holds as much as the system likes: a buffer that shrinks below the window it has promised
    // makes the kernel drop acknowledgements with the data, and then nothing is sent either.
    let [deaf, mut other] = trial.join_all()?;
    let mut sender = deaf.sender()?;
    let mut firsts = (0..DEAF_COUNT).step_by(DEAF_BATCH_COUNT);
    let send = || {
        let Some(first) = firsts.next() else {
            // Whatever a server drops for a reader, it does not drop all of these.
            sender.send(LAST)?;
            thread::sleep(LAST_INTERVAL);
            return Ok(());
        };
        let batch = first..first + DEAF_BATCH_COUNT as u32;
        let wire = |number| encoded(&Numbered { sender: 0, number }.body(250));
        sender.send_raw(&batch.flat_map(wire).collect::<Vec<_>>())
    };
    let received = flood::while_repeating(send, || other.take_until(LAST))?;
    let messages = flood::parse_all(&other, &received, |_| false)?;
    flood::check_rising(&other, &messages)
}

fn idle_client_stays(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut one, mut two] = trial.join_all()?;
    thread::sleep(IDLE_TIME);
    two.send(b"awake")?;
    one.expect(b"awake")?;
    two.expect(b"awake")
}

/// How many bytes a client does not read. A judgement: more than the system holds for a connection,
/// and than most servers hold for a client.
const FLOOD_LEN: usize = 12 << 20;

/// How many messages of 250 bytes a client sends that never reads.
const DEAF_COUNT: u32 = 24_000;

/// How many of them it sends at once.
const DEAF_BATCH_COUNT: usize = 50;

/// What a flood ends with.
const LAST: &[u8] = b"last";

/// How long between two of them.
const LAST_INTERVAL: Duration = Duration::from_millis(20);

/// How long clients say nothing. A judgement: servers that close idle clients have longer times,
/// but the suite has to end.
const IDLE_TIME: Duration = Duration::from_millis(2500);
