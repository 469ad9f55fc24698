//! A client of the null broadcaster.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use chat_proto::Partial;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::null::Batch;

/// A client of the null broadcaster.
pub(super) struct Client {
    pub(super) socket: Socket,
    /// The beginning of a message whose end has not arrived.
    unfinished: Partial,
    /// What the socket did not take. It ends on a message boundary.
    queue: VecDeque<u8>,
    /// Whether it is among the ready ones.
    pub(super) is_ready: bool,
    /// Whether the end of the stream may hide behind what is read.
    pub(super) may_end: bool,
    stage: Stage,
}

impl Client {
    pub(super) fn new(mut stream: TcpStream, key: usize, registry: &Registry) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        registry.register(
            &mut stream,
            Token(key),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let socket = Socket {
            stream,
            is_writable: true,
        };
        let (unfinished, queue) = (Partial::new(), VecDeque::new());
        Ok(Self {
            socket,
            unfinished,
            queue,
            is_ready: false,
            may_end: false,
            stage: Stage::Open,
        })
    }

    /// Reads once, behind the batch, and tells whether there may be more.
    pub(super) fn read(&mut self, batch: &mut Batch) -> bool {
        if self.stage != Stage::Open {
            return false;
        }
        let room = &mut batch.buf[batch.len..];
        let kept = self.unfinished.prepend(room);
        let len = match self.socket.stream.read(&mut room[kept..]) {
            Ok(received) if received > 0 => kept + received,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // A stream that fails has ended too: writing finds out the rest.
            Ok(_) | Err(_) => {
                self.stage = Stage::Ended;
                return false;
            }
        };
        let is_short = len < room.len();
        let messages = self.unfinished.split(&room[..len]);
        batch.len += messages.as_bytes().len();
        // The kernel had no more than this, so the next bytes are a new edge. Only the end of the
        // stream could hide behind them.
        !is_short || self.may_end
    }

    /// Writes what is queued, and the batch behind it.
    pub(super) fn write(&mut self, batch: &[u8], queue_len_max: usize) -> io::Result<()> {
        while self.socket.is_writable && !self.queue.is_empty() {
            let taken = self.socket.write(self.queue.as_slices().0)?;
            self.queue.drain(..taken);
        }
        if self.stage != Stage::Owed {
            let taken = if self.queue.is_empty() {
                self.socket.write(batch)?
            } else {
                0
            };
            enqueue(&mut self.queue, &batch[taken..], queue_len_max);
        }
        if self.stage == Stage::Ended {
            self.stage = Stage::Owed;
        }
        Ok(())
    }

    /// Tells whether nothing is to be read or written any more.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Owed && self.queue.is_empty()
    }
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may send.
    Open,
    /// It will send no more. Its last message may be in the batch.
    Ended,
    /// What is queued is all that it is to get.
    Owed,
}

/// A socket, and whether it takes anything.
pub(super) struct Socket {
    stream: TcpStream,
    pub(super) is_writable: bool,
}

impl Socket {
    /// Writes as much as the socket takes, and returns how much that was.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while self.is_writable && taken < bytes.len() {
            match self.stream.write(&bytes[taken..]) {
                Ok(len) => taken += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}

/// Queues the rest of a batch for a client. When there is no room, it is dropped: the queue ends on
/// a message boundary, and while something is queued, the rest is all of the batch.
fn enqueue(queue: &mut VecDeque<u8>, rest: &[u8], len_max: usize) {
    if queue.is_empty() || queue.len() + rest.len() <= len_max {
        queue.extend(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_does_not_fit_is_dropped_whole() {
        let mut queue = VecDeque::new();
        enqueue(&mut queue, b"est of one that was begun", 20);
        enqueue(&mut queue, b"more", 20);
        assert_eq!(
            queue.len(),
            25,
            "the rest of a message is owed, and no more"
        );
        queue.drain(..20);
        enqueue(&mut queue, b"sixteen and so on", 20);
        enqueue(&mut queue, b"fifteen and so ", 20);
        assert_eq!(queue, b"begunfifteen and so ");
    }
}
