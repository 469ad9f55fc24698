//! The messages of all nodes in their order, on their way from the stream to a log.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use chat_proto::Messages;
use tokio::sync::mpsc;

use crate::Own;

/// Messages that stand next in the log of every node.
#[derive(Debug)]
pub struct Delivery {
    entry: Bytes,
    /// Where the messages begin in the entry.
    start: usize,
    own: Option<Own>,
}

/// The messages of all nodes in their order. They end when the member's life is over.
#[derive(Debug)]
pub struct Deliveries {
    receiver: mpsc::Receiver<Delivery>,
}

/// How many batches wait to be taken before the stream is not read. Judgement: 1 MiB.
pub const DELIVERY_COUNT_MAX: usize = 16;

pub(super) fn channel() -> (mpsc::Sender<Delivery>, Deliveries) {
    let (sender, receiver) = mpsc::channel(DELIVERY_COUNT_MAX);
    (sender, Deliveries { receiver })
}

impl Delivery {
    /// Makes one of an entry that ends with so many bytes of messages.
    pub(super) fn new(entry: Bytes, messages_len: usize, own: Option<Own>) -> Self {
        let start = entry.len() - messages_len;
        Self { entry, start, own }
    }

    /// Returns the messages, at least one.
    pub fn messages(&self) -> Messages<'_> {
        Messages::split(&self.entry[self.start..]).0
    }

    /// Returns which of the member's own they are, if they are.
    pub fn own(&self) -> Option<&Own> {
        self.own.as_ref()
    }
}

impl Deliveries {
    /// Waits for the next messages; `None` when the member's life is over.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for the next messages, as [`next`](Self::next) does.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.receiver.poll_recv(cx)
    }
}
