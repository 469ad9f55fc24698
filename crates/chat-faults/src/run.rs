//! A room against a server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::judge::{Facts, Fault, judge};
use crate::member::{Client, Report, Room};
use crate::schedule::{Event, Schedule};
use crate::target::{Target, TargetError};

/// Plays a schedule against the server at `addr`; returns what its members saw. Calls `meanwhile`
/// when the witness has joined, beside the members.
pub fn run(schedule: &Schedule, addr: SocketAddr, meanwhile: impl FnOnce() + Send) -> Vec<Report> {
    let room = Room {
        addr,
        bodies: schedule.bodies(),
        busy_count: AtomicUsize::new(schedule.members.len()),
        present_count: AtomicUsize::new(schedule.members.len()),
        deadline: Instant::now() + schedule.time_max,
    };
    let numbered = schedule.members.iter().zip(0..);
    let clients = numbered.map(|(member, number)| Client::new(&room, member, number));
    let clients: Vec<Client<'_>> = clients.collect();
    thread::scope(|scope| {
        let mut running = Vec::new();
        let mut meanwhile = Some(meanwhile);
        for client in &clients {
            running.push(scope.spawn(|| client.run()));
            if let Some(meanwhile) = meanwhile.take() {
                // This is the witness.
                client.wait_for_first();
                scope.spawn(meanwhile);
            }
        }
        let reports = running.into_iter().map(|running| running.join());
        reports
            .map(|report| report.expect("a member does not panic"))
            .collect()
    })
}

/// A server that played a schedule and kept the specification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proof {
    /// What was seen.
    pub facts: Facts,
    /// How long it took.
    pub time: Duration,
}

/// Why a schedule was not played to a good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trial {
    /// The server broke the specification.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The server could not be started, or did not end as it should.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// A schedule that failed, with what is needed to play it again.
#[derive(Debug, thiserror::Error)]
#[error("seed {seed}: {trial}\nthe server was started with {args}, and the event was {event:?}")]
pub struct RunError {
    /// The seed of the schedule.
    pub seed: u64,
    /// What went wrong.
    #[source]
    pub trial: Box<Trial>,
    /// What the server was told.
    pub args: String,
    /// What happened to it.
    pub event: Option<Event>,
}

/// Draws the schedule of a seed, plays it against a server of its own, and judges it.
///
/// # Errors
///
/// When the server broke the specification, did not start, or did not end by itself with code 0.
pub fn prove(server: &Path, seed: u64) -> Result<Proof, RunError> {
    let schedule = Schedule::draw(seed);
    let start = Instant::now();
    match try_prove(server, &schedule) {
        Ok(facts) => Ok(Proof {
            facts,
            time: start.elapsed(),
        }),
        Err(trial) => Err(RunError {
            seed,
            trial: Box::new(trial),
            args: schedule.server_args.join(" "),
            event: schedule.event,
        }),
    }
}

fn try_prove(server: &Path, schedule: &Schedule) -> Result<Facts, Trial> {
    let args: Vec<&str> = schedule.server_args.iter().map(String::as_str).collect();
    let mut target = Target::start(server, &args)?;
    let signals = target.signals();
    let event = schedule.event;
    let reports = run(schedule, target.addr(), move || match event {
        None => {}
        Some(Event::Terminate { after }) => {
            thread::sleep(after);
            signals.send(Signal::TERM);
        }
        Some(Event::Stop { after, time }) => {
            thread::sleep(after);
            signals.send(Signal::STOP);
            thread::sleep(time);
            signals.send(Signal::CONT);
        }
    });
    let facts = judge(schedule, &reports)?;
    // A second signal would end it at once.
    match event {
        Some(Event::Terminate { .. }) => target.wait()?,
        _ => target.end()?,
    }
    Ok(facts)
}
