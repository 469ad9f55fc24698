//! What becomes of deliveries.

use std::ops::ControlFlow;

use chat_results::Count;
use chat_trace::{Arrival, Kind, Nanos, Run, Topology, Trace};

use crate::latency::Latencies;
use crate::pauses::Pauses;
use crate::protocol::Protocol;
use crate::settle::{Progress, Step};

/// What deliveries go through: they are proved, counted, timed, and let senders go on.
pub(crate) struct Intake<'a, P> {
    protocol: P,
    pub(crate) topology: Topology,
    pub(crate) trace: &'a mut Trace,
    pub(crate) latencies: &'a mut Latencies,
    pub(crate) progress: Progress,
    /// The part of it that deliveries change.
    pub(crate) count: Count,
    /// The senders that may go on; at most one entry each.
    pub(crate) completed: Vec<usize>,
    /// The clients whose own hello message has come back; at most one entry each.
    pub(crate) joined: Vec<usize>,
    pub(crate) has_progressed: bool,
    /// When a load message last arrived.
    pub(crate) loaded_at: Nanos,
    pub(crate) is_broken: bool,
    pub(crate) pauses: Pauses,
}

impl<'a, P: Protocol> Intake<'a, P> {
    pub(crate) fn new(
        protocol: P,
        topology: Topology,
        trace: &'a mut Trace,
        latencies: &'a mut Latencies,
    ) -> Self {
        Self {
            protocol,
            topology,
            trace,
            latencies,
            progress: Progress::new(topology),
            count: Count::default(),
            completed: Vec::new(),
            joined: Vec::new(),
            has_progressed: false,
            loaded_at: 0,
            is_broken: false,
            pauses: Pauses::default(),
        }
    }

    /// Takes the whole messages at the start of what arrived at a client, and returns their length
    /// in bytes. Breaks off when they break the promise: nothing that follows could mend it.
    pub(crate) fn deliver(
        &mut self,
        client: usize,
        bytes: &[u8],
        now: Nanos,
    ) -> ControlFlow<(), usize> {
        self.pauses.look(now);
        let mut rest = bytes;
        loop {
            while let Some(arrival) = self.receive_recent(client, &mut rest) {
                self.arrived(client, arrival, now)?;
            }
            let step = &rest[..rest.len().min(STEP_LEN)];
            let (mut bodies, whole_len) = self.protocol.split(step);
            if whole_len == 0 {
                return ControlFlow::Continue(bytes.len() - rest.len());
            }
            rest = &rest[whole_len..];
            while let Some(arrival) = self.trace.receive(client, &mut bodies) {
                self.arrived(client, arrival, now)?;
            }
        }
    }

    fn receive_recent(&mut self, client: usize, rest: &mut &[u8]) -> Option<Arrival> {
        let body = self.protocol.first_body(rest)?;
        self.trace.receive_recent(client, body, rest)
    }

    fn arrived(&mut self, client: usize, arrival: Arrival, now: Nanos) -> ControlFlow<()> {
        match arrival {
            Arrival::Run(run) => self.take(client, run, now),
            Arrival::Earlier => {}
            Arrival::Broken => {
                self.is_broken = true;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, client: usize, run: Run, now: Nanos) {
        match run.kind {
            Kind::Load => self.take_load(client, run, now),
            Kind::Hello if run.sender == client && self.has_joined(client, run) => {
                self.joined.push(client)
            }
            Kind::Hello | Kind::Probe | Kind::Closing => {}
        }
        match self.progress.settled(client, run, now) {
            Step::None => {}
            Step::Forward => self.has_progressed = true,
            Step::Complete => {
                self.has_progressed = true;
                self.completed.push(run.sender);
            }
        }
    }

    /// Tells whether a client is registered with this run of its own hello messages. A visitor may
    /// leave then, so all must be back.
    fn has_joined(&self, client: usize, run: Run) -> bool {
        if client < self.topology.resident_count() {
            run.before == 0
        } else {
            run.end() == self.trace.sent().of(client).count()
        }
    }

    fn take_load(&mut self, client: usize, run: Run, now: Nanos) {
        self.loaded_at = now;
        let is_received = self.topology.receivers().contains(&client);
        if run.times.is_measured && is_received && self.pauses.are_in_time_since(run.times.intended)
        {
            self.count.untimed += u64::from(run.count);
        } else if run.times.is_measured && is_received {
            self.latencies.arrived(client, run, now);
            if run.ends_burst() {
                let burst = self.trace.burst_mut(run.sender, run.place);
                self.latencies
                    .ended(burst, self.topology.receivers().len(), now);
            }
        }
        let count = u64::from(run.count);
        self.count.read += count;
        if is_received {
            self.count.delivered += count;
            self.count.delivered_bytes += run.byte_len;
            if run.times.is_measured {
                self.count.measured += count;
                self.count.measured_bytes += run.byte_len;
            }
            if self.topology.own_subscribers(run.sender).contains(&client) {
                self.count.own_delivered += count;
            }
        }
    }
}

/// How many bytes are checked in the slow way before the fast one is tried again. A judgement: some
/// ten of the longest messages.
const STEP_LEN: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use chat_proto::Messages;
    use chat_results::{BodyLens, Check};
    use chat_trace::recording::Writer;
    use chat_trace::{Arrived, Payloads, Strangers, Times};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::outbox::Outbox;
    use crate::protocol::Chat;

    const TOPOLOGY: Topology = Topology {
        publishers: 2,
        subscribers: 1,
        slow: 0,
        publishers_read: true,
    };

    /// What a server does to a message of its stream to a client.
    #[derive(Clone, Copy, Debug)]
    enum Deed {
        Drop,
        Repeat,
        SwapWithNext,
        FlipBit(usize),
        CutByte,
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            6 => Just(Deed::Drop),
            1 => Just(Deed::Repeat),
            2 => Just(Deed::SwapWithNext),
            1 => (0..2048_usize).prop_map(Deed::FlipBit),
            1 => Just(Deed::CutByte),
        ]
    }

    fn do_to(messages: &mut Vec<Vec<u8>>, place: usize, deed: Deed) {
        let place = place % messages.len();
        match deed {
            Deed::Drop => drop(messages.remove(place)),
            Deed::Repeat => messages.insert(place, messages[place].clone()),
            Deed::SwapWithNext if place + 1 < messages.len() => messages.swap(place, place + 1),
            Deed::SwapWithNext => {}
            Deed::FlipBit(bit) => {
                // The header stays, so that the messages behind are what they are.
                let body = &mut messages[place][1..];
                let bit = bit % (8 * body.len());
                body[bit / 8] ^= 1 << (bit % 8);
            }
            Deed::CutByte => {
                messages[place].pop();
                messages[place][0] -= 1;
            }
        }
        if messages.is_empty() {
            messages.push([&[20][..], &[0; 20]].concat());
        }
    }

    /// Sends bursts, delivers `stream` of them to client 2 in pieces of `piece_len`, and returns
    /// all that is known of it afterwards.
    fn outcome(
        bursts: &[(usize, u32)],
        deeds: &[(usize, Deed)],
        piece_len: usize,
        check: Check,
        change: fn(&mut Trace),
    ) -> (Result<Vec<u8>, String>, u64, u64) {
        let mut trace = Trace::new(
            Payloads::new(3, BodyLens::ALL),
            TOPOLOGY,
            check,
            Strangers::None,
        );
        trace.begin(1);
        let mut outbox = Outbox::new(Chat);
        for &(publisher, count) in bursts {
            let times = Times {
                intended: 1,
                sent: 1,
                is_measured: true,
            };
            outbox.add(&mut trace, publisher, Kind::Load, count, times);
        }
        change(&mut trace);
        let header_and_body =
            |body: chat_proto::Body<'_>| [&[body.header()][..], body.as_bytes()].concat();
        let mut messages: Vec<Vec<u8>> = Messages::split(outbox.wire())
            .0
            .iter()
            .map(header_and_body)
            .collect();
        deeds
            .iter()
            .for_each(|&(place, deed)| do_to(&mut messages, place, deed));
        let stream = messages.concat();

        let mut latencies = Latencies::default();
        let mut intake = Intake::new(Chat, TOPOLOGY, &mut trace, &mut latencies);
        let mut unfinished = Vec::new();
        for piece in stream.chunks(piece_len) {
            unfinished.extend_from_slice(piece);
            match intake.deliver(2, &unfinished, 5) {
                ControlFlow::Continue(len) => drop(unfinished.drain(..len)),
                ControlFlow::Break(()) => break,
            }
        }
        let Count {
            delivered,
            delivered_bytes,
            ..
        } = intake.count;
        // How much of a run is recorded that breaks the promise depends on how much there was, but
        // not what is wrong with it.
        let verdict = trace
            .evidence()
            .verdict()
            .map_err(|conviction| conviction.to_string())
            .map(|_| {
                let mut writer = Writer::begin(Vec::new(), TOPOLOGY).unwrap();
                writer.add(trace.evidence()).unwrap();
                writer.end().unwrap()
            });
        (verdict, delivered, delivered_bytes)
    }

    /// A protocol in which messages arrive with a letter before the header.
    #[derive(Clone, Copy)]
    struct Lettered;

    #[derive(Clone)]
    struct Letters<'a>(&'a [u8]);

    impl<'a> Iterator for Letters<'a> {
        type Item = Arrived<'a>;

        fn next(&mut self) -> Option<Arrived<'a>> {
            let [b'm', len, rest @ ..] = self.0 else {
                return None;
            };
            let body = rest.get(..usize::from(*len))?;
            self.0 = &rest[body.len()..];
            let message_len = 2 + body.len();
            Some(Arrived { body, message_len })
        }
    }

    impl Protocol for Lettered {
        type Bodies<'a> = Letters<'a>;

        const ARRIVES_AS_SENT: bool = false;

        fn open(&self, _wire: &mut Vec<u8>) {}

        fn encode(&self, body: &[u8], wire: &mut Vec<u8>) {
            Chat.encode(body, wire);
        }

        fn encode_arrival(&self, body: &[u8], wire: &mut Vec<u8>) {
            wire.push(b'm');
            self.encode(body, wire);
        }

        fn split<'a>(&self, bytes: &'a [u8]) -> (Letters<'a>, usize) {
            let bodies = Letters(bytes);
            let len = bodies.clone().map(|arrived| arrived.message_len).sum();
            (bodies, len)
        }

        fn first_body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
            bytes.get(2..)
        }
    }

    #[test]
    fn messages_that_arrive_in_another_form_are_compared_in_that() {
        for (piece_len, is_remembered) in [(1, true), (7, false), (10_000, true), (10_000, false)] {
            let payloads = Payloads::new(3, BodyLens::ALL);
            let mut trace = Trace::new(payloads, TOPOLOGY, Check::Full, Strangers::None);
            trace.begin(1);
            let mut outbox = Outbox::new(Lettered);
            let times = Times {
                intended: 1,
                sent: 1,
                is_measured: true,
            };
            outbox.add(&mut trace, 0, Kind::Load, 20, times);
            let mut stream = Vec::new();
            for body in Messages::split(outbox.wire()).0.iter() {
                Lettered.encode_arrival(body.as_bytes(), &mut stream);
            }
            if !is_remembered {
                trace.forget_recent();
            }
            let mut latencies = Latencies::default();
            let mut intake = Intake::new(Lettered, TOPOLOGY, &mut trace, &mut latencies);
            let mut unfinished = Vec::new();
            for piece in stream.chunks(piece_len) {
                unfinished.extend_from_slice(piece);
                match intake.deliver(2, &unfinished, 5) {
                    ControlFlow::Continue(len) => drop(unfinished.drain(..len)),
                    ControlFlow::Break(()) => panic!("it is what was sent"),
                }
            }
            let Count {
                delivered,
                delivered_bytes,
                ..
            } = intake.count;
            assert_eq!((delivered, delivered_bytes), (20, stream.len() as u64));
            assert!(trace.evidence().verdict().is_ok());
        }
    }

    proptest! {
        #[test]
        fn what_is_compared_with_what_was_sent_has_the_same_outcome_as_what_is_drawn_again(
            bursts in vec((0..2_usize, 1..30_u32), 1..10),
            deeds in vec((0..300_usize, deed()), 0..4),
            piece_len in prop_oneof![1..300_usize, 1000..20_000_usize],
            check in prop_oneof![Just(Check::Basic), Just(Check::Full)],
        ) {
            let fast = outcome(&bursts, &deeds, piece_len, check, |_| ());
            let slow = outcome(&bursts, &deeds, piece_len, check, Trace::forget_recent);
            prop_assert_eq!(fast, slow);
        }
    }
}
