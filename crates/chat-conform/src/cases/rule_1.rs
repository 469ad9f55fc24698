//! Rule 1: an executable that takes an address and runs.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::case::Case;
use crate::trial::{LOOPBACK, Trial, free_addr};
use crate::wrong::{Wrong, ensure};

pub(super) const CASES: &[Case] = &[
    Case::must(
        "rule-1/takes-address",
        "Starts the server with a port; it must listen there and say so.",
        "Another address usually means that the argument is ignored.",
        takes_address,
    )
    .starts_servers(),
    Case::must(
        "rule-1/ipv6",
        "Starts the server with an IPv6 address; it must serve clients there.",
        "A failure usually means that the address is split at its first colon.",
        ipv6,
    )
    .starts_servers(),
    Case::must(
        "rule-1/every-interface",
        "Starts the server with 0.0.0.0; it must serve a client on the loopback.",
        "A failure usually means that the server listens on the loopback alone.",
        every_interface,
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/runs-until-told",
        "Has clients come and go; the server must still run and serve.",
        "An end usually means that the server leaves with its last client.",
        runs_until_told,
    ),
    Case::must(
        "rule-1/port-in-use",
        "Starts the server where somebody listens; it must end with an error.",
        "A server that goes on usually passes over the error of bind.",
        port_in_use,
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/not-an-address",
        "Starts the server with `nonsense` as the address; it must end with an error.",
        "A server that starts all the same usually falls back to a default.",
        |trial| refuses(trial, "nonsense"),
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/port-out-of-range",
        "Starts the server with port 99999; it must end with an error.",
        "A server that starts all the same usually cuts the port to 16 bits.",
        |trial| refuses(trial, "127.0.0.1:99999"),
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/address-without-port",
        "Starts the server with an address and no port; it must end with an error.",
        "A server that starts all the same usually falls back to a default.",
        |trial| refuses(trial, "127.0.0.1"),
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/foreign-address",
        "Starts the server with an address of another machine; it must end with an error.",
        "A server that starts all the same usually passes over the error of bind.",
        |trial| refuses(trial, "192.0.2.1:0"),
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/stdin-closed",
        "Starts the server with standard input closed; it must serve.",
        "A failure usually means that a socket gets descriptor 0 and is taken for standard input.",
        |trial| serves_with(trial, "exec \"$0\" \"$@\" <&-"),
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/stderr-closed",
        "Starts the server with standard error closed; it must serve, and no log may reach clients.",
        "Foreign bytes usually mean that a socket gets descriptor 2 and the log is written to it.",
        |trial| serves_with(trial, "exec \"$0\" \"$@\" 2>&-"),
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/stderr-full",
        "Starts the server with a full disk behind standard error; it must serve.",
        "A failure usually means that a log line that cannot be written is a fatal error.",
        stderr_full,
    )
    .starts_servers()
    .should(),
    Case::must(
        "rule-1/descriptors-exhausted",
        "Connects more clients than it may open files; it must live and go on serving the first.",
        "An end usually means that an error of accept, such as EMFILE, is taken for fatal.",
        descriptors_exhausted,
    )
    .starts_servers(),
    Case::must(
        "rule-1/descriptors-given-back",
        "Has too many clients leave again; the server must serve new ones.",
        "A standstill usually means that accepting stops at an error and nothing starts it again.",
        descriptors_given_back,
    )
    .starts_servers(),
    Case::must(
        "rule-1/descriptors-exhausted-idle",
        "Looks at the processor time while there are too many clients; there may be little.",
        "A busy processor usually means that accept is called in a loop while it fails.",
        descriptors_exhausted_idle,
    )
    .starts_servers()
    .should()
    .alone(),
    Case::must(
        "rule-1/idle-processor-time",
        "Looks at the processor time while ten clients do nothing; there may be hardly any.",
        "A busy processor usually means that the server polls instead of waiting.",
        idle_processor_time,
    )
    .should()
    .alone(),
    Case::must(
        "rule-1/descriptors-back",
        "Has a hundred clients come and go in several ways; no descriptor may be left.",
        "A leak usually means that a socket is kept by a task that nobody ends.",
        descriptors_back,
    )
    .should(),
    Case::must(
        "rule-1/memory-back",
        "Has clients come, talk and go, round after round; memory may not grow with each.",
        "Growth usually means that clients who left, or their messages, are kept in a list.",
        memory_back,
    )
    .should()
    .alone(),
];

fn takes_address(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let mut tries = 0;
    loop {
        let addr = free_addr()?;
        match trial.serve_at(addr) {
            // Somebody else may have got the port in the meantime.
            Err(Wrong::Broken(_)) if tries < 3 => tries += 1,
            Err(wrong) => return Err(wrong),
            Ok(()) => {
                ensure(trial.addr() == addr, || {
                    format!("it was told {addr} and says {}", trial.addr())
                })?;
                return trial.assert_serves();
            }
        }
    }
}

fn ipv6(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let addr = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    if TcpListener::bind(addr).is_err() {
        return Err(Wrong::Skipped("there is no IPv6 here".to_owned()));
    }
    trial.serve_at(addr)?;
    ensure(trial.addr().is_ipv6(), || {
        format!("it was told {addr} and says {}", trial.addr())
    })?;
    trial.assert_serves()
}

fn every_interface(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    trial.serve_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    trial.assert_serves()
}

fn runs_until_told(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    for _ in 0..20 {
        drop(trial.join()?);
    }
    trial.assert_serves()
}

fn port_in_use(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let taken = TcpListener::bind(LOOPBACK).map_err(Wrong::of_machine)?;
    trial.start(taken.local_addr().map_err(Wrong::of_machine)?)?;
    ends_with_error(trial)
}

/// Starts the server with an address that it cannot listen on.
fn refuses(trial: &mut Trial<'_>, addr: &str) -> Result<(), Wrong> {
    trial.start_with_address(addr)?;
    ends_with_error(trial)
}

fn ends_with_error(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let status = trial.wait_end()?;
    ensure(!status.success(), || "it ended with exit code 0".to_owned())?;
    let lines = trial.server_mut().last_lines();
    let is_ready_line = |line: &String| line.starts_with("listening on ");
    ensure(!lines.stdout().iter().any(is_ready_line), || {
        "it said that it is listening".to_owned()
    })
}

/// Starts the server by a script, and has two clients talk, who receive nothing else.
fn serves_with(trial: &mut Trial<'_>, script: &str) -> Result<(), Wrong> {
    trial.serve_by(script)?;
    let [mut one, mut two] = trial.join_all()?;
    for _ in 0..10 {
        drop(trial.connect()?);
        one.send(b"hello")?;
        one.expect(b"hello")?;
        two.expect(b"hello")?;
    }
    trial.assert_serves()
}

fn stderr_full(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    skip_without_full()?;
    serves_with(trial, "exec \"$0\" \"$@\" 2>/dev/full")
}

/// Skips a case that needs a file that is always full.
pub(super) fn skip_without_full() -> Result<(), Wrong> {
    if std::path::Path::new("/dev/full").exists() {
        Ok(())
    } else {
        Err(Wrong::Skipped("there is no /dev/full here".to_owned()))
    }
}

/// Starts a server that may open few files, and connects more clients than that.
fn exhaust(trial: &mut Trial<'_>) -> Result<Vec<TcpStream>, Wrong> {
    let mut clients = Vec::new();
    for _ in 0..DESCRIPTORS + 50 {
        match TcpStream::connect_timeout(&trial.addr(), CONNECT_TIMEOUT) {
            Ok(client) => clients.push(client),
            // Then the queue of those who wait is full, too.
            Err(_) => break,
        }
    }
    Ok(clients)
}

fn serve_limited(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    trial.serve_by(&format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\""))
}

fn descriptors_exhausted(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    serve_limited(trial)?;
    let [mut one, mut two] = trial.join_all()?;
    let _many = exhaust(trial)?;
    for _ in 0..10 {
        one.send(b"still")?;
        one.expect(b"still")?;
        two.expect(b"still")?;
    }
    match trial.server_mut().exit_status() {
        None => Ok(()),
        Some(status) => Err(Wrong::broken(format!("the server ended: {status}"))),
    }
}

fn descriptors_given_back(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    serve_limited(trial)?;
    drop(exhaust(trial)?);
    trial.wait_until(|trial| match trial.join() {
        Ok(_) => Ok(()),
        Err(Wrong::Broken(broken)) => Err(format!("it serves no new client: {}", broken.what)),
        Err(_) => Err("it serves no new client".to_owned()),
    })
}

fn descriptors_exhausted_idle(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    serve_limited(trial)?;
    let _many = exhaust(trial)?;
    little_processor_time(trial)
}

fn idle_processor_time(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let _clients = trial.join_many(10)?;
    little_processor_time(trial)
}

/// Fails if the server takes more than a part of a processor for a while.
fn little_processor_time(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let watch = trial.watch();
    let nothing = || Wrong::Skipped("the system does not tell".to_owned());
    // What it had to do still ends first.
    thread::sleep(IDLE_TIME / 4);
    let before = watch.look().ok_or_else(nothing)?;
    thread::sleep(IDLE_TIME);
    let cpu = watch.look().ok_or_else(nothing)?.cpu_since(&before);
    ensure(cpu < IDLE_TIME * 2 / 3, || {
        format!("it took {cpu:?} of processor time in {IDLE_TIME:?} of doing nothing")
    })
}

fn descriptors_back(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let nothing = || Wrong::Skipped("the system does not tell".to_owned());
    // What the first client makes it open for good is no leak.
    drop(trial.join()?);
    let watch = trial.watch();
    let before = watch.look().ok_or_else(nothing)?.descriptor_count;
    for number in 0..100 {
        let mut client = trial.join()?;
        match number % 4 {
            0 => client.reset()?,
            1 => client.send_raw(b"\x09unfin")?,
            2 => client.end_sending(),
            _ => {}
        }
    }
    trial.wait_until(|_| {
        let now = watch.look().map_or(0, |look| look.descriptor_count);
        if now <= before + DESCRIPTORS_SLACK {
            Ok(())
        } else {
            Err(format!("{now} descriptors are open, {before} were before"))
        }
    })
}

fn memory_back(trial: &mut Trial<'_>) -> Result<(), Wrong> {
    let watch = trial.watch();
    let nothing = || Wrong::Skipped("the system does not tell".to_owned());
    let mut after = Vec::new();
    for _ in 0..4 {
        for _ in 0..100 {
            let mut client = trial.join()?;
            for _ in 0..10 {
                client.send(b"remember")?;
                client.expect(b"remember")?;
            }
        }
        after.push(watch.look().ok_or_else(nothing)?.memory_len);
    }
    // The first round may fill what is kept for all.
    let growth = after[3].saturating_sub(after[0]) / (after.len() as u64 - 1);
    ensure(growth < GROWTH_MAX, || {
        format!("each round of 100 clients and 1000 messages takes {growth} bytes more")
    })
}

/// How many files a server may open that should run out of them. A judgement: enough for any
/// runtime to start.
const DESCRIPTORS: usize = 256;

/// How many more open files are no leak: something may be opened once, whenever that is.
const DESCRIPTORS_SLACK: usize = 4;

/// How long a connection may take that perhaps nobody accepts.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// How long a server has nothing to do. Two thirds of that are allowed: one that polls in a loop
/// takes all of it, where it gets it.
const IDLE_TIME: Duration = Duration::from_millis(1200);

/// How many bytes more a round of clients may take. A judgement: 8 KiB a message.
const GROWTH_MAX: u64 = 8 << 20;
