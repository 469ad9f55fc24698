//! Rule 10: shutdown.

use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::flood::{self, Numbered};
use crate::case::Case;
use crate::client::Client;
use crate::trial::{Trial, free_addr};
use crate::wrong::{Wrong, ensure};

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-10/sigterm-idle",
        "Sends SIGTERM to a server without clients; it must exit with code 0.",
        "Another end usually means that the signal is not handled and kills the process.",
        |trial| ends_in_order(trial, Signal::TERM),
    ),
    Case::must(
        "rule-10/sigint-idle",
        "Sends SIGINT to a server without clients; it must exit with code 0.",
        "Another end usually means that the signal is not handled and kills the process.",
        |trial| ends_in_order(trial, Signal::INT),
    ),
    Case::must(
        "rule-10/sigterm-with-clients",
        "Sends SIGTERM while clients stay connected; all must get the end, and the exit code be 0.",
        "A server that stays usually waits for its clients to leave.",
        |trial| ends_with_clients(trial, Signal::TERM),
    ),
    Case::must(
        "rule-10/sigint-with-clients",
        "Sends SIGINT while clients stay connected; all must get the end, and the exit code be 0.",
        "A server that stays usually waits for its clients to leave.",
        |trial| ends_with_clients(trial, Signal::INT),
    ),
    Case::must(
        "rule-10/sigterm-under-load",
        "Sends SIGTERM while a client floods; who listens must get the end on a message boundary.",
        "A cut message usually means that sockets close in the middle of a write.",
        |trial| ends_under_load(trial, Signal::TERM),
    ),
    Case::must(
        "rule-10/sigint-under-load",
        "Sends SIGINT while a client floods; who listens must get the end on a message boundary.",
        "A cut message usually means that sockets close in the middle of a write.",
        |trial| ends_under_load(trial, Signal::INT),
    ),
    Case::must(
        "rule-10/delivers-what-it-holds",
        "Sends SIGTERM when messages have come that a client has not read; it must get them all.",
        "A loss usually means that the process exits before the queues are empty.",
        delivers_what_it_holds,
    ),
    Case::must(
        "rule-10/never-reading-client",
        "Sends SIGTERM while a client does not read what is there for it; the server must end in time.",
        "A server that stays usually delivers without a deadline.",
        never_reading_client,
    ),
    Case::must(
        "rule-10/inside-a-message",
        "Sends SIGTERM while a client is inside a message; nobody may receive anything of it.",
        "A phantom usually means that buffers are written out at the end.",
        inside_a_message,
    ),
    Case::must(
        "rule-10/second-signal",
        "Sends SIGTERM twice while a client does not read; the server must end.",
        "A server that stays usually ignores signals while it ends.",
        second_signal,
    ),
    Case::must(
        "rule-10/second-signal-tells",
        "Sends SIGTERM twice while a client does not read; the exit tells that it was cut short.",
        "An exit code of 0 tells nobody that messages were not delivered.",
        second_signal_tells,
    )
    .info(),
    Case::must(
        "rule-10/at-once",
        "Sends SIGTERM as soon as the server is ready; it must exit with code 0.",
        "Another end usually means that signals are handled only from the first client on.",
        ends_at_once,
    )
    .starts_servers(),
    Case::must(
        "rule-10/during-the-start",
        "Sends SIGTERM at different times while the server starts; it must end.",
        "A server that stays usually blocks signals and looks at them too early.",
        during_the_start,
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-10/nobody-listens-after",
        "Connects after the server has ended; that must be refused.",
        "A connection all the same usually means that a child process has kept the socket.",
        nobody_listens_after,
    )
    .should(),
    Case::must(
        "rule-10/address-free-again",
        "Ends a server with clients and starts one on its port at once; that must get it.",
        "A failure usually means that SO_REUSEADDR is not set on the listening socket.",
        address_free_again,
    )
    .starts_servers()
    .should(),
];

/// Sends a signal, and fails unless the server exits with code 0.
fn ends_in_order(trial: &mut Trial<'_>, signal: Signal) -> Result<(), Wrong> {
    trial.signal(signal);
    exits_with_0(trial)
}

fn exits_with_0(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let status = trial.wait_end()?;
    ensure(status.code() == Some(0), || {
        format!("it ended with {status}, not with exit code 0")
    })
}

fn ends_with_clients(trial: &mut Trial<'_>, signal: Signal) -> Result<(), Wrong> {
    let mut clients = trial.join_many(5)?;
    trial.signal(signal);
    for client in &mut clients {
        client.expect_end()?;
    }
    exits_with_0(trial)
}

fn ends_under_load(trial: &mut Trial<'_>, signal: Signal) -> Result<(), Wrong> {
    let [flooding, mut listener] = trial.join_all()?;
    flood::while_flooding(flooding, || {
        // The flood is under way.
        for _ in 0..100 {
            listener.receive()?;
        }
        trial.signal(signal);
        let received = listener.receive_to_end()?;
        let messages = flood::parse_all(&listener, &received, |_| false)?;
        flood::check_rising(&listener, &messages)?;
        exits_with_0(trial)
    })
}

fn delivers_what_it_holds(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut sender, mut late] = trial.join_all()?;
    let bodies: Vec<Vec<u8>> = (0..200)
        .map(|number| Numbered { sender: 0, number }.body(100))
        .collect();
    for body in &bodies {
        sender.send(body)?;
        sender.expect(body)?;
    }
    trial.signal(Signal::TERM);
    late.expect_all(bodies.iter().map(Vec::as_slice))?;
    late.expect_end()?;
    exits_with_0(trial)
}

/// Connects a client that has much to read and does not.
fn stalled(trial: &Trial<'_>) -> Result<[Client; 2], Wrong> {
    let [stalled, mut flooding] = trial.join_all()?;
    stalled.hold_little()?;
    flood::flood(&mut flooding, FLOOD_LEN)?;
    Ok([stalled, flooding])
}

fn never_reading_client(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let _clients = stalled(trial)?;
    ends_in_order(trial, Signal::TERM)
}

fn inside_a_message(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let [mut inside, mut witness] = trial.join_all()?;
    inside.send_raw(b"\x09unfin")?;
    witness.send(b"seen")?;
    witness.expect(b"seen")?;
    inside.expect(b"seen")?;
    trial.signal(Signal::TERM);
    witness.expect_end()?;
    exits_with_0(trial)
}

/// Sends two signals while there is something to deliver, and returns whether the exit tells.
fn cut_short(trial: &mut Trial<'_>) -> Result<bool, Wrong> {
    let [_stalled, mut flooding] = stalled(trial)?;
    trial.signal(Signal::TERM);
    // When the others have the end, the first signal was seen. Two signals at once may be one.
    flooding.receive_to_end()?;
    thread::sleep(SIGNAL_PAUSE);
    trial.signal(Signal::TERM);
    let status = trial.wait_end()?;
    Ok(status.code() != Some(0) || status.signal().is_some())
}

fn second_signal(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    cut_short(trial).map(drop)
}

fn second_signal_tells(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let tells = cut_short(trial)?;
    ensure(tells, || "it ended with exit code 0".to_owned())
}

fn ends_at_once(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    for _ in 0..3 {
        trial.serve()?;
        ends_in_order(trial, Signal::TERM)?;
    }
    Ok(())
}

fn during_the_start(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    for millis in [0, 1, 3, 10, 30] {
        trial.start(crate::trial::LOOPBACK)?;
        thread::sleep(Duration::from_millis(millis));
        trial.signal(Signal::TERM);
        trial.wait_end()?;
    }
    Ok(())
}

fn nobody_listens_after(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    trial.join()?;
    trial.signal(Signal::TERM);
    trial.wait_end()?;
    let addr = trial.addr();
    ensure(TcpStream::connect(addr).is_err(), || {
        format!("somebody still accepts connections on {addr}")
    })
}

fn address_free_again(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let addr = free_addr()?;
    if let Err(Wrong::Broken(broken)) = trial.serve_at(addr) {
        let why = format!("somebody else may have got the port: {}", broken.what);
        return Err(Wrong::Skipped(why));
    }
    let clients = trial.join_many(3)?;
    trial.signal(Signal::TERM);
    trial.wait_end()?;
    drop(clients);
    trial.serve_at(addr)?;
    trial.assert_serves()
}

/// How long after the first signal the second one comes: `timeout` sends two at once, and a server may
/// take those for one. A judgement.
const SIGNAL_PAUSE: Duration = Duration::from_millis(200);

/// How many bytes wait for a client that does not read. A judgement: more than the system holds for
/// a connection.
const FLOOD_LEN: usize = 12 << 20;
