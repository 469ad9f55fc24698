//! Clients that are there to make it harder for the server, and that nobody waits for.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::load::nanos;
use crate::proof::sends::Nanos;

/// Clients that connect and never read.
#[derive(Debug, Default)]
pub(crate) struct Stalled {
    streams: Vec<TcpStream>,
}

impl Stalled {
    /// Connects one more.
    pub(crate) fn connect(&mut self, addr: SocketAddr, patience: Duration) -> io::Result<()> {
        self.streams.push(TcpStream::connect_timeout(&addr, patience)?);
        Ok(())
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.streams.len()
    }

    /// Counts those whose connection the server has closed, by reading what they have not read.
    pub(crate) fn closed_count(&self, scratch: &mut [u8]) -> u64 {
        self.streams.iter().map(|stream| u64::from(is_closed(stream, scratch))).sum()
    }
}

fn is_closed(mut stream: &TcpStream, scratch: &mut [u8]) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    // More than the kernel holds for a client that does not read, so that this ends though the server goes on sending.
    for _ in 0..READS_MAX {
        match stream.read(scratch) {
            Ok(0) => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return true,
            Ok(_) | Err(_) => {}
        }
    }
    false
}

/// When clients that read slowly may read how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowReading {
    bytes_per_s: u32,
    read_at: Nanos,
}

impl SlowReading {
    pub(crate) fn new(bytes_per_s: u32, now: Nanos) -> Self {
        Self { bytes_per_s, read_at: now }
    }

    /// Returns how many bytes each may read now.
    pub(crate) fn allowance(&mut self, now: Nanos) -> usize {
        let len = u128::from(now - self.read_at) * u128::from(self.bytes_per_s) / 1_000_000_000;
        if len > 0 {
            self.read_at = now;
        }
        usize::try_from(len).unwrap_or(usize::MAX)
    }
}

/// When visitors come and go.
#[derive(Debug)]
pub(crate) struct Visits {
    start: Nanos,
    per_s: f64,
    come_count: u32,
    joined_count: u32,
    /// Who has said hello and not had the last of it back, and when it said so.
    waiting: Vec<(usize, Nanos)>,
    /// Who has joined, and when.
    joined: VecDeque<(usize, Nanos)>,
}

impl Visits {
    /// Makes visits that begin at `start`, `per_s` a second.
    pub(crate) fn new(start: Nanos, per_s: f64) -> Self {
        Self { start, per_s, come_count: 0, joined_count: 0, waiting: Vec::new(), joined: VecDeque::new() }
    }

    /// Tells whether it is time for one more to come, who then does.
    pub(crate) fn comes(&mut self, now: Nanos) -> bool {
        let is_due = self.per_s > 0.0 && (now - self.start) as f64 * self.per_s / 1e9 >= f64::from(self.come_count + 1);
        self.come_count += u32::from(is_due);
        is_due
    }

    /// Notes that a visitor has said hello.
    pub(crate) fn said_hello(&mut self, client: usize, now: Nanos) {
        self.waiting.push((client, now));
    }

    /// Returns a visitor whose hello message is overdue, if there is one: the server may have dropped it. It says hello again.
    pub(crate) fn is_overdue(&mut self, now: Nanos) -> Option<usize> {
        let waits = |(_, since): &&mut (usize, Nanos)| now.saturating_sub(*since) >= nanos(HELLO_WAIT);
        let (client, since) = self.waiting.iter_mut().find(waits)?;
        *since = now;
        Some(*client)
    }

    /// Returns who waits for a hello message of its own.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.waiting.iter().map(|(client, _)| *client)
    }

    /// Notes that a visitor has joined.
    pub(crate) fn joined(&mut self, client: usize, now: Nanos) {
        self.waiting.retain(|(waiting, _)| *waiting != client);
        self.joined_count += 1;
        self.joined.push_back((client, now));
    }

    /// Returns a visitor that has stayed long enough, who leaves.
    pub(crate) fn leaves(&mut self, now: Nanos, stay: Duration) -> Option<usize> {
        let (client, _) = self.joined.front().copied().filter(|(_, joined_at)| now - joined_at >= nanos(stay))?;
        self.joined.pop_front();
        Some(client)
    }

    /// Returns how many have come and not joined yet.
    pub(crate) fn pending_count(&self) -> usize {
        (self.come_count - self.joined_count) as usize
    }
}

/// How long a visitor waits for its hello message before it says hello again. A judgement, as for all other messages that are awaited.
const HELLO_WAIT: Duration = Duration::from_millis(400);

/// How long a visitor stays once it has joined. A judgement: long enough to be sent what everybody else is.
pub(crate) const STAY: Duration = Duration::from_secs(1);

/// How many reads it takes to be sure that a client which never read is still connected. A judgement: 64 MiB.
const READS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn visitors_come_at_the_rate_and_leave_after_their_stay() {
        let mut visits = Visits::new(5 * SECOND, 2.0);
        assert!(!visits.comes(5 * SECOND));
        assert!(visits.comes(5 * SECOND + SECOND / 2) && !visits.comes(5 * SECOND + SECOND / 2));
        visits.joined(7, 6 * SECOND);
        assert_eq!(visits.leaves(6 * SECOND + SECOND / 2, STAY), None);
        assert_eq!(visits.leaves(7 * SECOND, STAY), Some(7));
        assert_eq!(visits.leaves(8 * SECOND, STAY), None);
        assert!(!Visits::new(0, 0.0).comes(SECOND));
    }

    #[test]
    fn a_visitor_says_hello_again_until_it_is_heard() {
        let mut visits = Visits::new(0, 1.0);
        visits.said_hello(7, 0);
        assert_eq!(visits.is_overdue(SECOND / 10), None);
        assert_eq!((visits.is_overdue(SECOND / 2), visits.is_overdue(SECOND / 2)), (Some(7), None));
        visits.joined(7, SECOND);
        assert_eq!((visits.is_overdue(2 * SECOND), visits.waiting().count()), (None, 0));
    }

    #[test]
    fn slow_readers_may_read_what_time_allows() {
        let mut reading = SlowReading::new(1000, 0);
        assert_eq!(reading.allowance(SECOND / 2), 500);
        assert_eq!(reading.allowance(SECOND / 2 + 1), 0, "not even a byte");
        assert_eq!(reading.allowance(SECOND), 500);
    }
}
