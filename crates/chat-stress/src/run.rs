//! A whole run: the server, the repetitions, the results.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use chat_load::{Bench, Chat, Ended, Latencies, Stop};
use chat_results::judge::{Complaints, bound_by, verdict};
use chat_results::{
    Asked, Count, Environment, Health, Load, Observer, Order, Phase, Results, Tick, VERSION,
    Verdict,
};
use chat_target::{Interrupt, environment};
use chat_trace::{Conviction, Kept, Payloads, Strangers, Topology, Trace, recording};

use crate::conduct::{Departure, not_tested, violations};
use crate::failure::Failure;
use crate::limits::{check_descriptors, check_load};
use crate::monitor::{Monitor, OwnUse};
use crate::subject::Subject;
use crate::target::Target;
use crate::totals::Totals;

/// Loads a server, and returns what was found. Nobody watches; [`Run`] has more to say.
///
/// # Errors
///
/// When there is nothing to measure: the load makes no sense, the server does not start.
pub fn run(target: Target, load: Load) -> Result<Measured, Failure> {
    Run::new(target, load).measure(&mut ())
}

/// A run that has not begun.
#[derive(Debug)]
pub struct Run<'a> {
    target: Target,
    load: Load,
    interrupt: Interrupt,
    record: Option<Recorder<'a>>,
}

impl<'a> Run<'a> {
    /// Makes a run of a load on a target.
    pub fn new(target: Target, load: Load) -> Self {
        Self {
            target,
            load,
            interrupt: Interrupt::never(),
            record: None,
        }
    }

    /// Has the run end early when a signal asks to stop.
    #[must_use]
    pub fn with_interrupt(mut self, interrupt: &Interrupt) -> Self {
        self.interrupt = interrupt.clone();
        self
    }

    /// Has all that a verdict needs written to `out`, to [`recheck`](crate::recheck) it later. What
    /// goes wrong there ends no run, see [`Measured::unrecorded`].
    #[must_use]
    pub fn with_record(mut self, out: &'a mut dyn Write) -> Self {
        let writer = recording::Writer::begin(out, Topology::of(&self.load));
        self.record = Some(Recorder { writer });
        self
    }

    /// Runs it, and tells `observer` how far it is. A server that was started has ended when this
    /// returns.
    ///
    /// # Errors
    ///
    /// When there is nothing to measure: the load makes no sense, the server does not start.
    pub fn measure(self, observer: &mut dyn Observer) -> Result<Measured, Failure> {
        let Self {
            target,
            load,
            interrupt,
            record: mut recorder,
        } = self;
        check_load(&load)?;
        let what = (target.to_string(), environment());
        let strangers = strangers(&target, &load);
        let is_executable = matches!(target, Target::Launch(_));
        observer.waiting("waiting for the server to get ready");
        let (subject, addr) = Subject::start(target, load.timeout, &interrupt)?;
        // Not before the start, or the server would inherit what it should ask for itself.
        check_descriptors(load.connection_count_max())?;
        let monitor = Monitor::new(subject.usage(), observer, load);
        let topology = Topology::of(&load);
        let payloads = Payloads::new(load.seed, load.size);
        let trace = Trace::new(payloads, topology, load.check, strangers);
        let mut repetitions = Repetitions {
            load,
            bench: Bench::new(addr, Chat, trace).map_err(Failure::Poll)?,
            subject,
            interrupt,
            monitor,
            totals: Totals::default(),
        };
        let failure = repetitions.play_all(recorder.as_mut()).err();
        let mut results = repetitions.results(what, failure.as_ref());
        let departure = repetitions.end(addr);
        results.not_tested = not_tested(&load, &repetitions.bench.conduct, is_executable);
        // Of a server that is not at its end, these would not tell.
        if failure.is_none() {
            let conduct = &repetitions.bench.conduct;
            results.violations = violations(conduct, departure.as_ref(), load.timeout);
        }
        let failure = failure.or_else(|| Failure::of_violations(&results.violations));
        if let (Some(departure), Some(failure)) = (&departure, &failure) {
            repetitions.tell_last_words(departure, failure);
        }
        results.verdict = verdict(
            &results,
            failure.as_ref().map(Failure::verdict),
            Complaints::default(),
            None,
        );
        Ok(Measured {
            results,
            latencies: repetitions.bench.latencies,
            failure,
            unrecorded: recorder.and_then(Recorder::end),
        })
    }
}

/// What a run has brought.
#[derive(Debug)]
pub struct Measured {
    /// What was found until the end, or as far as the run came. Its verdict is that of the run
    /// alone: there are no thresholds and no earlier run.
    pub results: Results,
    /// How long things took, as whole distributions.
    pub latencies: Latencies,
    /// Why the run ended early, if it did.
    pub failure: Option<Failure>,
    /// Why the run could not be recorded, if it was to be.
    pub unrecorded: Option<io::Error>,
}

impl Measured {
    /// Asserts, for a test, that the run came to its end and one order of all messages explains what
    /// every client received.
    ///
    /// Drops of whole messages are allowed, see [`Drops`](chat_results::Drops) for how many there
    /// were. That the load tester itself was the limit is allowed, too: it says nothing of the order.
    ///
    /// # Panics
    ///
    /// When it is not so. The message is the story of how the promise was broken, or of why nobody
    /// can tell, with the seed that repeats it.
    #[track_caller]
    pub fn assert_proved(&self) {
        let Asked { server, load, .. } = &self.results.asked;
        let failure = self.failure.as_ref();
        if let Some(failure) = failure.filter(|it| !matches!(it, Failure::Misbehaved(_))) {
            panic!("{server}: {failure} (seed {})", load.seed);
        }
        assert!(
            matches!(self.results.order, Order::Proved { .. }),
            "{server}: the order is not proved, but {} (seed {})",
            self.results.order.word(),
            load.seed
        );
    }

    /// Asserts, for a test, that the server kept all rules of the specification that the run tested:
    /// those of the order, as [`assert_proved`](Self::assert_proved) does, and those on leaving, on
    /// standard output and on the end after SIGTERM.
    ///
    /// # Panics
    ///
    /// When it is not so. The message says which rule was broken, and how.
    #[track_caller]
    pub fn assert_kept(&self) {
        self.assert_proved();
        if let Some(violation) = self.results.violations.first() {
            panic!("{}: {violation}", self.results.asked.server);
        }
    }
}

/// Repetitions under way.
struct Repetitions<'a> {
    load: Load,
    bench: Bench,
    subject: Subject,
    interrupt: Interrupt,
    monitor: Monitor<'a>,
    totals: Totals,
}

impl Repetitions<'_> {
    fn play_all(&mut self, mut recorder: Option<&mut Recorder<'_>>) -> Result<(), Failure> {
        for iteration in 0..self.load.repetitions {
            self.monitor.begin(iteration)?;
            let (count, stop) = self.play(iteration);
            if let Some(recorder) = &mut recorder {
                recorder.add(&self.bench.trace);
            }
            self.judge(iteration, count, stop)?;
            self.totals.complete();
            self.monitor.completed(&count)?;
        }
        Ok(())
    }

    fn play(&mut self, iteration: u32) -> (Count, Option<Stop>) {
        let Self {
            load,
            bench,
            subject,
            interrupt,
            monitor,
            totals,
        } = self;
        let number = u16::try_from(iteration).expect("the repetitions were checked");
        bench.trace.begin(number);
        let Ended { count, stop } = chat_load::run(load, bench, &mut |tick| {
            if interrupt.is_interrupted() {
                return Err(Stop::Interrupted);
            }
            if subject.has_ended() {
                return Err(Stop::ServerEnded);
            }
            monitor.tick(&tick);
            Ok(())
        });
        totals.add(count, &bench.trace);
        (count, stop)
    }

    /// Decides what a repetition comes to.
    fn judge(&mut self, iteration: u32, count: Count, stop: Option<Stop>) -> Result<(), Failure> {
        let Bench {
            trace, latencies, ..
        } = &self.bench;
        self.monitor.tick(&Tick {
            phase: Phase::Verdict,
            elapsed: Duration::ZERO,
            open: 0,
            count,
            lost: trace.receivers().lost(),
            p99: latencies.delivery_p99(),
            p99_since: None,
        });
        // A broken promise outweighs whatever ended the repetition.
        let kept = trace.evidence().verdict().map_err(|conviction| {
            self.monitor.violated(&conviction);
            Failure::Broken {
                iteration,
                conviction,
            }
        })?;
        self.totals.keep(kept);
        if count.is_cut {
            self.monitor.note("the load ended early, since no more deliveries can be recorded; --check basic records none");
        }
        // The verdict takes its time, and a signal may have come meanwhile.
        let stop = stop.or_else(|| {
            let is_interrupted = self.interrupt.is_interrupted();
            is_interrupted.then_some(Stop::Interrupted)
        });
        stop.map_or(Ok(()), |stop| {
            Err(self.stopped(stop, iteration, count, kept))
        })
    }

    /// Tells why a repetition ended early.
    fn stopped(&mut self, stop: Stop, iteration: u32, count: Count, kept: Kept) -> Failure {
        match stop {
            Stop::Interrupted => Failure::Interrupted {
                iteration,
                delivered: count.own_delivered,
                sent: count.own_sent,
                kept,
            },
            stop => self
                .subject
                .death()
                .map_or(Failure::Stopped { iteration, stop }, Failure::Server),
        }
    }

    /// Returns what was found, and tells what is odd and breaks no promise.
    fn results(
        &mut self,
        (server, environment): (String, Environment),
        failure: Option<&Failure>,
    ) -> Results {
        self.note_oddities();
        let order = match failure {
            Some(Failure::Broken {
                iteration,
                conviction: Conviction { class, story },
            }) => Order::Broken {
                iteration: *iteration,
                class: (*class).to_owned(),
                story: story.clone(),
            },
            _ => self.totals.order(),
        };
        let mut results = Results {
            version: VERSION,
            asked: Asked {
                server,
                environment,
                load: self.load,
            },
            counts: self.totals.counts(),
            drops: self.totals.drops(Topology::of(&self.load)),
            latency: self.bench.latencies.summary(),
            order,
            server: self.monitor.seen(self.totals.read()),
            health: self.health(),
            isolation: None,
            timeline: self.monitor.take_timeline(),
            curves: self.bench.latencies.curves(),
            violations: Vec::new(),
            not_tested: Vec::new(),
            verdict: Verdict::Passed,
        };
        results.health.bound_by = bound_by(&results);
        results
    }

    fn note_oddities(&mut self) {
        let passed_over = self.bench.trace.passed_over();
        if passed_over > 0 {
            self.monitor.note(&format!(
                "{passed_over} messages were passed over that none of these clients had sent; if nobody else uses the server, it made \
                 them up"
            ));
        }
    }

    /// Tells how well this process did.
    fn health(&self) -> Health {
        let OwnUse { time, cpu, wait } = self.monitor.own_use();
        let (pause_count, paused, untimed_count) = self.totals.pauses();
        let deliveries = self.totals.read();
        let per_delivery = cpu.as_secs_f64() * 1e6 / deliveries as f64;
        Health {
            achieved: self.totals.achieved(&self.load),
            missed: self.totals.missed(),
            lateness: self.bench.latencies.lateness(),
            cpu: if time.is_zero() {
                0.0
            } else {
                cpu.as_secs_f64() / time.as_secs_f64()
            },
            cpu_us_per_delivery: (deliveries > 0).then_some(per_delivery),
            observed_s: time.as_secs_f64(),
            pause_count,
            paused_s: paused.as_secs_f64(),
            untimed_count,
            processor_wait: wait.unwrap_or_default(),
            ..Health::default()
        }
    }

    /// Tells what the server printed last on standard error, unless the failure tells it itself.
    fn tell_last_words(&mut self, departure: &Departure, failure: &Failure) {
        let lines = departure.lines.stderr();
        let tells_itself = matches!(failure, Failure::Server(_) | Failure::Interrupted { .. });
        if !tells_itself && !lines.is_empty() {
            self.monitor.note(&format!(
                "the last that the server printed on stderr:\n  {}",
                lines.join("\n  ")
            ));
        }
    }

    /// Ends the server, if it was started for the run, and returns how it ended.
    fn end(&mut self, addr: SocketAddr) -> Option<Departure> {
        let departure = self.subject.end(self.load.timeout);
        if departure.is_some() && TcpStream::connect_timeout(&addr, STILL_LISTENING_WAIT).is_ok() {
            self.monitor.note(&format!(
                "something still listens on {addr}, though the server's process group has been ended: did it leave the group?"
            ));
        }
        departure
    }
}

/// Records the repetitions.
struct Recorder<'a> {
    /// The first error ends the recording, and is told at the end.
    writer: io::Result<recording::Writer<&'a mut dyn Write>>,
}

impl Recorder<'_> {
    fn add(&mut self, trace: &Trace) {
        if let Ok(writer) = &mut self.writer
            && let Err(error) = writer.add(trace.evidence())
        {
            self.writer = Err(error);
        }
    }

    /// Ends the recording, and returns what went wrong.
    fn end(self) -> Option<io::Error> {
        self.writer.and_then(recording::Writer::end).err()
    }
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// Tells whether anybody else sends messages to the server.
fn strangers(target: &Target, load: &Load) -> Strangers {
    match target {
        Target::Launch(_) | Target::Served(_) => Strangers::None,
        // The lowest bits of a seed are as random as any.
        Target::Running(_) => {
            let [low, high, ..] = load.seed.to_le_bytes();
            let first_run = u16::from_le_bytes([low, high]);
            Strangers::Possible { first_run }
        }
    }
}

/// How long it is tried to connect to a server that is gone. A judgement: long for a machine of
/// one's own.
const STILL_LISTENING_WAIT: Duration = Duration::from_millis(200);
