//! What a client is to receive: a bounded queue, and a thread that writes it.
//!
//! So a client that never reads holds up nobody, and many messages are one write when there are
//! many.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The sending side of a connection. When it is dropped, the connection is closed as soon as all
/// that is queued is written.
pub(crate) struct Outbox {
    stream: TcpStream,
    shared: Arc<Shared>,
    delay: Duration,
}

impl Outbox {
    /// Starts to write to `stream` what is pushed, each message when it has waited for `delay`.
    pub(crate) fn start(stream: TcpStream, delay: Duration) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            is_filled: Condvar::new(),
        });
        let filled = Arc::clone(&shared);
        let writing = stream.try_clone().unwrap();
        thread::spawn(move || filled.write_to(&writing));
        Self {
            stream,
            shared,
            delay,
        }
    }

    /// Forgets what is queued and closes the connection, by a reset if `is_reset`.
    pub(crate) fn close_now(&self, is_reset: bool) {
        let mut queue = self.shared.queue();
        queue.chunks.clear();
        queue.len = 0;
        if is_reset {
            let linger = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(&self.stream, linger).unwrap();
            queue.is_reset = true;
        } else {
            // The client may be gone.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }

    /// Queues a message. When there is no room, it is dropped: the client does not keep up.
    pub(crate) fn push(&self, message: &[u8]) {
        let due = (!self.delay.is_zero()).then(|| Instant::now() + self.delay);
        let mut queue = self.shared.queue();
        if queue.len + message.len() > QUEUE_LEN_MAX {
            return;
        }
        let was_empty = queue.chunks.is_empty();
        queue.len += message.len();
        match queue.chunks.back_mut() {
            Some(last) if last.due == due => last.bytes.extend_from_slice(message),
            _ => queue.chunks.push_back(Chunk {
                due,
                bytes: message.to_vec(),
            }),
        }
        drop(queue);
        if was_empty {
            self.shared.is_filled.notify_one();
        }
    }
}

impl Outbox {
    /// Waits until all that is queued is written and the connection closed.
    pub(crate) fn finish(self) {
        let shared = Arc::downgrade(&self.shared);
        drop(self);
        // The thread that writes has the other reference.
        while shared.strong_count() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.shared.queue().has_ended = true;
        self.shared.is_filled.notify_one();
    }
}

/// What an outbox and its thread share.
struct Shared {
    /// Guards what the hub appends and the thread takes.
    queue: Mutex<Queue>,
    is_filled: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap()
    }

    /// Writes all that is queued until the queue ends or the client is gone, and closes the
    /// connection.
    fn write_to(&self, mut stream: &TcpStream) {
        while let Some(Chunk { due, bytes }) = self.next_chunk() {
            if let Some(due) = due {
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            if stream.write_all(&bytes).is_err() {
                break;
            }
        }
        if !self.queue().is_reset {
            // A client that is gone cannot be told.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits for something to write; there is none after the end.
    fn next_chunk(&self) -> Option<Chunk> {
        let is_idle = |queue: &mut Queue| queue.chunks.is_empty() && !queue.has_ended;
        let mut queue = self.is_filled.wait_while(self.queue(), is_idle).unwrap();
        let chunk = queue.chunks.pop_front()?;
        queue.len -= chunk.bytes.len();
        Some(chunk)
    }
}

// Invariant: len is the sum of the chunks' lengths, and len <= QUEUE_LEN_MAX.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    len: usize,
    has_ended: bool,
    /// Whether the connection ends by a reset.
    is_reset: bool,
}

/// Messages that are due together.
struct Chunk {
    /// When they are to be written, if not at once.
    due: Option<Instant>,
    bytes: Vec<u8>,
}

/// How many bytes wait for a client at most. A judgement: some four times what four publishers with
/// windows of 1000 have in flight.
const QUEUE_LEN_MAX: usize = 4 << 20;
