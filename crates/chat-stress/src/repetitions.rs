//! The repetitions of a run, one after the other.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use chat_load::{Addrs, Bench, Ended, Protocol, Stop};
use chat_results::judge::{CPU_RESOLUTION_US, bound_by};
use chat_results::{
    Asked, Count, Health, Load, Order, Phase, Repetition, Results, Tick, VERSION, Verdict,
};
use chat_target::Interrupt;
use chat_trace::{Conviction, Kept, Topology};

use crate::conduct::Departure;
use crate::failure::Failure;
use crate::monitor::{Monitor, OwnUse};
use crate::recorder::Recorder;
use crate::subject::Subjects;
use crate::totals::Totals;
use crate::whereabouts::whereabouts;

/// Repetitions under way.
pub(crate) struct Repetitions<'a, P> {
    pub(crate) load: Load,
    pub(crate) bench: Bench<P>,
    pub(crate) subject: Subjects,
    pub(crate) interrupt: Interrupt,
    pub(crate) monitor: Monitor<'a>,
    pub(crate) totals: Totals,
    /// The figures of each repetition.
    pub(crate) samples: Vec<Repetition>,
    /// Processor time of the server in microseconds, and deliveries, when they were sampled last.
    pub(crate) sampled: (f64, u64),
}

impl<P: Protocol + Copy> Repetitions<'_, P> {
    pub(crate) fn play_all(
        &mut self,
        mut recorder: Option<&mut Recorder<'_>>,
    ) -> Result<(), Failure> {
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
                .filter(|cpu_us| read > read_before && *cpu_us >= CPU_RESOLUTION_US)
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
            let topology = Topology::of(&self.load);
            if let Some(servers) = whereabouts(&conviction.story, topology, self.bench.addrs()) {
                self.monitor.note(&servers);
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
    pub(crate) fn results(&mut self, asked: Asked, failure: Option<&Failure>) -> Results {
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
            asked,
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

    /// Tells what the servers printed last on standard error, unless the failure tells it itself.
    pub(crate) fn tell_last_words(&mut self, departures: &[Departure], failure: &Failure) {
        if matches!(failure, Failure::Server(_) | Failure::Interrupted { .. }) {
            return;
        }
        for (number, departure) in (1..).zip(departures) {
            let which = match departures.len() {
                1 => "the server".to_owned(),
                _ => format!("server {number}"),
            };
            let lines = departure.lines.stderr();
            if !lines.is_empty() {
                self.monitor.note(&format!(
                    "the last that {which} printed on stderr:\n  {}",
                    lines.join("\n  ")
                ));
            }
        }
    }

    /// Ends the servers that were started for the run, and returns how they ended.
    pub(crate) fn end(&mut self, addrs: &Addrs) -> Vec<Departure> {
        let departures = self.subject.end(self.load.timeout);
        // Where there are others, they run already.
        if departures.len() == addrs.count() {
            for addr in addrs.iter().filter(|addr| is_listening(*addr)) {
                self.monitor.note(&format!(
                    "something still listens on {addr}, though the server's process group has been ended: did it leave the group?"
                ));
            }
        }
        for error in departures.iter().filter_map(|it| it.log_error.as_ref()) {
            self.monitor.note(&format!(
                "the server's log could not be written to its end: {error}"
            ));
        }
        departures
    }
}

/// Tells whether something listens on an address.
pub(crate) fn is_listening(addr: SocketAddr) -> bool {
    TcpStream::connect_timeout(&addr, LISTENING_WAIT).is_ok()
}

/// How long it is tried to connect to a server that may be gone. A judgement: long for a machine of
/// one's own.
const LISTENING_WAIT: Duration = Duration::from_millis(200);
