//! A whole run: the server, the repetitions, the verdicts.

use std::io::{self, Write};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::{Args, Target};
use crate::load::client::SCRATCH_LEN;
use crate::load::latency::Latencies;
use crate::load::stop::Stop;
use crate::load::{self, Bench, Clock, Count, Ended, Load};
use crate::proof::{Conviction, Proof};
use crate::report::{Report, tell};
use crate::server::{Server, ServerError};
use crate::watch::Watch;
use crate::{EXIT_BROKEN, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PASSED};

/// Tests the server that `args` name, and prints results on `out`. The server has ended when this returns.
pub(crate) fn run(args: &Args, out: impl Write) -> Result<(), Failure> {
    let mut watch = Watch::new().map_err(Failure::Watch)?;
    let (server, addr) = match args.target() {
        Target::Running(addr) => (None, addr),
        Target::Launch(launch) => {
            let mut server = Server::start(&launch, &watch)?;
            let addr = server.wait_ready(&mut watch, args.patience())?;
            (Some(server), addr)
        }
    };
    let load = args.load();
    // Not before the start, or the server would inherit what it should ask for itself.
    raise_descriptor_limit(load.roles.resident_count() as u64 + u64::from(load.stalled))?;
    let mut bench = Bench {
        addr,
        clock: Clock::start(),
        proof: Proof::new(args.payloads(), load.roles, args.check),
        latencies: Latencies::new(),
        scratch: vec![0; SCRATCH_LEN].into(),
        watch,
        server,
        on_tick: &mut |_| {},
    };
    let result = repeat(args, load, out, &mut bench);
    if let Some(count) = bench.server.as_ref().map(Server::stdout_line_count).filter(|&count| count > 1) {
        tell(format_args!(
            "note: the server printed {count} lines on standard output, where the specification has the ready line only"
        ));
    }
    result
}

/// Runs all repetitions.
fn repeat(args: &Args, load: Load, out: impl Write, bench: &mut Bench<'_>) -> Result<(), Failure> {
    let mut report = Report::new(out, args.repetitions());
    for iteration in 0..args.repetitions() {
        report.launching(iteration, load.roles, load.sends())?;
        bench.proof.begin(u16::try_from(iteration).expect("the arguments bound the repetitions"));
        let started = std::time::Instant::now();
        let Ended { count, stop } = load::run(&load, bench);
        let ran = started.elapsed();
        // A broken promise outweighs whatever ended the repetition.
        let kept = bench.proof.verdict().map_err(|conviction| Failure::Broken { iteration, conviction })?;
        if std::env::var_os("DEBUG_RUN").is_some() {
            eprintln!("{kept:?} {count:?} lost {} run {ran:?} verdict {:?}", bench.proof.lost(), started.elapsed() - ran);
            eprintln!("{:#?}", bench.latencies.summary().delivery);
        }
        match stop {
            None => report.completed(count)?,
            Some(Stop::Interrupted) => return Err(Failure::Interrupted { iteration, count }),
            Some(stop) => {
                let death = bench.server.as_mut().and_then(Server::death);
                return Err(death.map_or(Failure::Stopped { iteration, stop }, Failure::Server));
            }
        }
    }
    Ok(())
}
/// Why a run did not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server is at fault, but not for an order.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The promise is broken.
    #[error("iteration {iteration}: {conviction}")]
    Broken {
        /// Which repetition it was.
        iteration: u32,
        /// How it was broken.
        conviction: Conviction,
    },
    /// A repetition could not be completed.
    #[error("iteration {iteration}: {stop}")]
    Stopped {
        /// Which repetition it was.
        iteration: u32,
        /// Why.
        stop: Stop,
    },
    /// A signal asked to stop.
    #[error(
        "interrupted in iteration {iteration}, in which {} messages out of {} sent had been received; no order was broken",
        count.own_delivered,
        count.own_sent
    )]
    Interrupted {
        /// Which repetition it was.
        iteration: u32,
        /// What it had counted.
        count: Count,
    },
    /// There may not be that many connections.
    #[error("{needed} open files are needed, and the limit is {limit} (see `ulimit -Hn`)")]
    Descriptors {
        /// How many descriptors the connections and the rest need.
        needed: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The system gives nothing to wait with.
    #[error("cannot set up waiting: {0}")]
    Watch(io::Error),
    /// Standard output failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl Failure {
    /// Returns the exit code that says this.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Broken { .. } => EXIT_BROKEN,
            Self::Interrupted { .. } | Self::Server(ServerError::Interrupted) => EXIT_INTERRUPTED,
            Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_PASSED,
            _ => EXIT_FAILED,
        }
    }

    /// Tells whether the bodies that were sent may have to do with it.
    pub(crate) fn depends_on_seed(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Stopped { .. } | Self::Server(ServerError::Died { .. }))
    }
}

/// Raises the limit of open files as far as it goes, and checks that it suffices for `client_count` connections.
fn raise_descriptor_limit(client_count: u64) -> Result<(), Failure> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // When raising fails, what follows sees the limit as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let needed = client_count + DESCRIPTORS_RESERVED;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(Failure::Descriptors { needed, limit }),
        _ => Ok(()),
    }
}

/// How many descriptors are for other things than connections: three standard streams, the server's output, polling, signals; doubled.
const DESCRIPTORS_RESERVED: u64 = 32;
