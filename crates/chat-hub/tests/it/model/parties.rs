//! Publishers and subscribers, and what the model knows of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use chat_hub::{Batch, Policy, Publisher, Subscriber};
use chat_proto::Messages;

pub(super) struct ModelPublisher {
    pub(super) real: Publisher,
    pub(super) woken: Arc<Flag>,
    pub(super) pending: bool,
}

pub(super) struct ModelSubscriber {
    pub(super) real: Subscriber,
    pub(super) woken: Arc<Flag>,
    pub(super) serving: Serving,
    /// Whether its last read found the end.
    pub(super) ended: bool,
    /// For how many ticks its stream has taken nothing at all.
    pub(super) stalled_ticks: u32,
    /// How much had been published when publishers last waited for it; an index into the log.
    pub(super) awaited_until: usize,
    /// Index into the log: where it joined, and what it reads next.
    pub(super) joined: usize,
    pub(super) next: usize,
    /// Byte position of `next`.
    pub(super) byte_pos: u64,
    /// `byte_pos` when it last called the hub: what it consumed since, the hub has yet to learn.
    pub(super) seen_byte_pos: u64,
    pub(super) limit: Option<usize>,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    /// How many of these no batch has told of yet.
    pub(super) untold: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serving {
    Nobody,
    /// Its last read found nothing: it waits, or was woken.
    Waiting,
    Stalled,
}

/// A batch that was taken, of which `len` bytes were consumed.
pub(super) struct Taken {
    pub(super) dropped: u64,
    pub(super) wire: Vec<u8>,
    pub(super) len: usize,
    pub(super) owed: Vec<u8>,
}

impl Taken {
    /// Consumes `share`/255 of a batch.
    pub(super) fn of(batch: Batch<'_>, share: u8) -> Self {
        let dropped = batch.dropped();
        let wire: Vec<u8> = batch.chunks().flatten().copied().collect();
        assert!(!wire.is_empty() && wire.len() == batch.len());
        let runs: Vec<&[u8]> = batch.messages().map(Messages::as_bytes).collect();
        assert_eq!(runs.concat(), wire);
        let count: usize = batch.messages().map(Messages::count).sum();
        assert_eq!(count as u64, batch.count());
        let len = wire.len() * usize::from(share) / 255;
        let owed = batch.consume(len);
        Self {
            dropped,
            wire,
            len,
            owed,
        }
    }
}

/// A waker that remembers.
#[derive(Default)]
pub(super) struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ModelSubscriber {
    /// Whether publishers wait for it.
    pub(super) fn is_awaited(&self, policy: Policy) -> bool {
        match policy {
            Policy::Block => !self.ended,
            _ => self.serving != Serving::Nobody && !self.real.is_laggard() && !self.ended,
        }
    }

    /// Moves it over messages that the hub dropped, which it did in a call.
    pub(super) fn skip(&mut self, count: usize, log: &[Vec<u8>]) {
        let skipped = &log[self.next..][..count];
        self.byte_pos += skipped
            .iter()
            .map(|message| message.len() as u64)
            .sum::<u64>();
        self.seen_byte_pos = self.byte_pos;
        self.next += count;
        self.dropped += count as u64;
    }

    pub(super) fn deliver(&mut self, count: usize, byte_len: usize) {
        self.next += count;
        self.byte_pos += byte_len as u64;
        self.delivered += count as u64;
    }
}

/// Returns a message whose body tells which one it is, as far as it has room.
pub(super) fn message(number: usize, body_len: u8) -> Vec<u8> {
    let mut wire = vec![body_len];
    wire.extend((0..usize::from(body_len)).map(|i| number.to_le_bytes()[i % 8]));
    wire
}
