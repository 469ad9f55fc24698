//! A whole run: the server, the repetitions, the results.

use std::io::Write;

use chat_load::{Bench, Chat, Mqtt, Nats, Protocol, Redis, Stop};
use chat_results::judge::{Complaints, verdict};
use chat_results::{Asked, Load, Observer};
use chat_target::{Interrupt, environment};
use chat_tls::Tls;
use chat_trace::{Payloads, Strangers, Topology, Trace};

use crate::conduct::{End, not_tested, violations};
use crate::failure::Failure;
use crate::known::ProtocolName;
use crate::limits::{check_descriptors, check_load};
use crate::measured::Measured;
use crate::monitor::Monitor;
use crate::recorder::Recorder;
use crate::repetitions::{Repetitions, is_listening};
use crate::subject::Subjects;
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
    tls: Option<Tls>,
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
            tls: None,
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

    /// Has all clients connect over TLS. An executable has to tell where it speaks TLS, see
    /// [`Convention::ChatOverTls`](crate::Convention::ChatOverTls).
    #[must_use]
    pub fn over_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
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
            tls,
            interrupt,
            record: mut recorder,
        } = self;
        check_load(&load)?;
        let way = if tls.is_some() { ", over TLS" } else { "" };
        let asked = Asked {
            server: format!("{target}{way}"),
            server_count: u32::try_from(target.server_count()).unwrap_or(u32::MAX),
            environment: environment(),
            load,
        };
        let strangers = strangers(&target, &load);
        let is_executable = target.all(|target| matches!(target, Target::Launch(_)));
        observer.waiting("waiting for the server to get ready");
        let (subject, addrs) = Subjects::start(target, load.timeout, &interrupt)?;
        // Not before the start, or the server would inherit what it should ask for itself.
        check_descriptors(load.connection_count_max())?;
        let monitor = Monitor::new(subject.usages(&addrs), observer, load);
        let topology = Topology::of(&load);
        let payloads = Payloads::new(load.seed, load.size);
        let trace = Trace::new(payloads, topology, load.check, strangers);
        let bench = Bench::new(addrs.clone(), protocol, trace).map_err(Failure::Poll)?;
        let mut repetitions = Repetitions {
            load,
            bench: match tls {
                None => bench,
                Some(tls) => bench.over_tls(tls),
            },
            subject,
            interrupt,
            monitor,
            totals: Totals::default(),
            samples: Vec::new(),
            sampled: (0.0, 0),
        };
        let failure = repetitions.play_all(recorder.as_mut()).err();
        let mut results = repetitions.results(asked, failure.as_ref());
        let cut_off = failure.as_ref().and_then(Failure::cut_off);
        // A server that is gone cuts off everybody.
        let cut_off = cut_off
            .filter(|_| addrs.iter().all(is_listening))
            .map(Stop::to_string);
        let departures = repetitions.end(&addrs);
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
            let ended = (&*departures, end);
            results.violations = violations(conduct, cut_off, ended, load.timeout);
        }
        let failure = Failure::with_violations(failure, &results.violations);
        if let Some(failure) = &failure {
            repetitions.tell_last_words(&departures, failure);
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

/// Tells whether anybody else sends messages to the server.
fn strangers(target: &Target, load: &Load) -> Strangers {
    if target.all(|target| !matches!(target, Target::Running(_))) {
        return Strangers::None;
    }
    // The lowest bits of a seed are as random as any.
    let [low, high, ..] = load.seed.to_le_bytes();
    let first_run = u16::from_le_bytes([low, high]);
    Strangers::Possible { first_run }
}
