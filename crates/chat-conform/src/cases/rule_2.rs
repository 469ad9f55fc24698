//! Rule 2: the ready line.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::case::Case;
use crate::cases::rule_1::skip_without_full;
use crate::trial::{LOOPBACK, Trial, free_addr};
use crate::wrong::{Wrong, ensure};
use chat_target::ServerError;

pub(super) const CASES: &[Case] = &[
    Case::must(
        super::READY,
        "Starts the server; its first line must be exactly `listening on ADDRESS`.",
        "Another line usually means a log on standard output, or other words.",
        ready_line,
    ),
    Case::must(
        "rule-2/real-port",
        "Starts the server with port 0; the line must name the port that was chosen.",
        "Port 0 in the line usually means that the argument is printed, not the socket's address.",
        real_port,
    ),
    Case::must(
        "rule-2/given-port",
        "Starts the server with a port; the line must name it.",
        "Another port usually means that the server tries the next one when one is in use.",
        given_port,
    )
    .starts_servers(),
    Case::must(
        "rule-2/flushed-before-clients",
        "Waits for the line on a pipe while no client connects; it must come.",
        "A late line usually means that standard output is buffered when it is no terminal.",
        flushed,
    ),
    Case::must(
        super::CONNECTABLE,
        "Connects as soon as the line has come, to five servers; each must serve at once.",
        "A refused connection usually means that the line is printed before listen.",
        connectable,
    )
    .starts_servers(),
    Case::must(
        "rule-2/printed-once",
        "Has clients come and go; the line must be the only one until the end.",
        "A second line usually means a line for each client, or a log on standard output.",
        printed_once,
    ),
    Case::must(
        "rule-2/silent-in-trouble",
        "Has clients end inside messages and by reset; nothing may go to standard output.",
        "Another line usually means that errors are printed to standard output.",
        silent_in_trouble,
    ),
    Case::must(
        "rule-2/silent-at-the-end",
        "Ends the server by a signal; nothing may go to standard output.",
        "Another line usually means a farewell on standard output.",
        silent_at_the_end,
    ),
    Case::must(
        "rule-2/not-without-the-port",
        "Starts the server where somebody listens; it may not say that it is ready.",
        "A line all the same usually means that it is printed before bind.",
        not_without_the_port,
    )
    .starts_servers(),
    Case::must(
        "rule-2/stdout-closed-later",
        "Closes the other end of standard output after the line; the server must serve on.",
        "An end usually means that the server writes there again, or dies of SIGPIPE.",
        stdout_closed_later,
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-2/stdout-full",
        "Starts the server with a full disk behind standard output; it must serve or end with an error.",
        "Silence usually means that the error of printing is passed over, or printed there.",
        stdout_full,
    )
    .starts_servers()
    .should(),
];

fn ready_line(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let expected = format!("listening on {}", trial.addr());
    let lines = trial.server_mut().last_lines();
    let first = lines.stdout().first().map_or("", String::as_str);
    ensure(first == expected, || {
        format!("the first line is `{first}`, not `{expected}`")
    })
}

fn real_port(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    ensure(trial.addr().port() != 0, || "it names port 0".to_owned())?;
    trial.assert_serves()
}

fn given_port(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let addr = free_addr()?;
    if let Err(Wrong::Broken(broken)) = trial.serve_at(addr) {
        let why = format!("somebody else may have got the port: {}", broken.what);
        return Err(Wrong::Skipped(why));
    }
    ensure(trial.addr() == addr, || {
        format!("it was told {addr} and says {}", trial.addr())
    })
}

fn flushed(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let count = trial.server_mut().stdout_line_count();
    ensure(count >= 1, || "there is no line yet".to_owned())
}

fn connectable(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    for _ in 0..5 {
        trial.serve()?;
        trial.join()?;
        trial.end_server();
    }
    Ok(())
}

fn printed_once(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    for _ in 0..5 {
        drop(trial.join()?);
    }
    one_line_until_the_end(trial)
}

fn silent_in_trouble(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    for _ in 0..5 {
        let mut client = trial.join()?;
        client.send_raw(b"\x09unfin")?;
        client.end_sending();
        client.expect_end()?;
        let mut client = trial.join()?;
        client.send_raw(b"\x09unfin")?;
        client.reset()?;
    }
    trial.assert_serves()?;
    one_line_until_the_end(trial)
}

fn silent_at_the_end(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let _client = trial.join()?;
    one_line_until_the_end(trial)
}

/// Ends the server, and fails unless it has printed one line.
fn one_line_until_the_end(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    trial.signal(Signal::TERM);
    trial.wait_end()?;
    // What is under way arrives first.
    let lines = trial.server_mut().last_lines();
    let count = trial.server_mut().stdout_line_count();
    ensure(count == 1, || {
        let last = lines.stdout().last().map_or("", String::as_str);
        format!("it printed {count} lines on standard output, at last `{last}`")
    })
}

fn not_without_the_port(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let taken = TcpListener::bind(LOOPBACK).map_err(Wrong::of_machine)?;
    trial.start(taken.local_addr().map_err(Wrong::of_machine)?)?;
    let patience = trial.patience().time;
    match trial.server_mut().wait_ready(patience) {
        Err(ServerError::ExitedEarly { .. } | ServerError::NotReady { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(addr) => Err(Wrong::broken(format!(
            "it says that it listens on {addr}, where somebody else does"
        ))),
    }
}

fn stdout_closed_later(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    trial.serve_by("\"$0\" \"$@\" | head -n 1")?;
    for _ in 0..5 {
        drop(trial.join()?);
    }
    trial.assert_serves()
}

fn stdout_full(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    skip_without_full()?;
    let addr = free_addr()?;
    trial.start_by("exec \"$0\" \"$@\" >/dev/full", addr)?;
    trial.set_addr(addr);
    let deadline = trial.patience().begin();
    loop {
        if let Some(status) = trial.server_mut().exit_status() {
            return ensure(!status.success(), || "it ended with exit code 0".to_owned());
        }
        if std::net::TcpStream::connect(addr).is_ok() {
            // It may be about to end because of the line.
            return match trial.join() {
                Ok(_) => Ok(()),
                Err(_) if trial.server_mut().death().is_some() => {
                    let status = trial.wait_end()?;
                    ensure(!status.success(), || "it ended with exit code 0".to_owned())
                }
                Err(wrong) => Err(wrong),
            };
        }
        if trial.patience().is_over(deadline) {
            return Err(Wrong::broken("it neither serves nor ends"));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
