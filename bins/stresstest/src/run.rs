//! A whole run: the server, the repetitions, the results and what they come to.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_load::{Bench, Ended, LEAVE_WAIT, Latencies, Stop};
use chat_report::atomic_file::Draft;
use chat_report::{BaselineError, Lines, Screen, is_closed_pipe, tell};
use chat_results::{Asked, Count, Health, Load, Order, Phase, Results, Tick, VERSION, Verdict};
use chat_target::{Interrupt, Server, ServerError, raise_descriptor_limit};
use chat_trace::{Conviction, Kept, Payloads, Proof, Strangers, Topology, recording};

use crate::args::Target;
use crate::monitor::Monitor;
use crate::tally::Tally;

/// What a run has brought.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) results: Results,
    pub(crate) latencies: Latencies,
    /// Why it ended early, if it did.
    pub(crate) failure: Option<Failure>,
}

impl Measured {
    /// Returns what went wrong, if anything did. That whoever read standard output has had enough
    /// is nothing wrong.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure
            .as_ref()
            .filter(|failure| !failure.is_closed_pipe())
    }

    /// Tells whether standard output took all that was printed.
    pub(crate) fn can_print(&self) -> bool {
        !matches!(self.failure, Some(Failure::Print(_)))
    }
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) target: &'a Target,
    pub(crate) load: Load,
    /// Where all that a verdict needs is written to, if anywhere.
    pub(crate) record: Option<&'a Path>,
}

/// Tests a server, and prints the lines of each repetition on `report`. The server has ended when
/// this returns.
///
/// # Errors
///
/// When there is nothing to measure.
pub(crate) fn run(
    plan: Plan<'_>,
    report: &mut Lines<impl Write>,
    screen: &mut Screen,
    interrupt: &Interrupt,
) -> Result<Measured, Failure> {
    let Plan {
        target,
        load,
        record,
    } = plan;
    let topology = Topology::of(&load);
    let mut recorder = record
        .map(|path| Recorder::begin(path, topology))
        .transpose()?;
    screen.wait("waiting for the server to get ready");
    let (mut server, addr) = start(target, load.timeout, interrupt)?;
    // Not before the start, or the server would inherit what it should ask for itself.
    check_descriptor_limit(load.connection_count_max())?;
    let mut monitor = Monitor::new(
        server.as_ref().map(Server::usage),
        screen,
        report.repetitions(),
    );
    let proof = Proof::new(
        Payloads::new(load.seed, load.size),
        topology,
        load.check,
        strangers(target, &load),
    );
    let mut bench = Bench::new(addr, proof).map_err(Failure::Watch)?;
    let mut tally = Tally::default();
    let failure = repeat(
        &load,
        report,
        &mut bench,
        (&mut server, interrupt),
        &mut monitor,
        &mut tally,
        recorder.as_mut(),
    )
    .err();
    // What was found outweighs that it could not be recorded.
    let failure = match (failure, recorder.map_or(Ok(()), Recorder::keep)) {
        (Some(failure), Err(unwritten)) => {
            monitor.aside(|| tell(format_args!("note: {unwritten}")));
            Some(failure)
        }
        (failure, kept) => failure.or(kept.err()),
    };
    monitor.aside(|| oddities(&bench, server.as_ref()).iter().for_each(tell));
    let order = match &failure {
        Some(Failure::Broken {
            iteration,
            conviction: Conviction { class, story },
        }) => Order::Broken {
            iteration: *iteration,
            class: (*class).to_owned(),
            story: story.clone(),
        },
        _ => tally.order(),
    };
    let results = Results {
        version: VERSION,
        asked: Asked {
            server: target.to_string(),
            load,
        },
        counts: tally.counts(),
        drops: tally.drops(topology),
        latency: bench.latencies.summary(),
        order,
        server: monitor.seen(tally.read()),
        health: health(&tally, &load, &bench.latencies, &monitor),
        isolation: None,
        verdict: Verdict::Passed,
    };
    let latencies = bench.latencies;
    let was_started = server.is_some();
    drop(server);
    if was_started && TcpStream::connect_timeout(&addr, STILL_LISTENING_WAIT).is_ok() {
        monitor.aside(|| {
            tell(format_args!(
                "note: something still listens on {addr}, though the server's process group has been ended: did it leave the group?"
            ));
        });
    }
    Ok(Measured {
        results,
        latencies,
        failure,
    })
}

/// Tells what is odd and breaks no promise.
fn oddities(bench: &Bench, server: Option<&Server>) -> Vec<String> {
    let mut oddities = Vec::new();
    if let Some(count) = server
        .map(Server::stdout_line_count)
        .filter(|&count| count > 1)
    {
        oddities.push(format!(
            "note: the server printed {count} lines on standard output, where the specification has the ready line only"
        ));
    }
    let passed_over = bench.proof.passed_over();
    if passed_over > 0 {
        oddities.push(format!(
            "note: {passed_over} messages were passed over that none of these clients had sent; if nobody else uses the server, it made \
             them up"
        ));
    }
    if bench.left_open.repetitions > 0 {
        oddities.push(format!(
            "note: the server left {} connections open for {} s after the clients had ended their sending side, where the \
             specification has it close them; what it might send later was not waited for",
            bench.left_open.connections,
            LEAVE_WAIT.as_secs()
        ));
    }
    oddities
}

/// Tells whether anybody else sends messages to the server.
fn strangers(target: &Target, load: &Load) -> Strangers {
    match target {
        Target::Launch(_) => Strangers::None,
        // The lowest bits of a seed are as random as any.
        Target::Running(_) => Strangers::Possible {
            first_run: (load.seed % (1 << 16)) as u16,
        },
    }
}

/// Starts the server, if it does not run already, and returns its address.
fn start(
    target: &Target,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<(Option<Server>, SocketAddr), Failure> {
    match target {
        Target::Running(addr) => Ok((None, *addr)),
        Target::Launch(launch) => {
            let mut server = Server::start(launch, interrupt)?;
            let addr = server.wait_ready(timeout)?;
            Ok((Some(server), addr))
        }
    }
}

/// Runs all repetitions.
fn repeat(
    load: &Load,
    report: &mut Lines<impl Write>,
    bench: &mut Bench,
    (server, interrupt): (&mut Option<Server>, &Interrupt),
    monitor: &mut Monitor<'_>,
    tally: &mut Tally,
    mut recorder: Option<&mut Recorder>,
) -> Result<(), Failure> {
    for iteration in 0..report.repetitions() {
        monitor.aside(|| report.launching(iteration, load))?;
        monitor.begin(iteration);
        bench
            .proof
            .begin(u16::try_from(iteration).expect("the arguments bound the repetitions"));
        let Ended { count, stop } = chat_load::run(load, bench, &mut |tick| {
            if interrupt.is_interrupted() {
                return Err(Stop::Interrupted);
            }
            let exit_status = server.as_mut().and_then(Server::exit_status);
            if exit_status.is_some() {
                return Err(Stop::ServerEnded);
            }
            monitor.tick(tick);
            Ok(())
        });
        tally.add(count, &bench.proof);
        recorder
            .iter_mut()
            .for_each(|recorder| recorder.add(&bench.proof));
        monitor.tick(Tick {
            phase: Phase::Verdict,
            elapsed: Duration::ZERO,
            open: 0,
            count,
            lost: bench.proof.lost(),
            p99: bench.latencies.delivery_p99(),
        });
        // A broken promise outweighs whatever ended the repetition.
        let kept = bench
            .proof
            .verdict()
            .map_err(|conviction| Failure::Broken {
                iteration,
                conviction,
            })?;
        tally.keep(kept);
        if count.is_cut {
            monitor
                .aside(|| tell("note: the load ended early, since no more deliveries can be recorded; --check basic records none"));
        }
        // The verdict takes its time, and a signal may have come meanwhile.
        let stop = stop.or_else(|| interrupt.is_interrupted().then_some(Stop::Interrupted));
        if let Some(stop) = stop {
            return Err(stopped(stop, iteration, count, kept, server.as_mut()));
        }
        tally.complete();
        monitor.aside(|| report.completed(count))?;
    }
    Ok(())
}

/// Tells why a repetition ended early.
fn stopped(
    stop: Stop,
    iteration: u32,
    count: Count,
    kept: Kept,
    server: Option<&mut Server>,
) -> Failure {
    match stop {
        Stop::Interrupted => Failure::Interrupted {
            iteration,
            delivered: count.own_delivered,
            sent: count.own_sent,
            kept,
        },
        stop => server
            .and_then(Server::death)
            .map_or(Failure::Stopped { iteration, stop }, Failure::Server),
    }
}

/// Records the repetitions in a file.
#[derive(Debug)]
struct Recorder {
    path: PathBuf,
    /// The first error ends the recording, and is told when it is to be kept.
    writer: io::Result<recording::Writer<Draft>>,
}

impl Recorder {
    fn begin(path: &Path, topology: Topology) -> Result<Self, Failure> {
        let writer = Draft::begin(path).and_then(|draft| recording::Writer::begin(draft, topology));
        Ok(Self {
            path: path.to_owned(),
            writer: Ok(writer.map_err(|source| Failure::write(path, source))?),
        })
    }

    fn add(&mut self, proof: &Proof) {
        if let Ok(writer) = &mut self.writer
            && let Err(error) = writer.add(proof)
        {
            self.writer = Err(error);
        }
    }

    fn keep(self) -> Result<(), Failure> {
        let kept = self
            .writer
            .and_then(recording::Writer::end)
            .and_then(Draft::keep);
        kept.map_err(|source| Failure::write(&self.path, source))
    }
}

/// Tells how well this process did.
fn health(tally: &Tally, load: &Load, latencies: &Latencies, monitor: &Monitor<'_>) -> Health {
    let (cpu, time) = monitor.own_cpu();
    let deliveries = tally.read();
    Health {
        achieved: tally.achieved(load),
        missed: tally.missed(),
        lateness: latencies.lateness(),
        cpu: if time.is_zero() {
            0.0
        } else {
            cpu.as_secs_f64() / time.as_secs_f64()
        },
        cpu_us_per_delivery: (deliveries > 0).then(|| cpu.as_secs_f64() * 1e6 / deliveries as f64),
        ceiling: None,
        bound_by: None,
    }
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
        "interrupted in iteration {iteration}, in which {delivered} messages out of {sent} sent had been received{kept}"
    )]
    Interrupted {
        /// Which repetition it was.
        iteration: u32,
        /// How many deliveries there had been to publishers' own subscribers.
        delivered: u64,
        /// How many of them were due.
        sent: u64,
        /// How far the promise was found to be kept until then.
        kept: Kept,
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
    /// There is no baseline to compare with, or none could be kept.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// This program does not find itself.
    #[error("cannot find this program, to calibrate it: {0}")]
    Unfindable(io::Error),
    /// The limits of this program could not be measured, so nothing else was.
    #[error("cannot calibrate, which is to run on the null broadcaster first: {0}")]
    Calibrate(Box<Self>),
    /// A file of results could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl Failure {
    /// Makes the failure to write a file.
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    /// Returns what a run comes to that ended with this.
    pub(crate) fn verdict(&self) -> Verdict {
        let why = self.to_string();
        match self {
            // Whoever read standard output has had enough, and what was found until then stands.
            _ if self.is_closed_pipe() => Verdict::Passed,
            Self::Broken { .. } => Verdict::Broken { why },
            Self::Interrupted { .. } | Self::Server(ServerError::Interrupted) => {
                Verdict::Interrupted
            }
            Self::Calibrate(failure) if failure.verdict() == Verdict::Interrupted => {
                Verdict::Interrupted
            }
            Self::Stopped {
                stop: Stop::Unresolved(_),
                ..
            } => Verdict::Inconclusive { why },
            _ => Verdict::Stopped { why },
        }
    }

    /// Tells whether whoever read standard output has had enough. That is a normal end.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Print(error) if is_closed_pipe(error))
    }

    /// Tells whether the bodies that were sent may have to do with it.
    pub(crate) fn depends_on_seed(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Server(ServerError::Died { .. }) => true,
            Self::Stopped { stop, .. } => !matches!(
                stop,
                Stop::Connection { .. } | Stop::NotConnected { .. } | Stop::Wait(_)
            ),
            _ => false,
        }
    }
}

/// Raises the limit of open files as far as it goes, and checks that it suffices for `client_count`
/// connections.
fn check_descriptor_limit(client_count: u64) -> Result<(), Failure> {
    let needed = client_count + DESCRIPTORS_RESERVED;
    match raise_descriptor_limit() {
        Some(limit) if limit < needed => Err(Failure::Descriptors { needed, limit }),
        _ => Ok(()),
    }
}

/// How long it is tried to connect to a server that is gone. A judgement: long for a machine of
/// one's own.
const STILL_LISTENING_WAIT: Duration = Duration::from_millis(200);

/// How many descriptors are for other things than connections: three standard streams, the server's
/// output, polling, signals; doubled.
const DESCRIPTORS_RESERVED: u64 = 32;
