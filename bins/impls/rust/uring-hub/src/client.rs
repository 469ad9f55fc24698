//! One client.

use std::net::{Shutdown, TcpStream};
use std::task::{Context, Poll, Waker};
use std::{io, mem};

use bytes::Bytes;
use chat_hub::{Hub, Publisher, Subscriber};
use chat_proto::Messages;

use crate::ring::Ring;

pub(crate) struct Client {
    key: usize,
    stream: TcpStream,
    /// Makes it due for a turn.
    waker: Waker,
    publisher: Publisher,
    subscriber: Subscriber,
    /// What was received and is not published: the beginning of a message, or, while the client has to
    /// wait for its turn, whole messages too.
    inbox: Vec<u8>,
    /// What is sent next, before anything else: the rest of a message or of what was sent in part.
    owed: Bytes,
    /// Whether the kernel receives for it.
    is_receiving: bool,
    /// Whether it was told to stop that.
    is_stopping: bool,
    /// Whether the kernel sends for it.
    is_sending: bool,
    /// Whether it has to wait for its turn to publish.
    is_waiting: bool,
    /// Whether it has ended, or its connection has failed.
    is_read: bool,
    /// Whether all is written, and it has been told so, or its connection has failed.
    is_written: bool,
}

impl Client {
    pub(crate) fn new(key: usize, stream: TcpStream, waker: Waker, hub: &Hub) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            key,
            stream,
            waker,
            publisher: hub.publisher(),
            // Before anything of it is read: it gets all from its own first message on.
            subscriber: hub.subscribe(),
            inbox: Vec::new(),
            owed: Bytes::new(),
            is_receiving: false,
            is_stopping: false,
            is_sending: false,
            is_waiting: false,
            is_read: false,
            is_written: false,
        })
    }

    /// Publishes what has been received.
    pub(crate) fn received(&mut self, received: &[u8]) {
        if self.inbox.is_empty() {
            let left = self.publish_front(received);
            self.inbox.extend_from_slice(left);
        } else {
            self.inbox.extend_from_slice(received);
            self.publish_inbox();
        }
    }

    /// Says that nothing more will be received.
    pub(crate) fn received_all(&mut self) {
        self.is_read = true;
    }

    /// Says that the kernel does not receive any more.
    pub(crate) fn receive_ended(&mut self) {
        self.is_receiving = false;
        self.is_stopping = false;
    }

    /// Goes on sending if there is a rest of what was to be sent.
    pub(crate) fn sent(&mut self, rest: Bytes, ring: &mut Ring) -> io::Result<()> {
        self.is_sending = !rest.is_empty();
        if self.is_sending {
            ring.send(self.key, &self.stream, rest)?;
        }
        Ok(())
    }

    /// Says that sending has failed: nothing more is sent or received.
    pub(crate) fn send_failed(&mut self) {
        self.is_sending = false;
        self.fail();
    }

    /// Has what the kernel still does for it end, and forgets what there was to do.
    pub(crate) fn fail(&mut self) {
        (self.is_read, self.is_written) = (true, true);
        (self.is_waiting, self.inbox) = (false, Vec::new());
        self.publisher.pass();
        self.subscriber.end();
        // Its connection may be gone already.
        _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Publishes what had to wait for its turn.
    pub(crate) fn publish(&mut self) {
        if self.is_waiting {
            self.publish_inbox();
        }
        if self.is_read && !self.is_waiting {
            self.subscriber.end_at(self.publisher.position());
        }
    }

    /// Asks the kernel for what is to be done now. Receiving stops while the client has to wait for its
    /// turn, so that the client has to wait, too.
    pub(crate) fn advance(&mut self, ring: &mut Ring) -> io::Result<()> {
        if self.is_receiving && self.is_waiting && !self.is_stopping {
            ring.stop_receiving(self.key)?;
            self.is_stopping = true;
        }
        if !self.is_receiving && !self.is_waiting && !self.is_read {
            ring.receive(self.key, &self.stream)?;
            self.is_receiving = true;
        }
        if !self.is_sending
            && !self.is_written
            && let Some(bytes) = self.next()
        {
            ring.send(self.key, &self.stream, bytes)?;
            self.is_sending = true;
        }
        Ok(())
    }

    /// Whether all is done, and the kernel has nothing of it.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_read && self.is_written && !self.is_receiving && !self.is_sending
    }

    /// Takes what is to be sent next, and tells the client when that was all.
    fn next(&mut self) -> Option<Bytes> {
        if !self.owed.is_empty() {
            return Some(mem::take(&mut self.owed));
        }
        let mut cx = Context::from_waker(&self.waker);
        let bytes = match self.subscriber.poll_batch(&mut cx) {
            Poll::Pending => return None,
            Poll::Ready(Some(batch)) => {
                let mut bytes = batch.shared_chunks().next()?;
                bytes.truncate(SEND_LEN_MAX);
                self.owed = batch.consume(bytes.len()).into();
                Some(bytes)
            }
            Poll::Ready(None) => None,
        };
        if bytes.is_some() {
            // The hub learns how fast the stream is by when the next batch is taken.
            self.subscriber.stall(Waker::noop());
        } else {
            self.is_written = true;
            // Its connection may be gone already.
            _ = self.stream.shutdown(Shutdown::Write);
        }
        bytes
    }

    fn publish_inbox(&mut self) {
        let mut inbox = mem::take(&mut self.inbox);
        let left_len = self.publish_front(&inbox).len();
        if left_len > 0 {
            inbox.drain(..inbox.len() - left_len);
            self.inbox = inbox;
        }
    }

    /// Publishes as much as is whole and may be published now. Returns what is left.
    fn publish_front<'a>(&mut self, received: &'a [u8]) -> &'a [u8] {
        let mut cx = Context::from_waker(&self.waker);
        let (mut messages, rest) = Messages::split(received);
        let published = self.publisher.poll_publish(&mut cx, &mut messages);
        self.is_waiting = published.is_pending();
        let left_len = match published {
            // The server ends, and what comes now is not read.
            Poll::Ready(Err(_)) => 0,
            _ => messages.as_bytes().len() + rest.len(),
        };
        &received[received.len() - left_len..]
    }
}

/// How much is sent at once. A judgement: a segment of the log; the hub learns of the speed of a stream
/// once for each.
const SEND_LEN_MAX: usize = 64 * 1024;
