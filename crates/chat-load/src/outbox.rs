//! Messages on their way to a socket.

use chat_trace::{Kind, Sent, Times, Trace, UNFINISHED_BYTE};

use crate::protocol::Protocol;

/// Makes messages that are sent together. All clients share it, one after the other.
#[derive(Debug)]
pub(crate) struct Outbox<P> {
    protocol: P,
    /// What is being sent.
    wire: Vec<u8>,
    /// How the burst that is being made arrives, where that differs.
    arriving: Vec<u8>,
    /// Where each message of that ends.
    ends: Vec<u32>,
}

impl<P: Protocol> Outbox<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            protocol,
            wire: Vec::new(),
            arriving: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Forgets what was sent.
    pub(crate) fn clear(&mut self) {
        self.wire.clear();
    }

    /// Adds what a client says as soon as it is connected.
    pub(crate) fn open(&mut self) {
        self.protocol.open(&mut self.wire);
    }

    /// Adds the next `count` messages that `client` sends. Returns the number behind the last.
    pub(crate) fn add(
        &mut self,
        trace: &mut Trace,
        client: usize,
        kind: Kind,
        count: u32,
        times: Times,
    ) -> u32 {
        let Self {
            protocol,
            wire,
            arriving,
            ends,
        } = self;
        let start = wire.len();
        arriving.clear();
        ends.clear();
        let Sent { place, end } = trace.send(client, kind, count, times, |body| {
            protocol.encode(body, wire);
            let len = if P::ARRIVES_AS_SENT {
                wire.len() - start
            } else {
                protocol.encode_arrival(body, arriving);
                arriving.len()
            };
            ends.push(u32::try_from(len).expect("a burst is shorter than that"));
        });
        let burst = if P::ARRIVES_AS_SENT {
            &wire[start..]
        } else {
            arriving
        };
        trace.remember(client, place, burst, ends);
        end
    }

    /// Returns what a client says first, and the beginning of a message.
    pub(crate) fn unfinished(&mut self) -> &[u8] {
        self.clear();
        self.open();
        let start = self.wire.len();
        self.protocol
            .encode(&[UNFINISHED_BYTE; UNFINISHED_LEN], &mut self.wire);
        self.wire.truncate(start + (self.wire.len() - start) / 2);
        &self.wire
    }

    /// Returns what is being sent.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }
}

/// Length in bytes of the body of a message whose end is never sent. A judgement: longer than most,
/// so that what follows it would be taken for a part of it.
const UNFINISHED_LEN: usize = 200;
