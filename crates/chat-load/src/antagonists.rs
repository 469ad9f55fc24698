//! Clients that are there to make it harder for the server, and that nobody waits for.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chat_tls::Tls;
use chat_trace::Nanos;
use mio::{Registry, Token};

use crate::bench::nanos;
use crate::connection::Client;
use crate::tls::secured;

/// Clients that connect and never read.
#[derive(Debug, Default)]
pub(crate) struct Stalled {
    connecting: Vec<Client>,
    connected: Vec<Client>,
}

impl Stalled {
    /// Begins to connect one more. Events arrive under [`STALLED_TOKEN`], until it is connected.
    pub(crate) fn connect(
        &mut self,
        addr: SocketAddr,
        tls: Option<&Tls>,
        registry: &Registry,
    ) -> io::Result<()> {
        let client = Client::connect(addr, STALLED_TOKEN, registry)?;
        self.connecting.push(secured(client, addr, tls)?);
        Ok(())
    }

    /// Goes on connecting, and returns how many became connected. Each says `opening` then.
    pub(crate) fn finish_connecting(
        &mut self,
        opening: &[u8],
        registry: &Registry,
    ) -> io::Result<usize> {
        let connected_count = self.connected.len();
        for mut client in std::mem::take(&mut self.connecting) {
            if client.finish_connecting()? {
                client.send(opening)?;
                client.ignore(registry)?;
                self.connected.push(client);
            } else {
                self.connecting.push(client);
            }
        }
        Ok(self.connected.len() - connected_count)
    }

    /// Returns how many there are, connected or not.
    pub(crate) fn count(&self) -> usize {
        self.connecting.len() + self.connected.len()
    }

    /// Tells whether one waits for its handshake.
    pub(crate) fn is_shaking(&self) -> bool {
        self.connecting.iter().any(Client::is_shaking)
    }

    /// Returns how many are being connected.
    pub(crate) fn connecting_count(&self) -> usize {
        self.connecting.len()
    }

    /// Counts those whose connection the server has closed, by reading what they have not read.
    pub(crate) fn closed_count(&mut self, scratch: &mut [u8]) -> u64 {
        self.connected
            .iter_mut()
            .map(|client| u64::from(client.is_closed(scratch)))
            .sum()
    }
}

/// What events of stalled clients arrive under: a number that no client has, and that nothing else
/// has.
pub(crate) const STALLED_TOKEN: Token = Token(usize::MAX - 16);

/// When clients that read slowly may read how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowReading {
    bytes_per_s: u32,
    read_at: Nanos,
}

impl SlowReading {
    pub(crate) fn new(bytes_per_s: u32, now: Nanos) -> Self {
        Self {
            bytes_per_s,
            read_at: now,
        }
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
    /// Who has said hello and not had the last of it back.
    waiting: Vec<Waiting>,
    /// Who has joined, and when.
    joined: VecDeque<(usize, Nanos)>,
}

impl Visits {
    /// Makes visits that begin at `start`, `per_s` a second.
    pub(crate) fn new(start: Nanos, per_s: f64) -> Self {
        Self {
            start,
            per_s,
            come_count: 0,
            joined_count: 0,
            waiting: Vec::new(),
            joined: VecDeque::new(),
        }
    }

    /// Has one more come, if it is time.
    pub(crate) fn try_come(&mut self, now: Nanos) -> bool {
        let is_due = self.per_s > 0.0
            && (now - self.start) as f64 * self.per_s / 1e9 >= f64::from(self.come_count + 1);
        self.come_count += u32::from(is_due);
        is_due
    }

    /// Notes that a visitor has said hello.
    pub(crate) fn said_hello(&mut self, client: usize, now: Nanos) {
        self.waiting.push(Waiting { client, since: now });
    }

    /// Returns a visitor whose hello message is overdue, if there is one: the server may have
    /// dropped it, unless it may be under way for as long as `pass_wait`. The visitor says
    /// hello again.
    pub(crate) fn next_overdue(&mut self, now: Nanos, pass_wait: Duration) -> Option<usize> {
        let wait = nanos(pass_wait.max(HELLO_WAIT));
        let waiting = self
            .waiting
            .iter_mut()
            .find(|waiting| now.saturating_sub(waiting.since) >= wait)?;
        waiting.since = now;
        Some(waiting.client)
    }

    /// Returns who waits for a hello message of its own.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.waiting.iter().map(|waiting| waiting.client)
    }

    /// Notes that a visitor has joined.
    pub(crate) fn joined(&mut self, client: usize, now: Nanos) {
        self.waiting.retain(|waiting| waiting.client != client);
        self.joined_count += 1;
        self.joined.push_back((client, now));
    }

    /// Notes that a visitor has left before its time. Tells whether it had not joined yet: then it
    /// counts as one that has, for it is not waited for any more.
    pub(crate) fn leave(&mut self, client: usize) -> bool {
        let joined = self.joined.len();
        self.joined.retain(|&(visitor, _)| visitor != client);
        let has_joined = self.joined.len() < joined;
        self.waiting.retain(|waiting| waiting.client != client);
        self.joined_count += u32::from(!has_joined);
        !has_joined
    }

    /// Returns a visitor that has stayed long enough, who leaves.
    pub(crate) fn next_leaver(&mut self, now: Nanos, stay: Duration) -> Option<usize> {
        let (client, _) = self
            .joined
            .front()
            .copied()
            .filter(|(_, joined_at)| now - joined_at >= nanos(stay))?;
        self.joined.pop_front();
        Some(client)
    }

    /// Returns how many have come and not joined yet.
    pub(crate) fn pending_count(&self) -> usize {
        (self.come_count - self.joined_count) as usize
    }
}

/// A visitor that has said hello.
#[derive(Debug)]
struct Waiting {
    client: usize,
    /// When it last said so.
    since: Nanos,
}

/// How long a visitor waits for its hello message at least, before it says hello again. A
/// judgement, as for all messages that are awaited.
const HELLO_WAIT: Duration = Duration::from_millis(400);

/// How long a visitor stays once it has joined. A judgement: long enough to be sent what everybody
/// else is.
pub(crate) const STAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn visitors_come_at_the_rate_and_leave_after_their_stay() {
        let mut visits = Visits::new(5 * SECOND, 2.0);
        assert!(!visits.try_come(5 * SECOND));
        assert!(
            visits.try_come(5 * SECOND + SECOND / 2) && !visits.try_come(5 * SECOND + SECOND / 2)
        );
        visits.joined(6, 6 * SECOND);
        assert!(!visits.leave(6), "it had joined");
        assert!(visits.leave(5));
        visits.joined(7, 6 * SECOND);
        assert_eq!(visits.next_leaver(6 * SECOND + SECOND / 2, STAY), None);
        assert_eq!(visits.next_leaver(7 * SECOND, STAY), Some(7));
        assert_eq!(visits.next_leaver(8 * SECOND, STAY), None);
        assert!(!Visits::new(0, 0.0).try_come(SECOND));
    }

    #[test]
    fn a_visitor_says_hello_again_until_it_is_heard() {
        let mut visits = Visits::new(0, 1.0);
        let (fast, slow) = (Duration::ZERO, Duration::from_millis(600));
        visits.said_hello(7, 0);
        assert_eq!(visits.next_overdue(SECOND / 10, fast), None);
        assert_eq!(
            visits.next_overdue(SECOND / 2, slow),
            None,
            "it may be under way"
        );
        assert_eq!(
            (
                visits.next_overdue(SECOND / 2, fast),
                visits.next_overdue(SECOND / 2, fast)
            ),
            (Some(7), None)
        );
        visits.joined(7, SECOND);
        assert_eq!(
            (
                visits.next_overdue(2 * SECOND, fast),
                visits.waiting().count()
            ),
            (None, 0)
        );
    }

    #[test]
    fn slow_readers_may_read_what_time_allows() {
        let mut reading = SlowReading::new(1000, 0);
        assert_eq!(reading.allowance(SECOND / 2), 500);
        assert_eq!(reading.allowance(SECOND / 2 + 1), 0, "not even a byte");
        assert_eq!(reading.allowance(SECOND), 500);
    }
}
