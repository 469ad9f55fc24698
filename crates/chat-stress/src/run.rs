//! A whole run: the server, the repetitions, the results.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use chat_load::{Bench, Chat, Ended, Mqtt, Nats, Protocol, Redis, Stop};
use chat_results::judge::{Complaints, bound_by, verdict};
use chat_results::{
    Asked, Count, Environment, Health, Load, Observer, Order, Phase, Repetition, Results, Tick,
    VERSION, Verdict,
};
use chat_target::{Interrupt, environment};
use chat_trace::{Conviction, Kept, Payloads, Strangers, Topology, Trace};

use crate::conduct::{Departure, End, not_tested, violations};
use crate::failure::Failure;
use crate::known::ProtocolName;
use crate::limits::{check_descriptors, check_load};
use crate::measured::Measured;
use crate::monitor::{Monitor, OwnUse};
use crate::recorder::Recorder;
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
    protocol: ProtocolName,
    interrupt: Interrupt,
    record: Option<Recorder<'a>>,
}

impl<'a> Run<'a> {
    /// Makes a run of a load on a target.
    pub fn new(target: Target, load: Load) -> Self {
        Self {
            target,
            load,
            protocol: ProtocolName::Chat,
            interrupt: Interrupt::never(),
            record: None,
        }
    }

    /// Has the run speak another protocol than that of the chat.
    #[must_use]
    pub fn with_protocol(mut self, protocol: ProtocolName) -> Self {
        self.protocol = protocol;
        self
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
        self.record = Some(Recorder::begin(out, Topology::of(&self.load)));
        self
    }

    /// Runs it, and tells `observer` how far it is. A server that was started has ended when this
    /// returns.
    ///
    /// # Errors
    ///
    /// When there is nothing to measure: the load makes no sense, the server does not start.
    pub fn measure(self, observer: &mut dyn Observer) -> Result<Measured, Failure> {
        match self.protocol {
            ProtocolName::Chat => self.measure_in(Chat, observer),
            ProtocolName::Nats => self.measure_in(Nats, observer),
            ProtocolName::Redis => self.measure_in(Redis, observer),
            ProtocolName::Mqtt => self.measure_in(Mqtt, observer),
        }
    }

    fn measure_in<P: Protocol + Copy>(
        self,
        protocol: P,
        observer: &mut dyn Observer,
    ) -> Result<Measured, Failure> {
        let Self {
            target,
            load,
            protocol: protocol_name,
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
            bench: Bench::new(addr, protocol, trace).map_err(Failure::Poll)?,
            subject,
            interrupt,
            monitor,
            totals: Totals::default(),
            samples: Vec::new(),
            sampled: (0.0, 0),
        };
        let failure = repetitions.play_all(recorder.as_mut()).err();
        let mut results = repetitions.results(what, failure.as_ref());
        let departure = repetitions.end(addr);
        results.not_tested = not_tested(
            &load,
            &repetitions.bench.conduct,
            is_executable,
            protocol_name,
        );
        // Other protocols know none of these rules.
        if protocol_name == ProtocolName::Chat {
            let end = failure.as_ref().map_or(End::Orderly, |_| End::Early);
            let conduct = &repetitions.bench.conduct;
            results.violations = violations(conduct, departure.as_ref(), end, load.timeout);
        }
        let failure = Failure::with_violations(failure, &results.violations);
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

/// Repetitions under way.
struct Repetitions<'a, P> {
    load: Load,
    bench: Bench<P>,
    subject: Subject,
    interrupt: Interrupt,
    monitor: Monitor<'a>,
    totals: Totals,
    /// The figures of each repetition.
    samples: Vec<Repetition>,
    /// Processor time of the server in microseconds, and deliveries, when they were sampled last.
    sampled: (f64, u64),
}

impl<P: Protocol + Copy> Repetitions<'_, P> {
    fn play_all(&mut self, mut recorder: Option<&mut Recorder<'_>>) -> Result<(), Failure> {
        for iteration in 0..self.load.repetitions {
            self.monitor.begin(iteration)?;
            let (count, stop) = self.play(iteration);
            if let Some(recorder) = &mut recorder {
                recorder.add(&self.bench.trace);
            }
            self.judge(iteration, count, stop)?;
            self.totals.complete();
            if self.load.repetitions > 1 {
                self.keep_sample(&count);
            }
            self.monitor.completed(&count)?;
        }
        Ok(())
    }

    /// Keeps the figures of a repetition.
    fn keep_sample(&mut self, count: &Count) {
        let delivery = self.bench.latencies.delivery_since();
        let read = self.totals.read();
        let seen = self.monitor.seen(read);
        let cpu_us = seen.and_then(|seen| Some(seen.cpu_us_per_delivery? * read as f64));
        let (cpu_us_before, read_before) = self.sampled;
        self.sampled = (cpu_us.unwrap_or(cpu_us_before), read);
        let time = count.measured_time.as_secs_f64();
        self.samples.push(Repetition {
            deliveries_per_s: (time > 0.0).then(|| count.measured as f64 / time),
            p50_us: delivery.map(|it| it.p50),
            p99_us: delivery.map(|it| it.p99),
            cpu_us_per_delivery: cpu_us
                .map(|cpu_us| cpu_us - cpu_us_before)
                // With fewer ticks of its clock, it is off by more than a tenth.
                .filter(|cpu_us| read > read_before && *cpu_us >= SAMPLE_CPU_MIN_US)
                .map(|cpu_us| cpu_us / (read - read_before) as f64),
        });
    }

    fn play(&mut self, iteration: u32) -> (Count, Option<Stop>) {
        let Self {
            load,
            bench,
            subject,
            interrupt,
            monitor,
            totals,
            ..
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
            let hint = conviction.hint();
            self.monitor
                .note(&format!("this is usually caused by {hint}"));
            if let Some(connection) = &self.bench.conduct.broken_at {
                self.monitor.note(connection);
            }
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
            samples: std::mem::take(&mut self.samples),
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

/// How much processor time a server took at least in a repetition from which that per delivery is told.
const SAMPLE_CPU_MIN_US: f64 = 100_000.0;
